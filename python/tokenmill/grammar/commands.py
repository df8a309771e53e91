"""`tokenmill grammar …`: the compiler by hand, for those who write schemas."""

import sys
from typing import BinaryIO

import click

from tokenmill import grammar as compiler
from tokenmill.grammar import STAGES, GrammarOptions, SchemaRefusal

REFUSED = 1


@click.group("grammar")
def grammar() -> None:
    """Compile JSON Schemas to grammars, as structured outputs do.

    SCHEMA is a file, or - for standard input. A schema that has no exact grammar is refused with
    the place, the keyword and the reason; the exit status is then 1.
    """


schema_argument = click.argument("schema", type=click.File("rb"))
closed_option = click.option(
    "--closed", is_flag=True, help="Objects that declare properties refuse undeclared ones."
)
compact_option = click.option("--compact", is_flag=True, help="No blanks between tokens.")


@grammar.command("compile")
@schema_argument
@closed_option
@compact_option
def compile_command(schema: BinaryIO, closed: bool, compact: bool) -> None:
    """Print the grammar of SCHEMA."""
    options = GrammarOptions(closed_objects=closed, compact=compact)
    made = compiler.compile(schema.read(), options)
    if isinstance(made, SchemaRefusal):
        _refuse(made)
    else:
        click.echo(made.text, nl=False)


@grammar.command("check")
@schema_argument
@closed_option
def check_command(schema: BinaryIO, closed: bool) -> None:
    """Say whether SCHEMA compiles, and which of its words assert nothing."""
    made = compiler.compile(schema.read(), GrammarOptions(closed_objects=closed))
    if isinstance(made, SchemaRefusal):
        _refuse(made)
        return
    click.echo(f"compiles: {len(made.text.splitlines())} rules, {len(made.text)} bytes")
    for pointer, word in made.annotations:
        click.echo(f"asserts nothing: '#{pointer}' {word}")


@grammar.command("explain")
@schema_argument
@click.option("--stage", type=click.Choice(STAGES), default="form", show_default=True)
@closed_option
def explain_command(schema: BinaryIO, stage: str, closed: bool) -> None:
    """Show what a stage of the compiler makes of SCHEMA."""
    shown = compiler.explain(schema.read(), stage, GrammarOptions(closed_objects=closed))
    if isinstance(shown, SchemaRefusal):
        _refuse(shown)
    else:
        click.echo(shown)


@grammar.command("sample")
@schema_argument
@click.option("--count", type=click.IntRange(1, 10_000), default=5, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=1, show_default=True)
@closed_option
def sample_command(schema: BinaryIO, count: int, seed: int, closed: bool) -> None:
    """Print random documents that the grammar of SCHEMA allows, one a line."""
    made = compiler.compile(schema.read(), GrammarOptions(closed_objects=closed))
    if isinstance(made, SchemaRefusal):
        _refuse(made)
        return
    for document in compiler.sample(made, seed, count):
        click.echo(document)


def _refuse(refusal: SchemaRefusal) -> None:
    keyword = f", keyword '{refusal.keyword}'" if refusal.keyword else ""
    click.echo(f"{refusal.kind} at '#{refusal.pointer}'{keyword}: {refusal.reason}", err=True)
    if refusal.hint:
        click.echo(f"hint: {refusal.hint}", err=True)
    sys.exit(REFUSED)
