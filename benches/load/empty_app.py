"""An app that answers at once, on the server that the gateway runs on: the floor of its design.

`python empty_app.py PORT`; `run.py` starts it.
"""

import sys

from tokenmill.asgi_server import AsgiServer, Message, Receive, Send, run_loop
from tokenmill.listening import listen_tcp

_TEXT = "Machine learning is what an empty app does not do; it has said this before. " * 8
ANSWER = (
    '{"id":"chatcmpl-0","object":"chat.completion","choices":[{"index":0,"message":'
    f'{{"role":"assistant","content":"{_TEXT}"}},"finish_reason":"stop"}}],'
    '"usage":{"prompt_tokens":17,"total_tokens":61,"completion_tokens":44}}'
).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def app(_scope: Message, receive: Receive, send: Send) -> None:
    """Reads the body and answers."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER, "more_body": False})


async def main() -> None:
    """Serves on the given port."""
    await AsgiServer(app, listen_tcp("127.0.0.1", int(sys.argv[1])).detach()).run()


if __name__ == "__main__":
    run_loop(main())
