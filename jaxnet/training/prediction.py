"""Evaluate a network over all examples, in batches of one fixed size."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from jaxnet.typing import Apply, Params


@functools.partial(jax.jit, static_argnames=("apply", "batch_size"))
def predict(
    apply: Apply, params: Params, x: Shaped[Array, "n ..."], *, batch_size: int = 1024
) -> Shaped[Array, "n ..."]:
    """Outputs for every example, computed in padded batches of one fixed size.

    The size of a batch decides the last bits of a matrix product, so one fixed size makes the
    output for an example the same in every call with it, whatever else is predicted beside it.

    Args:
        apply: `apply(params, x)` in evaluation mode, such as `network.apply`.
        params: parameters; for a stack of them, `jax.vmap` this function.
        x: the inputs, `(n, ...)`.
        batch_size: examples in a batch; bounds the memory.

    Returns:
        The outputs, `(n, ...)`; none for no examples.

    Raises:
        ValueError: a batch size below 1.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 3])
    >>> params = network.init(jax.random.key(0))
    >>> predict(network.apply, params, jnp.ones((5, 2)), batch_size=2).shape
    (5, 3)
    """
    if batch_size < 1:
        raise ValueError(f"predict: batch_size must be at least 1, found {batch_size}")
    num_batches = -(-len(x) // batch_size)
    padding = [(0, num_batches * batch_size - len(x))] + [(0, 0)] * (x.ndim - 1)
    batches = jnp.pad(x, padding).reshape(num_batches, batch_size, *x.shape[1:])
    outputs = jax.lax.map(functools.partial(apply, params), batches)
    return outputs.reshape(num_batches * batch_size, *outputs.shape[2:])[: len(x)]
