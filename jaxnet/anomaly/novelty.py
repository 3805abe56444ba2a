"""How far each vector of a series is from all those before it."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet._checks import require_positive


def novelty_scores(
    vectors: Float[Array, "*batch time dim"], *, block_size: int = 256
) -> Float[Array, "*batch time"]:
    """Distance of each vector to the nearest of those before it in its series.

    `s_t = min {||v_t - v_u|| : u < t}`, and `s_0 = 0`. What repeats has a low score however rare it
    is: an event is new once. Distances are computed from differences, so that small ones are exact.
    No score depends on a later vector, nor on how many there are.

    Args:
        vectors: what is known at each step, such as means of recent values and the error of a
            forecast, `(..., time, dim)`. To score series of different lengths in one program, pad
            them at the end: the scores of the steps before are the same.
        block_size: steps that are compared with as many others at once; static.

    Returns:
        Scores, `(..., time)`, in the unit of the vectors.

    Raises:
        ValueError: vectors without a step or a dimension, or a `block_size` below 1.

    >>> series = jnp.array([0.0, 0.0, 5.0, 0.0, 5.0, 7.0])
    >>> novelty_scores(series[:, None]).tolist()
    [0.0, 0.0, 5.0, 0.0, 0.0, 2.0]

    Source: Lu et al. (2022), "Matrix Profile XXIV", whose left matrix profile this is for windows
    of one step; Burnaev and Ishimtsev (2016), "Conformalized density- and distance-based anomaly
    detection in time-series data", with one neighbor.
    """
    require_positive("novelty_scores", block_size=block_size)
    if vectors.ndim < 2 or not vectors.shape[-1] or not vectors.shape[-2]:
        raise ValueError(
            f"novelty_scores: vectors have shape {vectors.shape}, expected (..., time, dim) with "
            "at least one step and one dimension; a series of numbers is vectors[:, None]"
        )
    return _novelty_scores(vectors, block_size)


@functools.partial(jax.jit, static_argnums=1)
def _novelty_scores(vectors: Array, block_size: int) -> Array:
    *batch, num_steps, dim = vectors.shape
    size = min(block_size, num_steps)
    num_blocks = -(-num_steps // size)
    by_dim = jnp.moveaxis(vectors.reshape(-1, num_steps, dim), 1, 2)
    by_dim = jnp.pad(by_dim, ((0, 0), (0, 0), (0, num_blocks * size - num_steps)))

    def score(series: Array) -> Array:
        def cut(block: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(series, block * size, size, axis=1)

        def score_block(block: Array) -> Array:
            rows = cut(block)

            def compare(other: Array, nearest: Array) -> Array:
                earlier = cut(other)

                def add(index: Array, squares: Array) -> Array:
                    return squares + jnp.square(rows[index][None, :] - earlier[index][:, None])

                squares = jax.lax.fori_loop(0, dim, add, jnp.zeros((size, size), series.dtype))
                step = jnp.arange(size)
                # Of its own block, a step is compared with those before it.
                known = (other < block) | (step[:, None] < step[None, :])
                # On CPU a minimum over the first axis is the faster one.
                squares = jnp.where(known, squares, jnp.inf)
                return jnp.minimum(nearest, squares.min(axis=0))

            start = jnp.full(size, jnp.inf, series.dtype)
            return jax.lax.fori_loop(0, block + 1, compare, start)

        squares = jax.lax.map(score_block, jnp.arange(num_blocks)).reshape(-1)[:num_steps]
        return jnp.sqrt(squares.at[0].set(0))

    return jax.lax.map(score, by_dim).reshape(*batch, num_steps)
