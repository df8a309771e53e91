"""An engine in vLLM's manner that streams at a steady pace from one thread, for load on a gateway.

    python benches/load/pacing_engine.py --pause-ms 20

Prints its port and serves until it is killed. `max_tokens` of a request is how many words it makes,
one each pause; a JSON answer comes after all of them. A user who says `Pour.` gets a stream of
4 KiB words without a pause.
"""

import argparse
import asyncio
import json
import resource
from typing import Any, cast

import uvloop

MODEL = "paced-chat"
POUR = "Pour."
POURED_WORD_BYTES = 4_096
CARD = {"id": MODEL, "object": "model", "created": 1, "owned_by": "vllm", "max_model_len": 4096}
GETS: dict[str, Any] = {
    "/version": {"version": "0.32.0"},
    "/health": {},
    "/v1/models": {"object": "list", "data": [CARD]},
}
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def whole(status: int, body: Any) -> bytes:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


def chunk(data: Any) -> bytes:
    event = b"data: %s\n\n" % (data if isinstance(data, bytes) else json.dumps(data).encode())
    return b"%x\r\n%s\r\n" % (len(event), event)


def answer(choices: list[Any], made: int) -> dict[str, Any]:
    usage = {"prompt_tokens": 3, "completion_tokens": made, "total_tokens": 3 + made}
    return {"id": "chatcmpl-1", "created": 1, "model": MODEL, "choices": choices, "usage": usage}


class Connection(asyncio.Protocol):
    """One connection; a client that goes stops its stream."""

    transport: asyncio.Transport
    at_once = at_once_most = 0  # of all connections together

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s
        self.received = b""
        self.timer: asyncio.TimerHandle | None = None
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.leave()

    def data_received(self, data: bytes) -> None:
        self.received += data
        end = self.received.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        head = self.received[:end].decode("latin-1").lower()
        _, _, length = head.partition("content-length:")
        size = int(length.split("\r\n")[0]) if length else 0
        if len(self.received) < end + size:
            return
        body, self.received = self.received[end : end + size], self.received[end + size :]
        method, target, _ = head.split(" ", 2)
        if method == "get":
            found = GETS.get(target)
            if target == "/peak":
                found = {"at_once": Connection.at_once_most}
            status = 405 if target == "/v1/chat/completions" else 404 if found is None else 200
            self.transport.write(whole(status, found or {"detail": "Not Found"}))
            return
        asked = json.loads(body)
        if not asked["messages"]:  # as a house asks whether tools are parsed
            self.transport.write(whole(400, {"error": {"message": "no messages"}}))
            return
        count = asked.get("max_tokens") or 5
        Connection.at_once += 1
        Connection.at_once_most = max(Connection.at_once, Connection.at_once_most)
        if asked.get("stream"):
            self.transport.write(STREAM_HEAD)
            if asked["messages"][-1]["content"] == POUR:
                self.pour(count)
            else:
                self.stream(1, count)
        else:
            self.timer = self.loop.call_later(self.pause_s * count, self.finish, count)

    def leave(self) -> None:
        self.timer = None
        Connection.at_once -= 1

    def finish(self, count: int) -> None:
        self.leave()
        message = {"role": "assistant", "content": "word " * count}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.transport.write(whole(200, answer([choice], count)))

    def stream(self, made: int, count: int) -> None:
        if made < count:
            self.timer = self.loop.call_later(self.pause_s, self.stream, made + 1, count)
        self.write_word(f"w{made} ", made, count)

    def pour(self, count: int) -> None:
        for made in range(1, count + 1):
            self.write_word(f"w{made} ".ljust(POURED_WORD_BYTES, "."), made, count)

    def write_word(self, word: str, made: int, count: int) -> None:
        finish = "stop" if made == count else None
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": finish}
        frames = chunk(answer([choice], made))
        if made == count:
            frames += chunk(answer([], count)) + chunk(b"[DONE]") + b"0\r\n\r\n"
            self.leave()
        self.transport.write(frames)


async def serve(pause_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(pause_s), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    reader = argparse.ArgumentParser(description="A steady engine.")
    reader.add_argument("--pause-ms", type=float, default=20)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(serve(reader.parse_args().pause_ms / 1000))


if __name__ == "__main__":
    main()
