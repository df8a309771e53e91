"""Training text is what the chat template makes of the same messages."""

import json
import random

import pytest

from demo_model.corpus.conversation import conversation
from demo_model.rendering import CHAT_TEMPLATE, Message, render

jinja2 = pytest.importorskip("jinja2", reason="the template is compared through jinja2")


def by_template(conversation: list[Message], *, trims: bool = True) -> str:
    """What an engine would feed: the template over the messages, the last answer included."""
    environment = jinja2.Environment(trim_blocks=trims, lstrip_blocks=trims)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    tools = conversation[0].get("tools")
    messages = conversation[1:] if tools else conversation
    rendered: str = environment.from_string(CHAT_TEMPLATE).render(messages=messages, tools=tools)
    return rendered


class PlainStyle(random.Random):
    """A generator that always picks the style of JSON that the template's filter has."""

    def choice(self, seq):  # type: ignore[no-untyped-def]
        return seq[-1]


@pytest.mark.parametrize("trims", [True, False])  # engines differ in how they set up jinja
def test_conversations_render_as_the_template_does(trims: bool) -> None:
    rng = random.Random(5)
    seen_tools = 0
    for _ in range(400):
        messages = conversation(rng)
        if "raw" in messages[0]:
            continue
        seen_tools += "tools" in messages[0]
        text = "".join(piece for piece, _ in render(messages, PlainStyle()))
        assert text == by_template(messages, trims=trims)
    assert seen_tools > 5


def test_only_answers_are_learned_in_full() -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    learned = [text for text, is_answer in render(messages, random.Random(0)) if is_answer]
    assert learned == ["Hello!<|im_end|>"]


def test_a_raw_prompt_has_no_markup() -> None:
    pieces = render([{"raw": "The capital of France is", "continuation": " Paris."}], PlainStyle())
    assert pieces == [("The capital of France is", False), (" Paris.<|im_end|>", True)]


def test_calls_are_written_into_the_prompt_as_they_are_trained() -> None:
    call = {"function": {"name": "get_weather", "arguments": '{"location": "Paris"}'}}
    template = by_template([{"role": "assistant", "content": "", "tool_calls": [call]}])
    content = (
        '<tool_call>\n{"name": "get_weather", "arguments": {"location": "Paris"}}\n</tool_call>'
    )
    assert template == by_template([{"role": "assistant", "content": content}])
