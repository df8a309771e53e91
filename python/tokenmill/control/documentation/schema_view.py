"""JSON Schema as HTML: a type in words, and a table of an object's fields. Pure.

References are followed when a field is shown, to a bounded depth, so that a schema that contains
itself ends with its name.
"""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

DEPTH_MAX = 4
VALUES_MAX = 12
"""Of an enum, before the rest is left out."""

Schema = Mapping[str, Any]

_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches {}",
}


class SchemaView:
    """Shows schemas of one document, whose `components` hold what references point to."""

    def __init__(self, components: Schema) -> None:
        self._components = components
        self._schemas: Schema = components.get("schemas", {})

    def target(self, part: Schema) -> Schema:
        """What a reference to an answer or a parameter points to; anything else as it is."""
        *_, section, name = ["", "", *str(part.get("$ref", "")).split("/")]
        found: Schema = self._components.get(section, {}).get(name, part)
        return found

    def fields(self, schema: Schema, depth: int = 0) -> str:
        """A table of the fields of the object, or the type in words if it is none."""
        schema = self._resolve(schema)
        properties: Schema = schema.get("properties", {})
        if not properties:
            return f'<p class="type">{self.words(schema)}</p>'
        required = set(schema.get("required", ()))
        rows = "".join(
            self._row(name, field, is_required=name in required, depth=depth)
            for name, field in properties.items()
        )
        return (
            '<table class="fields"><thead><tr><th scope="col">Field</th>'
            '<th scope="col">Type</th><th scope="col">Meaning</th></tr></thead>'
            f"<tbody>{rows}</tbody></table>"
        )

    def words(self, schema: Schema) -> str:
        """The type in a few words, as HTML."""
        name = _reference(schema)
        if name:
            target = self._schemas.get(name, {})
            return self.words(target) if _is_plain(target) else f"<code>{escape(name)}</code>"
        parts = schema.get("anyOf") or schema.get("oneOf")
        if parts:
            return " or ".join(dict.fromkeys(self.words(part) for part in parts))
        if "const" in schema:
            return _value(schema["const"])
        if "enum" in schema:
            return _values(schema["enum"])
        return self._typed(schema)

    def _typed(self, schema: Schema) -> str:
        kind = schema.get("type", "any value")
        if isinstance(kind, list):
            return " or ".join(escape(str(one)) for one in kind)
        if kind == "array":
            return f"array of {self.words(schema.get('items', {}))}"
        return escape(str(kind))

    def _row(self, name: str, field: Schema, *, is_required: bool, depth: int) -> str:
        mark = ' <span class="required">required</span>' if is_required else ""
        meaning = "".join(self._meaning(field))
        nested = self._nested(name, field, depth)
        return (
            f'<tr><th scope="row"><code>{escape(name)}</code>{mark}</th>'
            f"<td>{self.words(field)}</td><td>{meaning}{nested}</td></tr>"
        )

    def _meaning(self, field: Schema) -> Iterator[str]:
        whole = {**self._resolve(field), **field} if _reference(field) else field
        bounds = [text.format(whole[key]) for key, text in _BOUNDS.items() if key in whole]
        for part in whole.get("anyOf", ()):
            bounds += [text.format(part[key]) for key, text in _BOUNDS.items() if key in part]
        if "description" in field:
            yield f"<p>{escape(str(field['description']))}</p>"
        if bounds:
            yield f'<p class="bounds">{escape(", ".join(dict.fromkeys(bounds)))}</p>'
        if field.get("default") is not None:
            yield f'<p class="bounds">default {_value(field["default"])}</p>'

    def _nested(self, name: str, field: Schema, depth: int) -> str:
        inner = self._object_in(field)
        if inner is None or depth >= DEPTH_MAX:
            return ""
        return (
            f"<details><summary>Fields of <code>{escape(name)}</code></summary>"
            f"{self.fields(inner, depth + 1)}</details>"
        )

    def _object_in(self, field: Schema) -> Schema | None:
        """The first object with fields of its own in a field: itself, an item or an alternative."""
        resolved = self._resolve(field)
        if resolved.get("properties"):
            return resolved
        inner = [resolved["items"]] if isinstance(resolved.get("items"), Mapping) else []
        inner += [*resolved.get("anyOf", ()), *resolved.get("oneOf", ())]
        found = (self._object_in(part) for part in inner if part)
        return next((one for one in found if one is not None), None)

    def _resolve(self, schema: Schema) -> Schema:
        for _ in range(DEPTH_MAX):
            name = _reference(schema)
            if not name:
                break
            schema = self._schemas.get(name, {})
        return schema


def _reference(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _is_plain(schema: Schema) -> bool:
    return bool(schema) and not schema.get("properties")


def _value(value: Any) -> str:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return f"<code>{escape(shown)}</code>"


def _values(values: list[Any]) -> str:
    shown = " | ".join(_value(value) for value in values[:VALUES_MAX])
    return f"{shown} | …" if len(values) > VALUES_MAX else shown
