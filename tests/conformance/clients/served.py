"""What the model behind the house knows by heart; the address and the key every client reads itself
from OPENAI_BASE_URL and OPENAI_API_KEY."""

import os
from typing import Any

MODEL = os.environ["CLIENT_MODEL"]
EMBEDDINGS = os.environ["CLIENT_EMBEDDINGS"]

WEATHER_QUESTION = os.environ["CLIENT_WEATHER_QUESTION"]
WEATHER_ARGUMENT = os.environ["CLIENT_WEATHER_ARGUMENT"]
WEATHER_ARGUMENTS = {WEATHER_ARGUMENT: "Paris"}
WEATHER_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather",
        "parameters": {
            "type": "object",
            "properties": {WEATHER_ARGUMENT: {"type": "string"}},
            "required": [WEATHER_ARGUMENT],
            "additionalProperties": False,
        },
    },
}

PERSON_QUESTION = os.environ["CLIENT_PERSON_QUESTION"]
PERSON = {
    "name": os.environ["CLIENT_PERSON_NAME"],
    "age": int(os.environ["CLIENT_PERSON_AGE"]),
}
