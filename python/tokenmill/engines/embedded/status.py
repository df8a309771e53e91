"""What the engine says of itself: /health, /version, /v1/models, /metrics."""

import importlib.metadata

from msgspec import Struct

from tokenmill import clock
from tokenmill.engines.embedded.answers import ENCODER
from tokenmill.engines.embedded.metrics import Gauges
from tokenmill.engines.embedded.service import Answer, Service

OWNER = "tokenmill"
EXPOSITION = b"text/plain; version=0.0.4; charset=utf-8"


class Card(Struct, kw_only=True):
    """A model in /v1/models. `task` is ours: vLLM does not say what a model is for."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = OWNER
    root: str
    parent: str | None = None
    max_model_len: int | None
    task: str


class CardList(Struct):
    """The answer of /v1/models."""

    object: str
    data: list[Card]


def health(service: Service) -> Answer:
    """Empty 200 when the model answers. Raises: Busy, while it loads."""
    service.loaded()
    return Answer(b"")


def version(_: Service) -> Answer:
    """The version of mistral.rs."""
    return Answer(ENCODER.encode({"version": importlib.metadata.version("mistralrs")}))


def list_models(service: Service) -> Answer:
    """The model, its adapters, the embedding model. Raises: Busy, while the model loads."""
    model = service.loaded()
    base = model.card
    cards = [
        Card(
            id=base.id,
            created=service.started_s,
            root=base.root,
            max_model_len=base.context_tokens,
            task="generate",
        )
    ]
    cards += [
        Card(
            id=adapter.name,
            created=adapter.created,
            root=adapter.path,
            parent=base.id,
            max_model_len=base.context_tokens,
            task="generate",
        )
        for adapter in model.adapters.values()
    ]
    if service.embedder is not None:
        embedder = service.embedder
        cards.append(
            Card(
                id=embedder.id,
                created=service.started_s,
                root=embedder.id,
                max_model_len=embedder.context_tokens,
                task="embed",
            )
        )
    return Answer(ENCODER.encode(CardList("list", cards)))


def metrics(service: Service) -> Answer:
    """The counters as Prometheus text."""
    sequences = service.sequences
    context = service.model.card.context_tokens if service.model else 1
    gauges = Gauges(
        model=service.model.card.id if service.model else "",
        running=sequences.running,
        waiting=sequences.waiting,
        context_share=min(1.0, service.metrics.held_tokens / (context * sequences.running_max)),
        adapters=tuple(sorted(service.metrics.running_adapters)),
        adapters_max=service.model.card.adapters_max if service.model else 0,
        wall_s=clock.wall_s(),
    )
    return Answer(service.metrics.render(gauges).encode(), content_type=EXPOSITION)
