"""Bins of probabilities, and checks that scores of calibration share."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxnet.metrics.weighting import example_weights, require_logits
from jaxnet.objectives.weighting import require_shape

Binning = Literal["width", "mass"]


def checked_weights(
    function: str, probabilities: Array, labels: Array, weight: Array | None
) -> Float[Array, " n"]:
    """The weights of the examples; raise where shapes do not match."""
    require_logits(function, "probabilities", probabilities)
    require_shape(function, "labels", labels, probabilities.shape[:1])
    return example_weights(function, len(probabilities), weight)


def assign_bins(
    values: Array, weight: Array, num_bins: int, binning: Binning
) -> Integer[Array, " n"]:
    """The bin of each value: of equal width in (0, 1], or of equal weight with ties together."""
    if binning == "width":
        bins = jnp.ceil(values * num_bins) - 1
    elif binning == "mass":
        present = jnp.where(weight > 0, values, jnp.inf)
        ranked = jnp.sort(present)
        sums = jnp.cumsum(jnp.where(weight > 0, weight, 0)[jnp.argsort(present)])
        below = jnp.concatenate([jnp.zeros(1, sums.dtype), sums])
        rank = below[jnp.searchsorted(ranked, present)] / jnp.sum(weight)
        # 6 examples in 3 bins begin at ranks 0, 1/3 and 2/3, which are rounded.
        bins = jnp.floor(rank * num_bins * (1 + 4 * jnp.finfo(rank.dtype).eps))
    else:
        raise ValueError(f"binning must be 'width' or 'mass', found {binning!r}")
    return jnp.clip(jnp.nan_to_num(bins), 0, num_bins - 1).astype(int)


def sum_by_bin(
    values: Float[Array, "n *columns"], bins: Integer[Array, " n"], num_bins: int
) -> Float[Array, "bins *columns"]:
    """The sums of the numbers, or of the rows, in each bin."""
    members = jax.nn.one_hot(bins, num_bins, dtype=values.dtype)
    return jnp.matmul(members.T, values, precision=jax.lax.Precision.HIGHEST)
