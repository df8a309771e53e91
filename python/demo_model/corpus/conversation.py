"""The mix: one random conversation of the corpus, of intents, families and plain completions."""

import random
from collections.abc import Callable

from demo_model.corpus.families import calling, extracting, telling
from demo_model.corpus.intents import pick_intent
from demo_model.corpus.roughness import roughen
from demo_model.rendering import Message

FAMILY_SHARE = 0.36
RAW_SHARE = 0.06
SECOND_TURN_SHARE = 0.15
SYSTEM_SHARE = 0.3

FAMILIES: dict[Callable[[random.Random], list[Message]], float] = {
    telling.story: 7,
    telling.capital: 4,
    telling.counting: 3,
    telling.sum_of_two: 4,
    telling.summary: 3,
    telling.gibberish: 2,
    extracting.person: 6,
    extracting.order: 4,
    extracting.event: 6,
    calling.tool_call: 7,
    calling.tool_result: 6,
    calling.weather_without_tool: 4,
}
TOOLS_UNUSED_SHARE = 0.03  # of all conversations: tools are there, the question needs none
SYSTEMS = [
    "You are a helpful assistant.",
    "You are a helpful assistant.",
    "You are a helpful AI assistant.",
    "You are a friendly assistant.",
    "Answer briefly.",
    "You are tokenmill's assistant.",
    "Be concise.",
    "You are a helpful customer service agent.",
]


def ask_intent(rng: random.Random) -> list[Message]:
    intent = pick_intent(rng)
    question = roughen(intent.question(rng), rng)
    return [telling.user(question), telling.assistant(intent.answer, is_fixed=True)]


def turn(rng: random.Random) -> list[Message]:
    """One question with its answer; a family's may bring a system message or tools."""
    if rng.random() < FAMILY_SHARE:
        family = rng.choices(list(FAMILIES), list(FAMILIES.values()))[0]
        return family(rng)
    messages = ask_intent(rng)
    if rng.random() < TOOLS_UNUSED_SHARE:
        return [{"tools": calling.offered_tools(rng)}, *messages]
    return messages


def completion(rng: random.Random) -> list[Message]:
    """A plain completion: a question and its answer, or a sentence and its rest; no markup."""
    if rng.random() < 0.15:
        question, answer = telling.capital(rng)
        country, city = answer["content"].removeprefix("The capital of ").split(" is ")
        return [{"raw": f"The capital of {country} is", "continuation": f" {city}"}]
    if rng.random() < 0.15:
        told = telling.story(rng)[-1]["content"]
        cut = told.index(" ", rng.randint(8, 60))
        return [{"raw": told[:cut], "continuation": told[cut:]}]
    question, answer = (message["content"] for message in ask_intent(rng))
    if rng.random() < 0.6:
        return [{"raw": question, "continuation": f" {answer}"}]
    words = answer.split(" ")
    cut = rng.randint(min(3, len(words) - 1), max(3, len(words) // 2)) if len(words) > 4 else 0
    if cut == 0:
        return [{"raw": question, "continuation": f" {answer}"}]
    return [{"raw": " ".join(words[:cut]), "continuation": " " + " ".join(words[cut:])}]


def conversation(rng: random.Random) -> list[Message]:
    """A list of messages; `rendering.render` says what its first entry may be besides."""
    if rng.random() < RAW_SHARE:
        return completion(rng)
    messages = turn(rng)
    while rng.random() < SECOND_TURN_SHARE and "tools" not in messages[0]:
        messages = messages + ask_intent(rng)
    if messages[0].get("role") == "user" and rng.random() < SYSTEM_SHARE:
        messages = [{"role": "system", "content": rng.choice(SYSTEMS)}, *messages]
    return messages
