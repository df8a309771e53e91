"""Schemas, regexes and choices made to stall or kill whoever compiles them: sixty of them.

Shapes of known holes in engines and converters (CVE-2025-57809, -58446, CVE-2026-25048, -55574 and
their kin): depth, width, products, counters, automata, references that never end.
"""

import json
from collections.abc import Iterator
from typing import Any

Bomb = tuple[str, dict[str, Any]]
STRING: dict[str, Any] = {"type": "string"}


def nested(depth: int, inner: Any, *, wrap: str) -> Any:
    """`inner` inside so many schemas."""
    for _ in range(depth):
        if wrap == "properties":
            inner = {"type": "object", "properties": {"a": inner}}
        elif wrap == "items":
            inner = {"type": "array", "items": inner}
        else:
            inner = {wrap: [inner, {"type": "null"}]}
    return inner


def pattern(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "pattern": text, **more}


def names(count: int, schema: Any) -> dict[str, Any]:
    return {f"name{index}": schema for index in range(count)}


def wide_and_deep() -> Iterator[tuple[str, Any]]:
    for depth in (15, 30, 60, 300):
        yield f"properties {depth} deep", nested(depth, STRING, wrap="properties")
    for depth in (15, 60, 300):
        yield f"items {depth} deep", nested(depth, STRING, wrap="items")
    for word in ("anyOf", "allOf", "oneOf"):
        yield f"{word} 15 deep", nested(15, STRING, wrap=word)
    for count in (1_000, 10_000):
        yield f"enum of {count}", {"enum": [f"value {index}" for index in range(count)]}
    yield "enum of floats", {"enum": [index / 7 for index in range(900)]}
    for word in ("anyOf", "oneOf"):
        branches = [{"const": f"{word}{index}"} for index in range(900)]
        yield f"{word} of 900", {word: branches}
    yield "optional patterns", {"properties": names(400, pattern("^[a-z]+[0-9]*$"))}
    yield "optional strings", {"properties": names(1_000, STRING)}
    yield "a long name", {"properties": {"x" * 60_000: STRING}, "required": ["x" * 60_000]}


def products() -> Iterator[tuple[str, Any]]:
    yield "oneOf that overlaps", {"oneOf": [pattern(f"a.*{one}") for one in "bcdefghijklm"]}
    pair = [{"type": "integer", "multipleOf": 3}, pattern("x+y")]
    choices = [{"anyOf": [*pair, pattern(f"{one}$")]} for one in "abcdefghijkl"]
    yield "a product of choices", {"allOf": choices}
    objects = [{"properties": {f"p{one}": {"const": one}}} for one in range(20)]
    either = [{"anyOf": [each, {"required": ["q"]}]} for each in objects]
    yield "a product of objects", {"allOf": either}
    yield "contains of overlaps", {"allOf": [{"contains": pattern(one)} for one in "abcdefgh"]}
    primes = [{"type": "integer", "multipleOf": one} for one in (7, 11, 13, 17, 19, 23)]
    yield "many multiples", {"allOf": primes}
    overlapping = {f"a.*{one}": {"const": one} for one in "bcdefghijkl"}
    yield "pattern properties", {"patternProperties": overlapping}
    conditions = [
        {"if": {"required": [f"a{at}"]}, "then": {"required": [f"b{at}"]}} for at in range(24)
    ]
    yield "conditions", {"allOf": conditions}
    yield "dependencies", {"dependentRequired": {f"a{at}": [f"b{at}"] for at in range(40)}}
    some = [{"properties": {f"p{at}": True}} for at in range(16)]
    yield "unevaluated", {"anyOf": some, "unevaluatedProperties": False}
    formats = [{"type": "string", "format": one} for one in ("email", "uri", "hostname")]
    yield "formats", {"allOf": formats}


def counters() -> Iterator[tuple[str, Any]]:
    yield "maxItems", {"type": "array", "items": STRING, "maxItems": 10**9}
    yield "minItems", {"type": "array", "items": STRING, "minItems": 10**6}
    yield "maxLength", {"type": "string", "maxLength": 10**9}
    yield "minLength", {"type": "string", "minLength": 10**6}
    counted = {"type": "string", "minLength": 90, "maxLength": 100}
    yield "many lengths", {"properties": names(50, counted)}
    yield "minProperties", {"type": "object", "minProperties": 500}
    yield "maxProperties", {"properties": names(60, STRING), "maxProperties": 30}
    unique = {"type": "array", "uniqueItems": True, "items": {"enum": list(range(30))}}
    yield "unique enum", unique
    yield "minContains", {"type": "array", "contains": {"const": 1}, "minContains": 10_000}
    yield "small multiple", {"type": "number", "multipleOf": 1e-300}
    yield "prime multiple", {"type": "integer", "multipleOf": 999_983}
    yield "huge bounds", {"type": "integer", "minimum": -(2**62), "maximum": 2**62}
    yield "property names", {"propertyNames": pattern("(.*a){12}"), "minProperties": 3}


def references() -> Iterator[tuple[str, Any]]:
    def to(name: str) -> dict[str, Any]:
        return {"$ref": f"#/$defs/{name}"}

    yield "itself", {"$ref": "#"}
    yield "a ring", {"$defs": {"a": to("b"), "b": to("a")}, **to("a")}
    chain = {f"d{at}": to(f"d{at + 1}") for at in range(500)}
    yield "a chain", {"$defs": chain | {"d500": STRING}, **to("d0")}
    both = {
        f"d{at}": {"properties": {"l": to(f"d{at + 1}"), "r": to(f"d{at + 1}")}} for at in range(60)
    }
    yield "doubling", {"$defs": both | {"d60": STRING}, **to("d0")}
    yield "not itself", {"not": {"$ref": "#"}}
    yield "elsewhere", {"$ref": "http://127.0.0.1:9/x"}


def patterns() -> Iterator[tuple[str, Any]]:
    for text in (
        *("(a+)+b", "(.*a){30}", "(a|aa)*c", "((a{1,50}){1,50}){1,50}"),
        *("(x.{0,400}y){9}", "\\p{L}{300}", "(.*[ab]){8}.{12}"),
    ):
        yield f"pattern {text}", pattern(text)


def bombs() -> list[Bomb]:
    """Names and the fields of a chat request."""
    found: list[Bomb] = []
    for each in (wide_and_deep, products, counters, references, patterns):
        for name, schema in each():
            named = {"name": "it", "strict": True, "schema": schema}
            found.append((name, {"response_format": {"type": "json_schema", "json_schema": named}}))
    regexes = ("(a+)+b", "(.*a){30}", "[^x]{0,900000}", "(((", "([a-f]{1,90}){1,90}")
    found += [(f"regex {regex}", {"structured_outputs": {"regex": regex}}) for regex in regexes]
    choices = [f"{index:064}" for index in range(1_000)]
    found.append(("choices", {"structured_outputs": {"choice": choices}}))
    doubling = "".join(f"r{at} ::= r{at + 1} r{at + 1}\n" for at in range(500))
    for grammar in (
        "root ::= (root root)*",
        'root ::= ((("a"{0,300}){0,300}){0,300}){0,300}',
        "root ::= [^x]{0,900000}",
        'root ::= c{0,200}\nc ::= [^"] | "\\\\" ["n]',
        f'root ::= r0{{9}}\n{doubling}r500 ::= "x"',
        "root ::= " + "(" * 5_000 + '"a"' + ")" * 5_000,
    ):
        found.append((f"grammar {grammar[:40]}", {"structured_outputs": {"grammar": grammar}}))
    return found


def body_of(bomb: Bomb, **more: Any) -> bytes:
    """A chat request with the bomb in it."""
    fields = {"model": "engine-m", "messages": [{"role": "user", "content": "Hi"}], **bomb[1]}
    return json.dumps(fields | more).encode()
