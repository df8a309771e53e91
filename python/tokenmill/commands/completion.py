"""`tokenmill completion SHELL`: the script that completes this command line."""

import click
from click.shell_completion import get_completion_class

_HOW = {
    "bash": "echo 'eval \"$(tokenmill completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(tokenmill completion zsh)\"' >> ~/.zshrc",
    "fish": "tokenmill completion fish > ~/.config/fish/completions/tokenmill.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(_HOW)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Install it:
      echo 'eval "$(tokenmill completion bash)"' >> ~/.bashrc
      echo 'eval "$(tokenmill completion zsh)"' >> ~/.zshrc
      tokenmill completion fish > ~/.config/fish/completions/tokenmill.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click completes each of these shells"
    click.echo(f"# {_HOW[shell]}")
    root = context.find_root().command
    click.echo(kind(root, {}, "tokenmill", "_TOKENMILL_COMPLETE").source())
