"""locust: users that chat, read a stream to its end, and embed. For a load run give it a house:

locust -f locustfile.py --host http://127.0.0.1:8080 --users 20, with OPENAI_API_KEY set.
"""

import os

from locust import FastHttpUser, constant, task

HELLO = [{"role": "user", "content": "Hello!"}]


class Caller(FastHttpUser):
    """A user with no pause between its requests."""

    wait_time = constant(0)
    default_headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}  # noqa: RUF012

    @task
    def call(self) -> None:
        self.client.post("/v1/chat/completions", json={"messages": HELLO}, name="chat")
        body = {"messages": HELLO, "stream": True}
        with self.client.post(
            "/v1/chat/completions", json=body, name="stream", catch_response=True
        ) as answer:
            if not answer.text.endswith("data: [DONE]\n\n"):
                answer.failure("the stream did not end with [DONE]")
        body = {"model": "text-embedding-ada-002", "input": "A text"}
        self.client.post("/v1/embeddings", json=body, name="embeddings")
