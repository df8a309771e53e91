"""Request types that ignore unknown fields, derived from the strict ones.

For operators who set `bounds.unknown_fields = "ignore"`. A derived type is a subclass of the strict
one, so everything that handles the one handles the other; fields that are refused by name stay
refused.
"""

import functools
import types
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec


@functools.cache
def lenient(strict: type) -> Any:
    """The subclass of the Struct `strict` that ignores unknown fields, at every depth."""
    hints = get_type_hints(strict, include_extras=True)
    fields: list[Any] = []
    for each in msgspec.structs.fields(strict):
        opened = _opened(hints[each.name])
        if opened is not hints[each.name]:
            fields.append(_redeclared(each, opened))
    return msgspec.defstruct(
        strict.__name__, fields, bases=(strict,), forbid_unknown_fields=False, kw_only=True
    )


def _redeclared(each: msgspec.structs.FieldInfo, opened: Any) -> tuple[Any, ...]:
    if each.default is not msgspec.NODEFAULT:
        return (each.name, opened, each.default)
    return (each.name, opened)


def _opened(hint: Any) -> Any:
    """`hint` with every Struct in it made lenient; the very same object if there is none."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return lenient(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is None or not arguments:
        return hint
    if origin is Annotated:
        inner = _opened(arguments[0])
        return hint if inner is arguments[0] else Annotated[(inner, *arguments[1:])]
    opened = tuple(_opened(each) for each in arguments)
    if all(new is old for new, old in zip(opened, arguments, strict=True)):
        return hint
    if origin in (Union, types.UnionType):
        return Union[opened]  # noqa: UP007  # built from values, not written
    return origin[opened]
