"""Penalties on the codes of an autoencoder, added to the loss of any objective.

A batch is one of the objective, with inputs `x` and optionally `weight`; weights of elements count
as their mean over an example. All penalties use the code in evaluation mode, without dropout: the
penalty is on the encoder, and under `jit` the code is computed once if the objective uses it in
that mode too.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jaxnet._checks import require_integer, require_not_negative, require_range
from jaxnet.autoencoders.network import Autoencoder
from jaxnet.autoencoders.objectives import sum_per_example
from jaxnet.objectives.stateful import transform_objective
from jaxnet.objectives.weighting import example_weight, masked, weighted_mean, widen
from jaxnet.typing import AnyObjectiveT, Batch, Params, StatefulApply

# Rows of the Jacobian that are computed together: enough to use a processor fully.
_ROWS = 32


def _codes(network: Autoencoder, params: Params, batch: Batch) -> Array:
    x = masked(batch)["x"]
    return widen(network.encode(params, x)).reshape(len(x), -1)


def _mean(values: Array, batch: Batch) -> Array:
    """Weighted mean of one value per example; weights of elements count as their mean."""
    return weighted_mean(values, example_weight(batch))


def with_l1_sparsity(
    objective: AnyObjectiveT, network: Autoencoder, strength: ArrayLike
) -> AnyObjectiveT:
    """Add `strength * mean_i sum_j |code_ij|` to the loss of an objective.

    Ranzato et al. (2007), "Sparse feature learning for deep belief networks", use a penalty of this
    kind.

    Args:
        objective: the objective to transform, with or without state.
        network: the autoencoder whose code becomes sparse.
        strength: factor of the penalty, at least 0; may be traced.

    Returns:
        An objective of the same kind with the same metrics.

    Raises:
        TypeError: a strength that is not a number.
        ValueError: a strength that is negative or not finite.

    >>> import jaxnet as jn
    >>> identity = jn.activation(lambda x: x)
    >>> network = jn.autoencoders.autoencoder(identity, identity)
    >>> objective = jn.autoencoders.reconstruction(network, mean=lambda outputs: outputs)
    >>> objective = with_l1_sparsity(objective, network, 0.5)
    >>> batch = {"x": jnp.array([[1.0, -3.0], [0.0, 2.0]])}
    >>> float(objective(network.init(jax.random.key(0)), batch, None)[0])
    1.5
    """
    require_not_negative("with_l1_sparsity", strength=strength)

    def transform(apply: StatefulApply) -> StatefulApply:
        def penalized(params: Params, extra: Any, batch: Batch, key: Array | None) -> Any:
            loss, aux = apply(params, extra, batch, key)
            penalties = jnp.abs(_codes(network, params, batch)).sum(axis=-1)
            return loss + strength * _mean(penalties, batch), aux

        return penalized

    return transform_objective(objective, transform)


def with_kl_sparsity(
    objective: AnyObjectiveT,
    network: Autoencoder,
    strength: ArrayLike,
    *,
    target: ArrayLike = 0.05,
) -> AnyObjectiveT:
    """Add `strength * sum_j KL(target || activity_j)` to the loss of an objective.

    `KL(r || a) = r log(r / a) + (1 - r) log((1 - r) / (1 - a))`, and `activity_j` is the mean of
    unit `j` over the batch, so this penalty depends on all examples together: it has no gradient of
    one example (differential privacy), and small batches estimate the activity badly. Ng (2011),
    "Sparse autoencoder", CS294A lecture notes, section 3; there the mean is over all training
    examples.

    Args:
        objective: the objective to transform, with or without state.
        network: an autoencoder whose code lies in [0, 1], such as with
            `code_activation=jax.nn.sigmoid`; a mean outside makes the loss NaN.
        strength: factor of the penalty, at least 0; may be traced.
        target: desired mean activity of each unit, in (0, 1); may be traced.

    Returns:
        An objective of the same kind with the same metrics and `activity`, the mean of all units.

    Raises:
        TypeError: a strength or a target that is not a number.
        ValueError: a strength that is negative or not finite, or a target outside (0, 1).

    >>> import jaxnet as jn
    >>> identity = jn.activation(lambda x: x)
    >>> network = jn.autoencoders.autoencoder(identity, identity)
    >>> objective = jn.autoencoders.reconstruction(network, mean=lambda outputs: outputs)
    >>> objective = with_kl_sparsity(objective, network, 1.0, target=0.5)
    >>> batch = {"x": jnp.array([[0.25, 0.5], [0.75, 0.5]])}
    >>> loss, metrics = objective(network.init(jax.random.key(0)), batch, None)
    >>> bool(abs(loss) < 1e-6), float(metrics["activity"])
    (True, 0.5)
    """
    require_not_negative("with_kl_sparsity", strength=strength)
    require_range(
        "with_kl_sparsity",
        "target",
        target,
        0,
        1,
        include_low=False,
        include_high=False,
        remedy="it is the desired mean activity of a unit, often 0.05",
    )

    def transform(apply: StatefulApply) -> StatefulApply:
        def penalized(params: Params, extra: Any, batch: Batch, key: Array | None) -> Any:
            loss, (extra, metrics) = apply(params, extra, batch, key)
            codes = _codes(network, params, batch)
            activity = jax.vmap(lambda unit: _mean(unit, batch), 1)(codes)
            # Units that are always off have a finite penalty, with a gradient. Clipping would have
            # that effect too, but would hide a code outside [0, 1], whose logarithm is NaN.
            epsilon = jnp.finfo(codes.dtype).eps
            inside = epsilon + (1 - 2 * epsilon) * activity
            off = 1 - target
            divergence = target * jnp.log(target / inside) + off * jnp.log(off / (1 - inside))
            metrics = metrics | {"activity": activity.mean()}
            return loss + strength * divergence.sum(), (extra, metrics)

        return penalized

    return transform_objective(objective, transform)


def with_contraction(
    objective: AnyObjectiveT,
    network: Autoencoder,
    strength: ArrayLike,
    *,
    num_probes: int | None = None,
) -> AnyObjectiveT:
    """Add `strength * mean_i ||J(x_i)||_F^2` to the loss, with `J` the Jacobian of the encoder.

    Rifai et al. (2011), "Contractive auto-encoders", eq. 4, for any encoder. The exact norm costs
    as many backward passes as the code has numbers. With probes it is the unbiased estimate of
    Hutchinson (1990), `mean_v ||v^T J||^2` with random signs `v`, at one backward pass each.

    Args:
        objective: the objective to transform, with or without state.
        network: the autoencoder whose encoder is penalized.
        strength: factor of the penalty, at least 0; may be traced.
        num_probes: random directions for each example; None for the exact norm. Without a key the
            norm is exact.

    Returns:
        An objective of the same kind with the same metrics.

    Raises:
        TypeError: a strength that is not a number, a number of probes that is not an integer.
        ValueError: a strength that is negative or not finite, or a number of probes below 1.

    >>> import jaxnet as jn
    >>> network = jn.autoencoders.autoencoder(jn.dense(2, 2), jn.dense(2, 2))
    >>> params = jax.tree.map(jnp.zeros_like, network.init(jax.random.key(0)))
    >>> params["encoder"]["kernel"] = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> objective = with_contraction(
    ...     jn.autoencoders.reconstruction(network, mean=lambda outputs: outputs), network, 1.0
    ... )
    >>> float(objective(params, {"x": jnp.zeros((5, 2))}, None)[0])
    30.0
    """
    require_not_negative("with_contraction", strength=strength)
    if num_probes is not None:
        remedy = "None computes the exact norm"
        require_integer("with_contraction", "num_probes", num_probes, 1, remedy=remedy)

    def squared_norms(params: Params, batch: Batch, key: Array | None) -> Array:
        # Examples do not depend on each other, so one backward pass computes a row for each.
        codes, pull_back = jax.vjp(lambda x: _codes(network, params, {**batch, "x": x}), batch["x"])

        def squared_row(direction: Array) -> Array:
            (row,) = pull_back(jnp.broadcast_to(direction, codes.shape))
            return sum_per_example(row**2)

        if num_probes is None or key is None:
            # Recomputed in the gradient, so that at most a few rows are in memory.
            units = jnp.eye(codes.shape[-1], dtype=codes.dtype)
            rows = jax.lax.map(
                jax.checkpoint(squared_row), units, batch_size=min(_ROWS, len(units))
            )
            return rows.sum(axis=0)
        probes = jax.random.rademacher(key, (num_probes, *codes.shape), codes.dtype)
        return jax.vmap(squared_row)(probes).mean(axis=0)

    def transform(apply: StatefulApply) -> StatefulApply:
        def penalized(params: Params, extra: Any, batch: Batch, key: Array | None) -> Any:
            own_key = None
            if num_probes is not None and key is not None:
                own_key, key = jax.random.split(key)
            loss, aux = apply(params, extra, batch, key)
            penalties = squared_norms(params, batch, own_key)
            return loss + strength * _mean(penalties, batch), aux

        return penalized

    return transform_objective(objective, transform)
