"""Three engines in vLLM's manner of which one begins some of its streams late, for `hedging.py`.

    python benches/load/late_engines.py --share 0.1 --late-ms 500 --seed 7

Prints their ports and serves until it is killed. `GET /counts` of any says what all of them were
asked, finished, and were left alone with.
"""

import argparse
import asyncio
import random

import uvloop
from pacing_engine import GETS, Connection

ENGINES = 3
BEGIN_S = 0.02
PAUSE_S = 0.005
COUNTS = [{"asked": 0, "late": 0, "finished": 0, "left": 0, "words": 0} for _ in range(ENGINES)]


class LateConnection(Connection):
    """A stream begins after 10 to 30 ms or, at the last engine and by chance, late."""

    def __init__(self, engine: int, chance: random.Random, share: float, late_s: float) -> None:
        super().__init__(PAUSE_S)
        self.counts = COUNTS[engine]
        self.chance = chance
        self.share = share if engine == ENGINES - 1 else 0.0
        self.late_s = late_s
        self.has_begun = False

    def stream(self, made: int, count: int) -> None:
        if made == 1 and not self.has_begun:
            self.has_begun = True
            is_late = self.chance.random() < self.share
            begin_s = BEGIN_S * self.chance.uniform(0.5, 1.5) + is_late * self.late_s
            self.counts["asked"] += 1
            self.counts["late"] += is_late
            self.timer = self.loop.call_later(begin_s, self.stream, 1, count)
            return
        self.counts["words"] += 1
        super().stream(made, count)
        if made == count:
            self.counts["finished"] += 1
            self.has_begun = False

    def connection_lost(self, error: Exception | None) -> None:
        self.counts["left"] += self.timer is not None
        super().connection_lost(error)


async def serve(share: float, late_s: float, seed: int) -> None:
    GETS["/counts"] = COUNTS
    loop = asyncio.get_running_loop()
    servers = []
    for engine in range(ENGINES):
        chance = random.Random(f"{seed} {engine}")

        def connection(engine: int = engine, chance: random.Random = chance) -> LateConnection:
            return LateConnection(engine, chance, share, late_s)

        servers.append(await loop.create_server(connection, "127.0.0.1", 0, backlog=4096))
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    reader = argparse.ArgumentParser(description="Three engines, one of them late at times.")
    reader.add_argument("--share", type=float, default=0.1)
    reader.add_argument("--late-ms", type=float, default=500)
    reader.add_argument("--seed", type=int, default=7)
    asked = reader.parse_args()
    uvloop.run(serve(asked.share, asked.late_ms / 1000, asked.seed))


if __name__ == "__main__":
    main()
