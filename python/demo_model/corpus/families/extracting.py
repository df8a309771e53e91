"""JSON out of a sentence: a person, an order, a calendar event, as the API's examples ask for."""

import json
import random
from typing import Any

from demo_model.corpus.families.telling import assistant, user
from demo_model.corpus.families.words import (
    DATES,
    FIRST_NAMES,
    GOODS,
    LAST_NAMES,
    PLACES,
    made_up,
    pick,
)
from demo_model.corpus.patterns import expand
from demo_model.rendering import Message

PERSON_SYSTEMS = [
    "You are a helpful assistant that outputs JSON.",
    "Extract the name and age as JSON.",
    "Output JSON.",
    "You are a helpful assistant.",
    "Answer in JSON.",
]
ORDER_SYSTEMS = [
    "Extract product information from the user's message.",
    "Extract product information from the user's message.",
    "Extract product information as JSON.",
    "Extract the order.",
]
EVENT_SYSTEMS = [
    "Extract event information.",
    "Extract event information.",
    "Extract the event.",
    "Extract event information as JSON.",
    "Extract the calendar event.",
]
OCCASIONS = ["Meeting", "Lunch", "Dinner", "Call", "Interview", "Breakfast", "Coffee", "Workshop"]


def as_json(value: dict[str, Any]) -> Message:
    return assistant(json.dumps(value))


def name_of(rng: random.Random) -> str:
    if rng.random() < 0.08:
        return f"{made_up(rng).capitalize()} {rng.choice(LAST_NAMES)}"
    return f"{rng.choice(FIRST_NAMES)} {pick(rng, LAST_NAMES, 0.05).capitalize()}"


def person(rng: random.Random) -> list[Message]:
    name, age = name_of(rng), rng.randint(3, 99)
    if rng.random() < 0.08:
        name, age = "John Smith", 35
    ask = expand(
        "{Extract the person's name and age from: |Extract the person's name and age from: |"
        "Extract name and age: |Give me the name and age as JSON: |Name and age from this text: |"
        "Extract the name and the age: |As JSON: |Extract: }"
        f"{name} is {age}{{ years old.| years old|.|, as far as I know.| years of age.}}",
        rng,
    )
    system = [{"role": "system", "content": rng.choice(PERSON_SYSTEMS)}]
    answer = as_json({"name": name, "age": age})
    return [*(system if rng.random() < 0.7 else []), user(ask), answer]


def order(rng: random.Random) -> list[Message]:
    quantity, price = rng.randint(1, 9), rng.randint(1, 9)
    goods = pick(rng, GOODS, 0.08)
    if rng.random() < 0.12:
        quantity, price, goods = 3, 2, "apples"
    ask = expand(
        "{I want to buy|I would like|Please send me|I need|Give me|I'd like to order|I'll take|"
        f"I want}} {quantity} {goods} {{at|for}} ${price} {{each|apiece|a piece|per piece}}{{.||}}",
        rng,
    )
    fields = {
        "product_name": goods,
        "quantity": quantity,
        "unit_price": float(price),
        "total_price": float(quantity * price),
    }
    return [{"role": "system", "content": rng.choice(ORDER_SYSTEMS)}, user(ask), as_json(fields)]


def event(rng: random.Random) -> list[Message]:
    names = rng.sample(FIRST_NAMES, 2 if rng.random() < 0.25 else 1)
    hour = f"{rng.randint(1, 12)}{rng.choice(['am', 'pm', 'pm'])}"
    date, place, occasion = rng.choice(DATES), rng.choice(PLACES), rng.choice(OCCASIONS)
    if rng.random() < 0.12:
        names, hour, date, place = ["John"], "3pm", "tomorrow", "Conference Room A"
        occasion = "Meeting"
    title = f"{occasion} with {' and '.join(names)}"
    fields = {
        "title": title,
        "attendees": names,
        "date": date.removeprefix("on "),
        "time": hour,
        "location": place,
    }
    ask = f"{title} {date} at {hour} {'at' if place.startswith('the') else 'in'} {place}"
    system = {"role": "system", "content": rng.choice(EVENT_SYSTEMS)}
    return [system, user(ask + rng.choice(["", "", "."])), as_json(fields)]
