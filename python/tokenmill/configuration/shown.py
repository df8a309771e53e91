"""Settings as people and programs read them: rows of value and origin, and a template.

Pure. Passwords and keys are left out of everything here.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tokenmill.configuration.schema import Setting, allowed, settings_tree
from tokenmill.configuration.sources import Resolved
from tokenmill.settings import EngineSettings, Settings

_PASSWORD = re.compile(r"(?<=://)([^:/@]*):[^@/]*(?=@)")


class Row(Struct, frozen=True, kw_only=True):
    """One setting, as `tokenmill config show` prints it."""

    setting: str
    value: Any
    source: str
    place: str = ""


def rows(resolved: Resolved) -> list[Row]:
    """All settings in force, in their order."""
    found = []
    for setting in settings_tree():
        origin = resolved.origins[setting.path]
        value = shown(setting.path, value_at(resolved.settings, setting.path))
        found.append(Row(setting=setting.path, value=value, source=origin.kind, place=origin.place))
    return found


def value_at(settings: Settings, path: str) -> Any:
    """The value of the setting at a dotted path."""
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


def shown(path: str, value: Any) -> Any:
    """The value in plain JSON types, without its secrets."""
    if path == "engines":
        return [_engine(engine) for engine in value]
    if path in ("database_url", "redis_url"):
        return _PASSWORD.sub(r"\1:…", value)
    if path == "kubernetes.api_key":
        return "…" if value else ""
    if path == "tracing.headers":
        return dict.fromkeys(value, "…")
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _engine(engine: EngineSettings) -> dict[str, str]:
    fields = msgspec.structs.asdict(engine)
    return {name: "…" if name == "api_key" else text for name, text in fields.items() if text}


def template() -> str:
    """A TOML file with every setting, commented out at its default, with what it takes."""
    return "\n".join(_template_lines()) + "\n"


def _template_lines() -> Iterator[str]:
    yield "# Settings of tokenmill. Each can also be given as the environment variable beside it,"
    yield "# which goes before this file; flags of the command line go before both."
    section = ""
    for setting in settings_tree():
        owner, _, name = setting.path.rpartition(".")
        if owner != section:
            section = owner
            yield from ("", f"# {_section_title(owner)}", f"[{owner}]")
        yield from ("", f"# {allowed(setting.type)}  ({setting.variable})")
        yield f"# {name} = {_as_toml(_default(setting))}"


def _default(setting: Setting) -> Any:
    try:
        return shown(setting.path, setting.default)
    except RuntimeError:
        return "/var/lib/tokenmill"


def _section_title(section: str) -> str:
    owner = type(value_at(Settings(state=Path("/")), section))
    return (inspect.getdoc(owner) or section).split("\n")[0]


def _as_toml(value: Any) -> str:
    """JSON's spelling of the default values here is TOML's too, tables aside."""
    return msgspec.json.encode(value).decode() if value != {} else "{}"
