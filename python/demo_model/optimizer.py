"""One optimizer step: Muon for the layers' matrices, Adam for embeddings and norms.

Muon (Keller Jordan, 2024) replaces a matrix's momentum by the nearest orthogonal matrix. On this
corpus it learns several times faster than Adam alone. The learning rate's schedule is the caller's.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from demo_model.llama import Batch, Parameters, Shape, losses

MATRIX_RATE = 0.02
MATRIX_MOMENTUM = 0.95
MATRIX_DECAY = 0.05  # of the rate; keeps the float16 export in range
VECTOR_RATE = 0.003
VECTOR_MOMENTS = (0.9, 0.98)
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan's quintic: five rounds are enough

State = tuple[Any, Any]


class Pace(NamedTuple):
    """`rate` scales both learning rates; `number` is that of this step, from 1."""

    rate: float
    number: float


def fresh_state(parameters: Parameters) -> State:
    """First and second moments, all zero."""
    zeros = partial(jax.tree.map, jnp.zeros_like)
    return zeros(parameters), zeros(parameters)


def orthogonal(gradient: jax.Array) -> jax.Array:
    """The nearest orthogonal matrices of a stack, by Newton-Schulz iterations."""
    a, b, c = NEWTON_SCHULZ
    is_tall = gradient.shape[-2] > gradient.shape[-1]
    x = jnp.swapaxes(gradient, -1, -2) if is_tall else gradient
    x = x / (jnp.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-7)
    for _ in range(5):
        square = x @ jnp.swapaxes(x, -1, -2)
        x = a * x + (b * square + c * square @ square) @ x
    return jnp.swapaxes(x, -1, -2) if is_tall else x


@partial(jax.jit, static_argnums=(0,), donate_argnums=(1, 2))
def step(
    shape: Shape, parameters: Parameters, state: State, batch: Batch, pace: Pace
) -> tuple[Parameters, State, jax.Array]:
    """One update, and the answers' loss before it. The old parameters and state are given away."""
    rate, number = pace
    gradients, answer_loss = jax.grad(lambda p: losses(shape, p, batch), has_aux=True)(parameters)
    first_decay, second_decay = VECTOR_MOMENTS

    def update(p: jax.Array, g: jax.Array, m: jax.Array, v: jax.Array) -> Any:
        if p.ndim == 3:
            m = MATRIX_MOMENTUM * m + g
            stretch = max(1.0, p.shape[-1] / p.shape[-2]) ** 0.5
            direction = orthogonal(g + MATRIX_MOMENTUM * m) * stretch
            p = p * (1 - rate * MATRIX_RATE * MATRIX_DECAY) - rate * MATRIX_RATE * direction
            return p, m, v
        m = first_decay * m + (1 - first_decay) * g
        v = second_decay * v + (1 - second_decay) * g * g
        scale = jnp.sqrt(v / (1 - second_decay**number)) + 1e-8
        return p - rate * VECTOR_RATE * (m / (1 - first_decay**number)) / scale, m, v

    updated = jax.tree.map(update, parameters, gradients, *state)
    pick = [
        jax.tree.map(lambda t, i=i: t[i], updated, is_leaf=lambda t: isinstance(t, tuple))
        for i in range(3)
    ]
    return pick[0], (pick[1], pick[2]), answer_loss
