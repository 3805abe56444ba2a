"""Sequences of different lengths as vectors of one length."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_positive
from jaxnet.nn.network import Network
from jaxnet.nn.sequences import as_sequences, zero_padding
from jaxnet.typing import Params, Sequences


def resample(num_steps: int) -> Network:
    """Stretch each sequence to the same number of steps, by linear interpolation.

    Step `i` of the output is the input at the time `(i + 1/2) length / num_steps - 1/2`, between
    the two steps around it, and the first or the last step beyond them.

    Args:
        num_steps: steps of every sequence afterwards.

    Returns:
        A network from `Sequences` with values `(*batch, time, dim)`, or an array, to an array
        `(*batch, num_steps, dim)`; 0 for a sequence without steps.

    Raises:
        TypeError: a number of steps that is not an integer.
        ValueError: a number of steps below 1.

    >>> series = Sequences(jnp.array([[[0.0], [2.0], [jnp.nan]]]), jnp.array([2]))
    >>> jax.jit(resample(4).apply)({}, series)[0, :, 0].tolist()
    [0.0, 0.5, 1.5, 2.0]
    """
    require_positive("resample", num_steps=num_steps)

    def apply(
        params: Params,
        x: Sequences | Shaped[Array, "*batch time dim"],
        /,
        *,
        key: Array | None = None,
    ) -> Float[Array, "*batch num_steps dim"]:
        values, length = zero_padding(as_sequences(x))
        dtype = jnp.result_type(values.dtype, float) if values.dtype.kind in "biu" else values.dtype
        centers = (jnp.arange(num_steps, dtype=jnp.float32) + 0.5) / num_steps
        size = length[..., None].astype(jnp.float32)
        times = jax.lax.broadcast_to_rank(centers, size.ndim) * size - 0.5
        times = jnp.clip(times, 0, jnp.maximum(size - 1, 0))
        before = jnp.floor(times).astype(jnp.int32)
        after = jnp.minimum(before + 1, jnp.maximum(length[..., None] - 1, 0))
        fraction = (times - before.astype(times.dtype))[..., None].astype(dtype)

        def at(step: Array) -> Array:
            return jnp.take_along_axis(values.astype(dtype), step[..., None], axis=-2)

        return at(before) * (1 - fraction) + at(after) * fraction

    return Network(lambda key: {}, apply, "resample", detail=f"{num_steps}")
