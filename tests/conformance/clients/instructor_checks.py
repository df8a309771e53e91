"""instructor: values by tool, by schema and by JSON mode; a stream of partial values."""

import instructor
import openai
import pytest
from pydantic import BaseModel
from served import MODEL, PERSON, PERSON_QUESTION

MESSAGES = [{"role": "user", "content": PERSON_QUESTION}]


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def client(mode: instructor.Mode) -> instructor.Instructor:
    return instructor.from_openai(openai.OpenAI(max_retries=0), mode=mode)


@pytest.mark.parametrize("mode", ["TOOLS", "TOOLS_STRICT", "JSON_SCHEMA"])
def test_a_value_has_the_facts(mode: str) -> None:
    value = client(instructor.Mode[mode]).chat.completions.create(
        model=MODEL,
        temperature=0,
        max_retries=0,
        response_model=Person,
        messages=MESSAGES,
    )
    assert value.age == PERSON["age"]


def test_partial_values_grow_into_the_whole() -> None:
    values = list(
        client(instructor.Mode.JSON_SCHEMA).chat.completions.create_partial(
            model=MODEL, temperature=0, max_retries=0, response_model=Person, messages=MESSAGES
        )
    )
    assert len(values) > 1
    assert values[-1].age == PERSON["age"]
