"""Style as a test: sizes, names and words of the sources. One pass over the tracked files.

The rules and their reasons are in the README under "House rules"; a finding reads like a
compiler's: `path:line: what is wrong`.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES_MAX = 600
TEST_LINES_MAX = 800
# The stub of the native module is its manual, and a stub cannot be cut in two as its module was.
STUB_LINES_MAX = 800
FUNCTION_LINES_MAX = 60
COLUMNS_MAX = 100
POSITIONAL_MAX = 5
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
# Tables of data are free of the line limit: phrasings are written to be many.
DATA_FOLDERS = ("python/demo_model/corpus/", "tests/conformance/examples/")
BROAD_EXCEPT_HOMES = ("gateway/app.py", "worker", "keeper", "server", "control/app.py")
FORBIDDEN_WORDS = re.compile(r"\b(TODO|FIXME|XXX)\b|todo!\(|unimplemented!\(|NotImplementedError")


def tracked(*suffixes: str) -> list[Path]:
    """Files of the working tree that git tracks, or would: nothing that it ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / line for line in listed.stdout.splitlines())
    return [path for path in paths if path.suffix in suffixes and path.is_file()]


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_data(path: Path) -> bool:
    return short(path).startswith(DATA_FOLDERS)


def long_files() -> Iterator[str]:
    for path in tracked(".py", ".rs", ".pyi"):
        count = len(path.read_text().splitlines())
        bound = TEST_LINES_MAX if "tests" in path.parts else LINES_MAX
        bound = STUB_LINES_MAX if path.suffix == ".pyi" else bound
        if count > bound and not is_data(path):
            yield f"{short(path)}:{count}: over {bound} lines: look for the second noun in it"


def long_lines() -> Iterator[str]:
    for path in tracked(".py", ".rs", ".pyi"):
        if is_data(path):
            continue
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if len(line) > COLUMNS_MAX:
                yield f"{short(path)}:{number}: over {COLUMNS_MAX} columns"


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in tracked(".py"):
        if is_data(path):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def overgrown_functions() -> Iterator[str]:
    for path, node in functions():
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES_MAX:
            yield f"{short(path)}:{node.lineno}: {node.name} has {length} lines"
        positional = len(node.args.posonlyargs) + len(node.args.args)
        is_command = any(
            "click" in ast.unparse(d) or "option" in ast.unparse(d) for d in node.decorator_list
        )
        if positional > POSITIONAL_MAX + 1 and not is_command and "tests" not in path.parts:
            yield f"{short(path)}:{node.lineno}: {node.name} takes {positional} parameters"


def vague_names() -> Iterator[str]:
    for path in tracked(".py", ".rs"):
        if path.stem in VAGUE_NAMES:
            yield f"{short(path)}:1: a module is named for what it holds, not {path.stem!r}"


def broad_excepts() -> Iterator[str]:
    for path in tracked(".py"):
        if "tests" in path.parts or not short(path).startswith("python/tokenmill/"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ExceptHandler):
                continue
            name = "" if node.type is None else ast.unparse(node.type)
            if name in {"", "Exception", "BaseException"} and not any(
                home in short(path) for home in BROAD_EXCEPT_HOMES
            ):
                yield f"{short(path)}:{node.lineno}: `except {name}` stands in outer layers only"


def unfinished() -> Iterator[str]:
    for path in tracked(".py", ".rs", ".pyi", ".toml", ".md"):
        if path == Path(__file__) or is_data(path):
            continue
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if FORBIDDEN_WORDS.search(line):
                yield f"{short(path)}:{number}: unfinished work is finished or not there"


def missing_docstrings() -> Iterator[str]:
    for path in tracked(".py"):
        text = path.read_text()
        if text.strip() and not is_data(path) and ast.get_docstring(ast.parse(text)) is None:
            yield f"{short(path)}:1: a module opens with what it is and what it does not know"


def stray_top_level() -> Iterator[str]:
    folders = {"rust", "python", "tests", "benches"}
    for path in tracked(".py", ".rs", ".toml", ".md", ".json", ".sh", ".lock"):
        parts = path.relative_to(ROOT).parts
        if len(parts) > 1 and parts[0] not in folders and not parts[0].startswith("."):
            yield f"{short(path)}:1: no folder at the top but {sorted(folders)}"


def test_no_file_is_too_long() -> None:
    assert list(long_files()) == []


def test_no_line_is_too_long() -> None:
    assert list(long_lines()) == []


def test_no_function_is_overgrown() -> None:
    assert list(overgrown_functions()) == []


def test_no_module_has_a_vague_name() -> None:
    assert list(vague_names()) == []


def test_broad_excepts_stand_in_outermost_layers_only() -> None:
    assert list(broad_excepts()) == []


def test_nothing_is_left_unfinished() -> None:
    assert list(unfinished()) == []


def test_every_module_says_what_it_is() -> None:
    assert list(missing_docstrings()) == []


def test_no_stray_folder_at_the_top() -> None:
    assert list(stray_top_level()) == []
