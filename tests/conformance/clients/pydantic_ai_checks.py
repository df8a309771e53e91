"""pydantic-ai: text, a stream, output types by tool and by schema, a tool that is run."""

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, Tool, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.settings import ModelSettings
from served import (
    MODEL,
    PERSON,
    PERSON_QUESTION,
    WEATHER_ARGUMENTS,
    WEATHER_QUESTION,
    WEATHER_TOOL,
)

CHAT = OpenAIChatModel(MODEL)
EXACT = ModelSettings(temperature=0)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


async def test_an_answer_has_text_and_usage() -> None:
    answer = await Agent(CHAT, model_settings=EXACT).run("What is the capital of France?")
    assert "Paris" in answer.output
    assert answer.usage.output_tokens > 0


async def test_a_stream_says_what_the_answer_says() -> None:
    agent = Agent(CHAT, model_settings=EXACT)
    whole = await agent.run("What is the capital of France?")
    async with agent.run_stream("What is the capital of France?") as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
        assert "".join(pieces) == whole.output
        assert len(pieces) > 1
        assert stream.usage == whole.usage


async def test_an_output_type_is_filled_by_a_schema() -> None:
    agent = Agent(CHAT, output_type=NativeOutput(Person), model_settings=EXACT)
    assert (await agent.run(PERSON_QUESTION)).output == Person(**PERSON)


async def test_an_output_type_is_filled_by_a_tool() -> None:
    """Filled by its shape: neither model has learnt to fill this one with the facts."""
    agent = Agent(CHAT, output_type=ToolOutput(Person), model_settings=EXACT)
    assert isinstance((await agent.run(PERSON_QUESTION)).output, Person)


async def test_a_tool_is_run_and_its_result_used() -> None:
    asked: list[dict[str, str]] = []

    def get_weather(**arguments: str) -> str:
        asked.append(arguments)
        return "sunny"

    function = WEATHER_TOOL["function"]
    tool = Tool.from_schema(
        get_weather, "get_weather", function["description"], function["parameters"]
    )
    answer = await Agent(CHAT, tools=[tool], model_settings=EXACT).run(WEATHER_QUESTION)
    assert asked == [WEATHER_ARGUMENTS]
    assert "sun" in answer.output.lower()
