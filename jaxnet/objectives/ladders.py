"""The ladder network: a classifier whose layers are denoised from the top to the input."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from jaxnet import _draws
from jaxnet._checks import is_zero, require_not_negative, require_range, require_sizes
from jaxnet.nn.batch_statistics import (
    RunningStatistics,
    init_statistics,
    moments,
    normalize,
    update_statistics,
)
from jaxnet.nn.network import StatefulNetwork
from jaxnet.objectives.unlabeled import read_parts, split_key
from jaxnet.objectives.weighting import require_entry, require_shape, weighted_mean, widen
from jaxnet.typing import Batch, Metrics, Params, StatefulObjective

_EPSILON = 1e-10
# First values of the ten numbers of a unit, those of the slopes inside of the sigmoids 1.
_FIRST = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


class Ladder(NamedTuple):
    """A ladder network.

    Attributes:
        network: the classifier, to logits; `network.evaluation` is without noise, on the pair
            `(params, extra)`.
        objective: what it is trained for, on batches `{"labeled": ..., "unlabeled": ...}`.
    """

    network: StatefulNetwork
    objective: StatefulObjective


class Encoded(NamedTuple):
    """One pass through the encoder.

    Attributes:
        z: the normalized layers from the input on, with their noise.
        logits: of the classes.
        means: of each layer after the input, over the batch.
        variances: likewise.
    """

    z: list[Array]
    logits: Array
    means: list[Array]
    variances: list[Array]


def ladder(
    dims: Sequence[int],
    *,
    denoising_weights: Sequence[ArrayLike],
    noise_std: ArrayLike = 0.3,
    decay: ArrayLike = 0.99,
) -> Ladder:
    """Ladder network of dense layers with rectified units.

    The encoder normalizes each layer over the batch, `z_l = norm(W_l h_{l-1}) + noise`,
    `h_l = relu(z_l + b_l)`, and at the top `softmax(c (z_L + b_L))`. The decoder goes down from
    `u_L`, the normalized probabilities of the noisy pass, `u_l = norm(V_l z'_{l+1})`, and
    reconstructs each layer from its noisy value and `u_l`,

        z'_l = (z_l - m(u_l)) v(u_l) + m(u_l),
        m(u) = a_1 sigmoid(a_2 u + a_3) + a_4 u + a_5,
        v(u) = a_6 sigmoid(a_7 u + a_8) + a_9 u + a_10

    with ten numbers for each unit. The loss is the cross-entropy of the noisy pass over the labeled
    examples, and `sum_l w_l mean_i ||z_li - norm(z'_li)||^2 / dims[l]` over the unlabeled ones.
    There `z_l` are those of a pass without noise, whose means and variances normalize `z'_l` too,
    except for the input. Rasmus et al. (2015), "Semi-supervised learning with ladder networks",
    algorithm 1 and eq. 2; first values as in the authors' program. Labeled and unlabeled examples
    are normalized apart, as there. In evaluation the statistics are averages of those of the
    unlabeled examples without noise; there they are those of the labeled ones.

    Args:
        dims: sizes of input, hidden layers and classes.
        denoising_weights: the weight `w_l` of each layer from the input on, at least 0, one for
            each of `dims`; may be traced. What is below the lowest that is not 0 has no decoder:
            `[0, ..., 0, w]` is the Gamma-model.
        noise_std: standard deviation of the noise at the input and after each normalization, at
            least 0; may be traced.
        decay: of the averages for evaluation, in [0, 1]; may be traced.

    Returns:
        The network and its objective. Metrics: `accuracy` of the noisy pass on the labeled
        examples, `supervised_loss`, `unsupervised_loss`.

    Raises:
        TypeError: a size that is not an integer, a number that is not one.
        ValueError: fewer than two sizes, another number of weights than of sizes, numbers out of
            range; (of the objective) a batch without its parts, inputs of another size.

    >>> import jaxnet as jn
    >>> network, objective = ladder([4, 8, 3], denoising_weights=[10.0, 1.0, 0.1])
    >>> learner = jn.gradient_learner(network.init, objective, optax.adam(0.01))
    >>> x = jax.random.normal(jax.random.key(0), (6, 4))
    >>> batch = {"labeled": {"x": x[:3], "y": jnp.arange(3)}, "unlabeled": {"x": x}}
    >>> first_step = jax.jit(lambda key: learner.step(learner.init(key), batch))
    >>> state, metrics = first_step(jax.random.key(1))
    >>> jax.eval_shape(network.evaluation.apply, (state.params, state.extra), x).shape
    (6, 3)
    """
    meaning = "hold at least the sizes of input and classes"
    dims = require_sizes("ladder", "dims", dims, meaning, min_length=2)
    if len(denoising_weights) != len(dims):
        raise ValueError(
            f"ladder: denoising_weights has length {len(denoising_weights)}, expected {len(dims)}: "
            "one weight for the input and one for each layer"
        )
    for weight in denoising_weights:
        require_not_negative("ladder", denoising_weights=weight)
    require_not_negative("ladder", noise_std=noise_std)
    require_range("ladder", "decay", decay, 0, 1)
    weights = [None if is_zero(weight) else weight for weight in denoising_weights]
    num_layers = len(dims) - 1
    lowest = next((n for n, weight in enumerate(weights) if weight is not None), num_layers + 1)

    def init(key: Key[Array, ""]) -> Params:
        params: dict[str, Any] = {}
        for index, (in_dim, out_dim) in enumerate(itertools.pairwise(dims)):
            up_key, down_key = jax.random.split(jax.random.fold_in(key, index))
            layer = {"kernel": _kernel(up_key, in_dim, out_dim), "bias": jnp.zeros(out_dim)}
            params[f"encoder_{index + 1}"] = layer
            if index >= lowest:
                kernel = _kernel(down_key, out_dim, in_dim)
                params[f"decoder_{index}"] = {"kernel": kernel} | _init_combinator(in_dim)
        params[f"encoder_{num_layers}"]["scale"] = jnp.ones(dims[-1])
        if lowest <= num_layers:
            params[f"decoder_{num_layers}"] = _init_combinator(dims[-1])
        return params

    def init_extra(params: Params, key: Array) -> RunningStatistics:
        return init_statistics(dims[1:])

    def network_apply(
        params: Params, extra: RunningStatistics, x: Any, /, *, key: Array | None = None
    ) -> tuple[Array, RunningStatistics]:
        _require_inputs(x, dims[0])
        if key is None:
            return _encode(params, x, None, statistics=extra).logits, extra
        rows = x.reshape(-1, dims[0])
        encoded = _encode(params, rows, noise_std, key=key)
        extra = update_statistics(
            extra, encoded.means, encoded.variances, num_examples=len(rows), decay=decay
        )
        return encoded.logits.reshape(*x.shape[:-1], dims[-1]), extra

    def apply(
        params: Params, extra: RunningStatistics, batch: Batch, key: Array | None
    ) -> tuple[Array, tuple[RunningStatistics, Metrics]]:
        labeled, unlabeled = read_parts("ladder", batch)
        labels = require_entry("ladder", labeled, "y", remedy="'labeled' holds the targets")
        x, weight = unlabeled["x"], unlabeled.get("weight")
        for part in (labeled["x"], x):
            _require_inputs(part, dims[0], num_axes=2)
        require_shape("ladder", "y", labels, jnp.shape(labeled["x"])[:1])
        label_key, noise_key = split_key(key, 2)
        noisy_std = None if key is None else noise_std

        own_weight = labeled.get("weight")
        logits = _encode(params, labeled["x"], noisy_std, key=label_key, weight=own_weight).logits
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(widen(logits), labels)
        supervised = weighted_mean(losses, own_weight)
        accuracy = weighted_mean(logits.argmax(axis=-1) == labels, own_weight)

        clean = _encode(params, x, None, weight=weight)
        unsupervised = jnp.zeros((), supervised.dtype)
        if lowest <= num_layers:
            noisy = _encode(params, x, noisy_std, key=noise_key, weight=weight)
            for index, estimate in _decode(params, noisy, lowest, weight).items():
                if weights[index] is None:
                    continue
                if index > 0:
                    mean, variance = clean.means[index - 1], clean.variances[index - 1]
                    estimate = normalize(estimate, mean, variance, _EPSILON)
                squared = jnp.mean(widen(clean.z[index] - estimate) ** 2, axis=-1)
                factor = jnp.asarray(weights[index], squared.dtype)
                unsupervised += factor * weighted_mean(squared, weight)
        number = len(x) if weight is None else jnp.sum(widen(weight) > 0)
        extra = update_statistics(
            extra, clean.means, clean.variances, num_examples=number, decay=decay
        )
        metrics = {
            "accuracy": accuracy,
            "supervised_loss": supervised,
            "unsupervised_loss": unsupervised,
        }
        return supervised + unsupervised, (extra, metrics)

    return Ladder(
        StatefulNetwork(init, init_extra, network_apply, "ladder"),
        StatefulObjective(init_extra, apply),
    )


def _kernel(key: Array, in_dim: int, out_dim: int) -> Array:
    return _draws.normal(key, (in_dim, out_dim)) / in_dim**0.5


def _init_combinator(dim: int) -> dict[str, Array]:
    return {"combinator": jnp.broadcast_to(jnp.array(_FIRST)[:, None], (len(_FIRST), dim))}


def _require_inputs(x: Any, dim: int, num_axes: int | None = None) -> None:
    shape = jnp.shape(x)
    if shape[-1:] != (dim,) or (num_axes is not None and len(shape) != num_axes):
        raise ValueError(
            f"ladder: the input has shape {shape}, expected {dim} numbers in the last axis; "
            "flatten images, or change dims[0]"
        )


def _encode(
    params: Params,
    x: Float[Array, "*batch dim"],
    noise_std: ArrayLike | None,
    *,
    key: Array | None = None,
    weight: Array | None = None,
    statistics: RunningStatistics | None = None,
) -> Encoded:
    """One pass, normalized by the statistics of the batch, or by those that are given."""
    num_layers = sum(name.startswith("encoder") for name in params)
    keys = split_key(key, num_layers + 1)

    def noisy(values: Array, key: Array | None) -> Array:
        if noise_std is None or key is None or is_zero(noise_std):
            return values
        noise = _draws.normal(key, values.shape, values.dtype)
        return values + jnp.asarray(noise_std, values.dtype) * noise

    h = noisy(jnp.asarray(x), keys[0])
    layers, means, variances = [h], [], []
    for index in range(num_layers):
        layer = params[f"encoder_{index + 1}"]
        z = h @ layer["kernel"]
        if statistics is None:
            mean, variance = moments(z, weight)
        else:
            mean, variance = statistics.mean[index], statistics.variance[index]
        means.append(mean)
        variances.append(variance)
        z = noisy(normalize(z, mean, variance, _EPSILON), keys[index + 1])
        layers.append(z)
        h = z + jax.lax.broadcast_to_rank(layer["bias"], z.ndim)
        if index < num_layers - 1:
            h = jax.nn.relu(h)
        else:
            h = h * jax.lax.broadcast_to_rank(layer["scale"], z.ndim)
    return Encoded(layers, h, means, variances)


def _decode(
    params: Params, noisy: Encoded, lowest: int, weight: Array | None
) -> dict[int, Float[Array, "n dim"]]:
    """Estimates of the layers without noise, from the top down to the lowest."""
    estimates: dict[int, Array] = {}
    above = jax.nn.softmax(noisy.logits)
    for index in reversed(range(lowest, len(noisy.z))):
        layer = params[f"decoder_{index}"]
        u = above @ layer["kernel"] if "kernel" in layer else above
        u = normalize(u, *moments(u, weight), _EPSILON)
        a = layer["combinator"][:, None]
        mean = a[0] * jax.nn.sigmoid(a[1] * u + a[2]) + a[3] * u + a[4]
        gate = a[5] * jax.nn.sigmoid(a[6] * u + a[7]) + a[8] * u + a[9]
        above = estimates[index] = (noisy.z[index] - mean) * gate + mean
    return estimates
