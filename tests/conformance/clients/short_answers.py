"""A hook for schemathesis: an answer that nobody gave a length is short, so that many are asked."""

from typing import Any

import schemathesis


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    is_generated = context.operation.path in ("/chat/completions", "/completions")
    if is_generated and isinstance(body, dict) and "max_completion_tokens" not in body:
        body.setdefault("max_tokens", 2)
    return body
