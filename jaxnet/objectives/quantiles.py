"""Quantiles of a target as the outputs of a network."""

from collections.abc import Sequence
from typing import overload

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet._checks import require_range
from jaxnet.nn.network import Network, StatefulNetwork
from jaxnet.objectives.prediction import supervised
from jaxnet.objectives.weighting import require_shape, widen
from jaxnet.typing import AnyObjective, Objective, StatefulObjective


@overload
def quantile_regression(
    network: Network, levels: Sequence[float] | Float[Array, " levels"]
) -> Objective: ...


@overload
def quantile_regression(
    network: StatefulNetwork, levels: Sequence[float] | Float[Array, " levels"]
) -> StatefulObjective: ...


def quantile_regression(
    network: Network | StatefulNetwork, levels: Sequence[float] | Float[Array, " levels"]
) -> AnyObjective:
    """Pinball loss, which quantiles minimize: `mean_ij max(a_j e_ij, (a_j - 1) e_ij)`, `e = y - q`.

    Args:
        network: from inputs to a quantile for each level, `(batch, levels)`.
        levels: levels `a_j` of the quantiles, each in (0, 1), such as (0.05, 0.5, 0.95); may be
            traced as an array.

    Returns:
        An objective on batches whose `y` has shape `(batch,)` or `(batch, 1)`. Metrics:
        `pinball_loss`. Nothing keeps quantiles of different levels from crossing.

    Raises:
        ValueError: no level, or one out of range; (of the objective) another number of outputs, or
            targets of another shape.

    >>> import jax, jaxnet as jn
    >>> network = jn.dense(1, 2)
    >>> batch = {"x": jnp.zeros((2, 1)), "y": jnp.array([1.0, -1.0])}
    >>> objective = quantile_regression(network, (0.25, 0.75))
    >>> float(objective(network.init(jax.random.key(0)), batch, None)[0])
    0.5

    Source: Koenker and Bassett (1978), "Regression Quantiles", section 3.
    """
    levels = jnp.asarray(levels, jnp.result_type(float))
    if levels.ndim != 1 or len(levels) == 0:
        raise ValueError(
            f"quantile_regression: levels have shape {levels.shape}, expected one number or more, "
            "such as (0.05, 0.95)"
        )
    require_range(
        "quantile_regression", "levels", levels, 0, 1, include_low=False, include_high=False
    )

    def elementwise(outputs: Array, targets: Array) -> tuple[Array, dict[str, Array]]:
        losses = pinball_losses(outputs, targets, levels)
        return losses, {"pinball_loss": losses}

    return supervised(network, elementwise)


def pinball_losses(
    outputs: Float[Array, "batch levels"], targets: Array, levels: Float[Array, " levels"]
) -> Float[Array, "batch levels"]:
    """The pinball loss of each output.

    Args:
        outputs: predicted quantiles, `(batch, levels)`.
        targets: true values, `(batch,)` or `(batch, 1)`.
        levels: level of each output, `(levels,)`.

    Returns:
        The losses.

    Raises:
        ValueError: shapes do not match.

    >>> pinball_losses(jnp.zeros((1, 2)), jnp.ones(1), jnp.array([0.25, 0.75])).tolist()
    [[0.25, 0.75]]
    """
    if outputs.ndim != 2 or outputs.shape[-1] != len(levels):
        raise ValueError(
            f"quantile_regression: the network's outputs have shape {outputs.shape}, expected a "
            f"quantile for each level, (batch, {len(levels)})"
        )
    targets = widen(targets)
    if targets.shape != (len(outputs), 1):
        require_shape("quantile_regression", "y", targets, (len(outputs),))
        targets = targets[:, None]
    errors = targets - outputs
    levels = levels.astype(errors.dtype)[None]
    return jnp.maximum(levels * errors, (levels - 1) * errors)
