"""Conversations to prompt texts, by the model's own chat template.

The template runs here, not in mistral.rs, which hands it only role and content: so tools and calls
reach it, and a prompt's length is known before it is sent. The environment is the one that chat
templates are written for (the Hugging Face convention).
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

from tokenmill.clock import wall_s
from tokenmill.engines.embedded.errors import BadRequest, EngineError

NO_TEMPLATE = (
    "this model has no chat template, so it cannot chat; use /v1/completions or an instruct model"
)


class PromptTemplate:
    """A model's chat template; compiled at the first use, because that costs 50 ms."""

    def __init__(self, source: str, special_tokens: dict[str, str] | None = None) -> None:
        self._source = source
        self._special_tokens = special_tokens or {}
        self._render: Callable[..., str] | None = None
        self.knows_tools = "tools" in source
        self.knows_calls = "tool_calls" in source
        self.knows_developer = "developer" in source

    def compile(self) -> None:
        """Compiles now instead of at the first use. Raises: EngineError for a broken template."""
        if self._source and self._render is None:
            self._render = _compile(self._source)

    def render(
        self,
        messages: list[dict[str, Any]],
        *,
        tools: list[dict[str, Any]] | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        """The prompt. Raises: BadRequest, when the template refuses the conversation."""
        self.compile()
        if self._render is None:
            raise BadRequest(NO_TEMPLATE, param="messages")
        return self._render(
            messages=messages,
            tools=tools,
            add_generation_prompt=add_generation_prompt,
            **self._special_tokens,
        )


def _compile(source: str) -> Callable[..., str]:
    import jinja2
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _format_now
    try:
        template = environment.from_string(source)
    except jinja2.TemplateError as error:
        raise EngineError(f"the model's chat template is broken: {error}") from None

    def render(**values: Any) -> str:
        try:
            return template.render(**values)
        except (jinja2.TemplateError, TypeError) as error:
            raise BadRequest(
                f"the model's chat template failed: {error}", param="messages"
            ) from None

    return render


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise BadRequest(message, param="messages")


def _format_now(pattern: str) -> str:
    return datetime.fromtimestamp(wall_s()).astimezone().strftime(pattern)
