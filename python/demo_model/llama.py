"""The network: a small Llama in JAX, and its loss over packed conversations.

Grouped-query attention, RoPE in Hugging Face's layout, SwiGLU, RMSNorm, tied embeddings. Knows
nothing of text, files or the optimizer. Parameters are one pytree whose layer matrices are stacked
(layers, rows, columns), which is what Muon wants.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """Sizes of the network. 4.7 million parameters are 9.4 MB in float16."""

    hidden: int = 256
    layers: int = 6
    heads: int = 8
    kv_heads: int = 4
    ffn: int = 640
    vocabulary: int = 2048
    context: int = 2048
    rope_theta: float = 10_000.0
    epsilon: float = 1e-5

    @property
    def head(self) -> int:
        return self.hidden // self.heads

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Batch(NamedTuple):
    """Packed rows. The arrays are (rows, length), but `chosen`.

    `documents` keeps attention inside a conversation; `weights` is the loss weight of each target;
    `chosen` are the flat positions whose targets are scored, always the same count.
    """

    tokens: Any
    targets: Any
    documents: Any
    positions: Any
    weights: Any
    chosen: Any


def initialize(shape: Shape, seed: int) -> Parameters:
    """Fresh parameters: scaled normal, with the layers' outputs damped."""
    keys = iter(jax.random.split(jax.random.PRNGKey(seed), 8))
    hidden, ffn, kv = shape.hidden, shape.ffn, shape.kv_heads * shape.head

    def matrix(rows: int, columns: int, scale: float = 1.0) -> jax.Array:
        normal: jax.Array = jax.random.normal(next(keys), (shape.layers, rows, columns))
        return normal * (scale * rows**-0.5)

    return {
        "embed": jax.random.normal(next(keys), (shape.vocabulary, hidden)) * 0.02,
        "norm": jnp.ones(hidden),
        "layers": {
            "q": matrix(hidden, hidden),
            "k": matrix(hidden, kv),
            "v": matrix(hidden, kv),
            "o": matrix(hidden, hidden, 0.1),
            "gate": matrix(hidden, ffn),
            "up": matrix(hidden, ffn),
            "down": matrix(ffn, hidden, 0.1),
            "attention_norm": jnp.ones((shape.layers, hidden)),
            "ffn_norm": jnp.ones((shape.layers, hidden)),
        },
    }


def normalize(x: jax.Array, gain: jax.Array, epsilon: float) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + epsilon) * gain


@jax.custom_vjp
def multiply(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """x @ matrix with bfloat16 operands and float32 sums: twice as fast on a CPU that has them."""
    return narrow_dot("rk,kc->rc", x, matrix)


def narrow_dot(formula: str, left: jax.Array, right: jax.Array) -> jax.Array:
    narrow = jnp.bfloat16
    product: jax.Array = jnp.einsum(
        formula, left.astype(narrow), right.astype(narrow), preferred_element_type=jnp.float32
    )
    return product


def multiply_forward(x: jax.Array, matrix: jax.Array) -> tuple[jax.Array, tuple[Any, Any]]:
    return multiply(x, matrix), (x, matrix)


def multiply_backward(kept: tuple[Any, Any], slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, matrix = kept
    return narrow_dot("rc,kc->rk", slope, matrix), narrow_dot("rk,rc->kc", x, slope)


multiply.defvjp(multiply_forward, multiply_backward)


def rotate(x: jax.Array, cosine: jax.Array, sine: jax.Array) -> jax.Array:
    """RoPE on halves, as Hugging Face's Llama does it (not on neighbouring pairs)."""
    first, second = jnp.split(x, 2, -1)
    return jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1)


def attention(
    shape: Shape, x: jax.Array, p: Parameters, rope: tuple[jax.Array, jax.Array], bias: jax.Array
) -> jax.Array:
    """Grouped-query attention over (rows * length, hidden); `bias` is (rows, length, length)."""
    rows, length, _ = bias.shape
    groups, kv = shape.heads // shape.kv_heads, shape.kv_heads

    def by_head(flat: jax.Array) -> jax.Array:
        return flat.reshape(rows, length, -1, shape.head)

    q = rotate(by_head(multiply(x, p["q"])), *rope) * shape.head**-0.5
    k = rotate(by_head(multiply(x, p["k"])), *rope)
    v = by_head(multiply(x, p["v"]))
    # One batched product for each row and kv head, its query heads stacked: the layout that the
    # CPU backend multiplies without transposing twice.
    q = q.reshape(rows, length, kv, groups, shape.head).transpose(0, 2, 3, 1, 4)
    q = q.reshape(rows * kv, groups * length, shape.head)
    k = k.transpose(0, 2, 3, 1).reshape(rows * kv, shape.head, length)
    v = v.transpose(0, 2, 1, 3).reshape(rows * kv, length, shape.head)
    scores = jnp.matmul(q, k).reshape(rows, kv, groups, length, length) + bias[:, None, None]
    share = jax.nn.softmax(scores, -1).reshape(rows * kv, groups * length, length)
    mixed = jnp.matmul(share, v).reshape(rows, kv, groups, length, shape.head)
    mixed = mixed.transpose(0, 3, 1, 2, 4).reshape(rows * length, shape.hidden)
    return multiply(mixed, p["o"])


def hidden_states(shape: Shape, parameters: Parameters, batch: Batch) -> jax.Array:
    """(rows * length, hidden): what the tied embedding turns into scores of the next token."""
    length = batch.tokens.shape[1]
    inverse = shape.rope_theta ** (-jnp.arange(0, shape.head, 2) / shape.head)
    angle = batch.positions[..., None] * inverse
    rope = (jnp.cos(angle)[:, :, None], jnp.sin(angle)[:, :, None])
    same = batch.documents[:, :, None] == batch.documents[:, None, :]
    seen = same & jnp.tril(jnp.ones((length, length), bool))
    bias = jnp.where(seen, 0.0, -1e9)

    def layer(x: jax.Array, p: Parameters) -> tuple[jax.Array, None]:
        x = x + attention(shape, normalize(x, p["attention_norm"], shape.epsilon), p, rope, bias)
        h = normalize(x, p["ffn_norm"], shape.epsilon)
        gated = jax.nn.silu(multiply(h, p["gate"])) * multiply(h, p["up"])
        return x + multiply(gated, p["down"]), None

    start = parameters["embed"][batch.tokens.reshape(-1)]
    x, _ = jax.lax.scan(layer, start, parameters["layers"])
    return normalize(x, parameters["norm"], shape.epsilon)


def losses(shape: Shape, parameters: Parameters, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """The weighted loss that is trained, and the loss of the answers alone that is reported.

    Only `batch.chosen` positions are scored: the vocabulary's softmax is the dearest single thing.
    """
    states = hidden_states(shape, parameters, batch)[batch.chosen]
    targets = batch.targets.reshape(-1)[batch.chosen]
    weights = batch.weights.reshape(-1)[batch.chosen]
    scores = multiply(states, parameters["embed"].T)
    # A masked sum: its gradient costs a third less on a CPU than that of a gather.
    is_target = jnp.arange(shape.vocabulary) == targets[:, None]
    surprise = jax.nn.logsumexp(scores, -1) - (scores * is_target).sum(-1)
    answer = weights == 1.0
    trained = (surprise * weights).sum() / weights.sum()
    return trained, (surprise * answer).sum() / answer.sum()
