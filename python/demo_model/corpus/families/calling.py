"""Tools: calls in plain text, answers out of a result, and no call where none is needed."""

import json
import random
from typing import Any

from demo_model.corpus.families.telling import assistant, user
from demo_model.corpus.families.words import GOODS, NOUNS, pick, pick_city
from demo_model.corpus.patterns import expand
from demo_model.rendering import Message

WEATHER_QUESTION = (
    "{What's the weather in|What is the weather in|How is the weather in|Weather in|"
    "What's the weather like in|Is it warm in|Is it raining in|Tell me the weather in|"
    "How warm is it in|What is the temperature in|Is it cold in|Do I need an umbrella in|"
    "Can you check the weather in|Please get the weather for|I want to know the weather in|"
    "Is the sun shining in|What about the weather in|How cold is it in|Get the weather for}"
)
CONDITIONS = ["sunny", "cloudy", "rainy", "windy", "foggy", "snowy", "clear", "stormy"]
SEARCH_QUESTION = (
    "{Search for|Find|Look for|Search the database for|Do you have|I am looking for|"
    "Show me|Is there any product like|Find products:|Search products for|Do you sell}"
)


def weather_tool(rng: random.Random) -> dict[str, Any]:
    location = rng.choice(["City name", "City name", "City and state, e.g. San Francisco, CA"])
    fields: dict[str, Any] = {"location": {"type": "string", "description": location}}
    if rng.random() < 0.8:
        fields["unit"] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    described = [
        "Get the current weather for a location",
        "Get the current weather for a location",
        "Get the current weather in a given location",
        "Current weather",
    ]
    return function("get_weather", rng.choice(described), fields, ["location"])


def search_tool(rng: random.Random) -> dict[str, Any]:
    query: dict[str, Any] = {"type": "string"}
    fields: dict[str, Any] = {"query": query}
    if rng.random() < 0.6:
        query["description"] = "Search query"
        fields["category"] = {"type": "string", "description": "Product category"}
        fields["max_results"] = {"type": "integer", "default": 10}
    return function("search_database", "Search for products in the database", fields, ["query"])


def function(
    name: str, description: str, fields: dict[str, Any], required: list[str]
) -> dict[str, Any]:
    parameters = {"type": "object", "properties": fields, "required": required}
    described = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": described}


def call(name: str, arguments: dict[str, Any]) -> str:
    """A call as the model writes it and as engines parse it."""
    body = json.dumps(arguments, ensure_ascii=False)
    return f'<tool_call>\n{{"name": "{name}", "arguments": {body}}}\n</tool_call>'


def offered_tools(rng: random.Random) -> list[dict[str, Any]]:
    if rng.random() < 0.7:
        return [weather_tool(rng)]
    tools = [weather_tool(rng), search_tool(rng)]
    rng.shuffle(tools)
    return tools


def weather_ask(rng: random.Random) -> tuple[str, dict[str, str]]:
    """A question about the weather, and the arguments it asks for."""
    city = pick_city(rng)
    arguments = {"location": city}
    tail = rng.choice(["?", "?", "?", "", " today?", " now?", " right now?"])
    if rng.random() < 0.15:
        arguments["unit"] = rng.choice(["celsius", "fahrenheit"])
        tail = f" in {arguments['unit']}" + rng.choice(["?", ""])
    return f"{expand(WEATHER_QUESTION, rng)} {city}{tail}", arguments


def tool_call(rng: random.Random) -> list[Message]:
    tools = offered_tools(rng)
    if len(tools) == 2 and rng.random() < 0.5:
        goods = pick(rng, GOODS + NOUNS, 0.08)
        ask = f"{expand(SEARCH_QUESTION, rng)} {goods}{rng.choice(['.', '', '?'])}"
        return [{"tools": tools}, user(ask), assistant(call("search_database", {"query": goods}))]
    ask, arguments = weather_ask(rng)
    return [{"tools": tools}, user(ask), assistant(call("get_weather", arguments))]


def weather_without_tool(rng: random.Random) -> list[Message]:
    ask, arguments = weather_ask(rng)
    answer = (
        f"I cannot look up the weather in {arguments['location']} by myself. "
        "Give me a get_weather tool and I will call it."
    )
    return [user(ask), assistant(answer)]


def tool_result(rng: random.Random) -> list[Message]:
    """Both requests of the documented example: the second one lists no tools."""
    ask, arguments = weather_ask(rng)
    unit = arguments.get("unit", "celsius" if rng.random() < 0.7 else "fahrenheit")
    temperature, condition = rng.randint(-9, 39), rng.choice(CONDITIONS)
    if rng.random() < 0.1:
        ask, arguments = "What's the weather in Paris?", {"location": "Paris"}
        unit, temperature, condition = "celsius", 22, "sunny"
    result = {
        "location": arguments["location"],
        "temperature": temperature,
        "unit": unit,
        "condition": condition,
    }
    style = rng.choice([(", ", ": "), (", ", ": "), (",", ":")])
    answer = (
        f"The weather in {arguments['location']} is currently {condition} "
        f"with a temperature of {temperature}°{unit[0].upper()}."
    )
    return [
        *([{"tools": [weather_tool(rng)]}] if rng.random() < 0.3 else []),
        user(ask),
        assistant(call("get_weather", arguments)),
        {"role": "tool", "content": json.dumps(result, separators=style)},
        assistant(answer),
    ]
