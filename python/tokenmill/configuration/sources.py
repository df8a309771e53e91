"""One frozen Settings value out of defaults < TOML file < environment < flags, and its origins.

Pure: the document, the environment and the flags are arguments. Everything that is wrong is
reported at once, by name, with where it stands, what is allowed and the nearest right name.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from tokenmill.configuration.problems import SettingsError
from tokenmill.configuration.schema import (
    PREFIX,
    SECRET,
    Setting,
    allowed,
    is_exempt,
    settings_tree,
)
from tokenmill.settings import EngineSettings, Settings

Kind = Literal["default", "file", "environment", "flag"]


class Origin(Struct, frozen=True):
    """Where a value came from. `place`: the file and key, the variable or the flag."""

    kind: Kind
    place: str = ""


class Resolved(Struct, frozen=True):
    """The settings in force and the origin of each, by dotted path."""

    settings: Settings
    origins: dict[str, Origin]


class Sources(Struct, frozen=True, kw_only=True):
    """What was given. `flags` by dotted path; None where a flag was not used."""

    file: str = ""
    document: Mapping[str, Any] = {}
    environment: Mapping[str, str] = {}
    flags: Mapping[str, Any] = {}


def resolve(sources: Sources) -> Resolved:
    """Raises: SettingsError."""
    settings = {setting.path: setting for setting in settings_tree()}
    problems: list[str] = []
    values: dict[str, Any] = {}
    origins = {path: Origin("default") for path in settings}
    given = [
        *_from_document(sources, settings, problems),
        *_from_environment(sources.environment, settings, problems),
        *_from_flags(sources.flags),
    ]
    for path, value, origin in given:
        try:
            values[path] = _convert(settings[path], value, origin)
            origins[path] = origin
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError(problems)
    resolved = Resolved(_build(values), origins)
    problems += check_together(resolved.settings)
    if problems:
        raise SettingsError(problems)
    return resolved


def check_together(settings: Settings) -> list[str]:
    """What is wrong between settings that are right one by one."""
    problems = []
    if settings.workers * 2 > settings.segment.workers_max:
        problems.append(
            f"workers: {settings.workers} is too many for segment.workers_max ="
            f" {settings.segment.workers_max}: a reload runs twice as many for a moment"
        )
    if not settings.host:
        problems.append("host: empty; give an address such as 127.0.0.1 or 0.0.0.0")
    if settings.port and settings.port == settings.metrics.port:
        problems.append(f"metrics.port: {settings.port} is the port of the API itself")
    return problems


def nearest(name: str, names: Iterator[str]) -> str:
    """`; did you mean X?` for the name most like it, or nothing."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


Given = Iterator[tuple[str, Any, Origin]]


def _from_document(sources: Sources, settings: dict[str, Setting], problems: list[str]) -> Given:
    sections = {path.rpartition(".")[0] for path in settings} - {""}
    for path, value in _leaves(sources.document, sections):
        if path in settings:
            yield path, value, Origin("file", f"{sources.file}: {path}")
        elif path in sections:
            problems.append(f"{sources.file}: {path} is a section: write [{path}]")
        else:
            hint = nearest(path, iter(settings))
            problems.append(f"{sources.file}: {path} is not a setting{hint}")


def _leaves(table: Mapping[str, Any], sections: set[str]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if name in sections and isinstance(value, Mapping):
            for inner, leaf in value.items():
                yield f"{name}.{inner}", leaf
        else:
            yield name, value


def _from_environment(
    environment: Mapping[str, str], settings: dict[str, Setting], problems: list[str]
) -> Given:
    variables = {setting.variable: setting for setting in settings.values()}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or is_exempt(variable):
            continue
        if variable in variables:
            setting = variables[variable]
            yield setting.path, _split(setting, text), Origin("environment", variable)
        else:
            problems.append(f"{variable} is not a setting{nearest(variable, iter(variables))}")


def _split(setting: Setting, text: str) -> Any:
    """Lists by comma, tables as `name=value` by comma; everything else stays text."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    origin = getattr(setting.type, "__origin__", None)
    if origin is tuple:
        return parts
    if origin is dict:
        pairs = (part.partition("=") for part in parts)
        return {name: value if equals else None for name, equals, value in pairs}
    return text


def _from_flags(flags: Mapping[str, Any]) -> Given:
    for path, value in flags.items():
        if value is not None and value != ():
            name = "engine" if path == "engines" else path.replace("_", "-")
            yield path, value, Origin("flag", f"--{name}")


def _convert(setting: Setting, value: Any, origin: Origin) -> Any:
    """Raises: ValueError that names the place, the value and what is allowed."""
    if setting.type == tuple[EngineSettings, ...]:
        value = _as_engines(value)
    is_text = origin.kind in ("environment", "flag")
    try:
        return msgspec.convert(value, setting.type, strict=not is_text, dec_hook=_to_path)
    except msgspec.ValidationError as error:
        shown = "" if setting.path in SECRET else f" {value!r} is not allowed:"
        detail = f" ({error})" if isinstance(value, list | dict) else ""
        place = origin.place or setting.path
        raise ValueError(f"{place}:{shown} {allowed(setting.type)}{detail}") from error


def _as_engines(value: Any) -> Any:
    """A URL stands for an engine that has nothing else to say."""
    if not isinstance(value, list | tuple):
        return value
    return [{"url": engine} if isinstance(engine, str) else engine for engine in value]


def _to_path(wanted: type, value: Any) -> Any:
    if wanted is Path and isinstance(value, str | Path) and str(value):
        try:
            return Path(value).expanduser().absolute()
        except RuntimeError as error:
            raise ValueError(f"{value} has no meaning here: this user has no home") from error
    raise ValueError("expected the path of a folder")


def _build(values: dict[str, Any]) -> Settings:
    """Raises: SettingsError, if there is no home for the default state folder."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        section, _, name = path.rpartition(".")
        owner = tree.setdefault(section, {}) if section else tree
        owner[name] = value
    try:
        return msgspec.convert(tree, Settings, from_attributes=True, dec_hook=_to_path)
    except RuntimeError as error:
        raise SettingsError(
            ["state: this user has no home folder; give --state DIR or TOKENMILL_STATE"]
        ) from error
