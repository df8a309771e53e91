"""What the tokens of a model cost: pure, from settings to the price of a route."""

from msgspec import Struct

from tokenmill.engines.recognition import Task
from tokenmill.settings import PriceSettings

_NANOS_MAX = 1_000_000_000_000


class Price(Struct, frozen=True):
    """Nanos (billionths of a dollar) a token of the prompt, of the cached prompt, made."""

    prompt: int
    cached: int
    completion: int


FREE = Price(0, 0, 0)


def price_of(prices: PriceSettings, model: str, task: Task) -> Price:
    """The price of a model that everyone may use. Raises: ValueError, as `parse_price`."""
    named = prices.models.get(model)
    if named is not None:
        return parse_price(named)
    if task == "embed":
        return Price(prices.embedding_nanos, prices.embedding_nanos, 0)
    return Price(prices.prompt_nanos, prices.cached_nanos, prices.completion_nanos)


def dedicated_price_of(prices: PriceSettings, model: str) -> Price:
    """The price of a model on an account's own engines: nothing, unless it is named."""
    named = prices.models.get(model)
    return FREE if named is None else parse_price(named)


def parse_price(text: str) -> Price:
    """The price of `prompt/completion` or `prompt/cached/completion`. Raises: ValueError."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(f"{text!r} is no price; write prompt/completion in whole nanos: 100/300")
    numbers = [int(part) for part in parts]
    if max(numbers) > _NANOS_MAX:
        raise ValueError(f"{text!r} is no price: a token costs at most {_NANOS_MAX} nanos")
    return Price(numbers[0], numbers[-2] if len(parts) == 3 else numbers[0], numbers[-1])
