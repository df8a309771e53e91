"""What a client reads about a body that does not fit: the field's path and what is allowed there.

msgspec says what it met and where ("Expected `int`, got `str` - at `$.n`"); what is allowed is read
off the Structs, so that message, validation and OpenAPI document cannot disagree. Only wrong
requests pay for this.
"""

import difflib
import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec.inspect as shape

from tokenmill.errors import InvalidRequest
from tokenmill.protocol.refusals import PART_REASONS, REASONS

_PATH = re.compile(r"^(?P<what>.*?)(?: - at (?:`key` in )?`\$(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<field>.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<field>.*)`$", re.DOTALL)
_INVALID = re.compile(r"^Invalid (?:enum )?value '?(?P<value>.*?)'?$", re.DOTALL)
_GOT = re.compile(r", got `(?P<got>\w+)`$")
_STEP = re.compile(r"\.?(?P<name>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")
_QUOTED_CHARACTERS_MAX = 64

_JSON_NAMES = {"str": "a string", "int": "an integer", "float": "a number", "bool": "a boolean"}
_JSON_NAMES |= {"array": "an array", "object": "an object", "null": "null"}


def describe_mismatch(text: str, model: type) -> InvalidRequest:
    """The 400 for what msgspec's ValidationError `text` says about a body of type `model`."""
    found = _PATH.match(text)
    what, path = (found["what"], found["path"] or "") if found else (text, "")
    path = path.removeprefix(".")
    if unknown := _UNKNOWN.match(what):
        return _unknown_field(_join(path, unknown["field"]), unknown["field"], model, path)
    if missing := _MISSING.match(what):
        return _missing_field(_join(path, missing["field"]), model)
    if reason := REASONS.get(_without_numbers(path)):
        return InvalidRequest(f"`{path}` is not supported. {reason}", param=path)
    return _wrong_value(what, path, model)


def quoted(value: str) -> str:
    """`value` cut to a length that fits into a message."""
    if len(value) <= _QUOTED_CHARACTERS_MAX:
        return value
    return value[:_QUOTED_CHARACTERS_MAX] + "…"


def _wrong_value(what: str, path: str, model: type) -> InvalidRequest:
    allowed = _describe(_types_at(model, path))
    path, in_map, _ = path.partition("[...]")  # msgspec does not say which key of a map
    name = f"`{path}`" if path else "The body"
    name = f"A value of {name}" if in_map else name
    if invalid := _INVALID.match(what):
        value = quoted(invalid["value"])
        if path.endswith(".type") and "content[" in path and value in PART_REASONS:
            return InvalidRequest(f"{name} is '{value}'. {PART_REASONS[value]}", param=path)
        met = f" is '{value}'"
    elif got := _GOT.search(what):
        met = f" is {_JSON_NAMES.get(got['got'], got['got'])}"
    elif " matching regex " in what:
        met = " is not of the right form"
    else:
        met = " is out of range"
    demand = f" It must be {allowed}." if allowed else ""
    return InvalidRequest(f"{name}{met}.{demand}", param=path or None)


def _missing_field(path: str, model: type) -> InvalidRequest:
    allowed = _describe(_types_at(model, path))
    demand = f": {allowed}" if allowed else ""
    return InvalidRequest(f"`{path}` is required{demand}.", param=path)


def _unknown_field(path: str, field: str, model: type, parent: str) -> InvalidRequest:
    path = quoted(path)
    if reason := REASONS.get(_without_numbers(path)) or REASONS.get(field):
        return InvalidRequest(f"`{path}` is not supported. {reason}", param=path)
    known = [each.encode_name for each in _fields(_types_at(model, parent))]
    near = difflib.get_close_matches(quoted(field), known, n=1, cutoff=0.75)
    hint = f" Did you mean `{near[0]}`?" if near and near[0] != field else ""
    return InvalidRequest(f"`{path}` is not a known field here.{hint}", param=path)


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field


def _without_numbers(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)


@functools.cache
def _root(model: type) -> shape.Type:
    return shape.type_info(model)


def _types_at(model: type, path: str) -> list[shape.Type]:
    """The types a value at `path` may have; empty when the path leads out of the Structs."""
    types = _members([_root(model)])
    for step in _STEP.finditer(path):
        if step["index"] == "...":
            types = _members(each.value_type for each in types if isinstance(each, shape.DictType))
        elif step["index"] is not None:
            types = _members(each.item_type for each in types if isinstance(each, shape.ListType))
        else:
            types = _types_of_field(types, step["name"])
    return types


def _types_of_field(types: Sequence[shape.Type], name: str) -> list[shape.Type]:
    tags = {each.tag for each in types if isinstance(each, shape.StructType) if each.tag}
    if any(isinstance(each, shape.StructType) and each.tag_field == name for each in types):
        return [shape.LiteralType(values=tuple(tags))]
    return _members(each.type for each in _fields(types) if each.encode_name == name)


def _fields(types: Iterable[shape.Type]) -> list[shape.Field]:
    return [each for kind in types if isinstance(kind, shape.StructType) for each in kind.fields]


def _members(types: Iterable[shape.Type]) -> list[shape.Type]:
    """`types` with unions and annotations opened up."""
    flat: list[shape.Type] = []
    for each in types:
        if isinstance(each, shape.UnionType):
            flat.extend(_members(each.types))
        elif isinstance(each, shape.Metadata):
            flat.extend(_members([each.type]))
        else:
            flat.append(each)
    return flat


def _describe(types: Iterable[shape.Type]) -> str:
    """`types` in words, null left out: "a string or an array of at most 4 items"."""
    words = [_describe_one(each) for each in types if not isinstance(each, shape.NoneType)]
    return " or ".join(dict.fromkeys(word for word in words if word))


def _describe_one(kind: shape.Type) -> str:
    if isinstance(kind, shape.LiteralType):
        values = sorted(f"'{value}'" for value in kind.values)
        return values[0] if len(values) == 1 else "one of " + ", ".join(values)
    if isinstance(kind, shape.IntType | shape.FloatType):
        word = "an integer" if isinstance(kind, shape.IntType) else "a number"
        return word + _range_of(kind)
    if isinstance(kind, shape.StrType):
        form = f" that matches {kind.pattern}" if kind.pattern else ""
        return "a string" + _length_of(kind, "characters") + form
    if isinstance(kind, shape.ListType):
        return "an array" + _length_of(kind, "items")
    if isinstance(kind, shape.BoolType):
        return "a boolean"
    return "an object" if isinstance(kind, shape.StructType | shape.DictType) else ""


def _range_of(kind: shape.IntType | shape.FloatType) -> str:
    if kind.gt is not None and kind.le is not None:
        return f" above {kind.gt:g} and at most {kind.le:g}"
    low, high = kind.ge, kind.le
    if low is not None and high is not None and abs(high) < 2**31 - 1:
        return f" between {low:g} and {high:g}"
    if low is not None and abs(low) < 2**31 - 1:
        return f" of at least {low:g}"
    return " of at most 64 bits" if low is not None else ""


def _length_of(kind: Any, unit: str) -> str:
    low, high = kind.min_length, kind.max_length
    if low and high:
        return f" of {low} to {high} {unit}"
    if high:
        return f" of at most {high} {unit}"
    if low:
        return f" of at least {low} {unit.removesuffix('s') if low == 1 else unit}"
    return ""
