"""Batch normalization: means and variances of a batch, and running averages of them."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxnet._checks import require_range, require_sizes
from jaxnet.nn.initializers import lecun_normal
from jaxnet.nn.network import StatefulNetwork
from jaxnet.typing import Params

_EPSILON = 1e-6


class RunningStatistics(NamedTuple):
    """Averages over the batches of the past, the state of a network with batch normalization.

    Attributes:
        count: number of batches.
        mean: for each layer, `(dim,)`.
        variance: for each layer, `(dim,)`.
    """

    count: Int[Array, ""]
    mean: tuple[Float[Array, "..."], ...]
    variance: tuple[Float[Array, "..."], ...]


def init_statistics(dims: Sequence[int]) -> RunningStatistics:
    """Statistics before the first batch: mean 0, variance 1.

    Args:
        dims: number of features of each layer.

    Returns:
        The state.

    >>> init_statistics([2]).variance[0].tolist()
    [1.0, 1.0]
    """
    zeros = tuple(jnp.zeros(dim) for dim in dims)
    ones = tuple(jnp.ones(dim) for dim in dims)
    return RunningStatistics(jnp.zeros((), jnp.int32), zeros, ones)


def moments(
    x: Float[Array, "*batch dim"], weight: Float[Array, " batch"] | None = None
) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
    """Mean and variance of each feature over a batch.

    Args:
        x: features.
        weight: of the examples, for one axis of them; examples of weight 0 do not count.

    Returns:
        The mean, and the mean squared difference from it; 0 and 1 where no example counts.

    >>> mean, variance = moments(jnp.array([[1.0], [3.0], [8.0]]), jnp.array([1.0, 1.0, 0.0]))
    >>> float(mean[0]), float(variance[0])
    (2.0, 1.0)
    """
    if weight is None:
        axes = tuple(range(x.ndim - 1))
        return x.mean(axes), x.var(axes)
    weight = weight.astype(x.dtype)[:, None]
    total = weight.sum()
    weight = weight / jnp.where(total > 0, total, 1)
    mean = jnp.sum(weight * x, axis=0)
    variance = jnp.sum(weight * (x - mean[None]) ** 2, axis=0)
    return mean, jnp.where(total > 0, variance, 1)


def normalize(
    x: Float[Array, "*batch dim"],
    mean: Float[Array, " dim"],
    variance: Float[Array, " dim"],
    epsilon: float = _EPSILON,
) -> Float[Array, "*batch dim"]:
    """`(x - mean) / sqrt(variance + epsilon)`.

    Args:
        x: features.
        mean: of each feature.
        variance: of each feature.
        epsilon: keeps the square root from 0.

    Returns:
        The normalized features.

    >>> normalize(jnp.array([[3.0]]), jnp.ones(1), jnp.full(1, 4.0), 0.0).tolist()
    [[1.0]]
    """
    mean = jax.lax.broadcast_to_rank(mean.astype(x.dtype), x.ndim)
    scale = jax.lax.rsqrt(variance.astype(x.dtype) + epsilon)
    return (x - mean) * jax.lax.broadcast_to_rank(scale, x.ndim)


def update_statistics(
    statistics: RunningStatistics,
    means: Sequence[Float[Array, "..."]],
    variances: Sequence[Float[Array, "..."]],
    *,
    num_examples: ArrayLike,
    decay: ArrayLike,
) -> RunningStatistics:
    """The averages after one more batch; those of the first batches are plain means.

    Args:
        statistics: those before.
        means: of the batch, for each layer.
        variances: of the batch, for each layer.
        num_examples: of the batch, for the factor `n / (n - 1)` of a variance; may be traced.
        decay: largest weight of the old average; may be traced.

    Returns:
        Those after; no gradient goes through them.

    >>> before = init_statistics([1])
    >>> after = update_statistics(
    ...     before, [jnp.full(1, 4.0)], [jnp.full(1, 3.0)], num_examples=4, decay=0.9
    ... )
    >>> float(after.mean[0][0]), float(after.variance[0][0])
    (4.0, 4.0)
    """
    count = statistics.count + 1
    new_weight = jnp.maximum(1 / count.astype(jnp.float32), 1 - jnp.asarray(decay, jnp.float32))
    number = jnp.asarray(num_examples, jnp.float32)
    unbiased = jnp.where(number > 1, number / jnp.maximum(number - 1, 1), 1)

    def average(old: Array, new: Array, factor: ArrayLike) -> Array:
        new = jax.lax.stop_gradient(new).astype(old.dtype) * jnp.asarray(factor, old.dtype)
        return old + new_weight.astype(old.dtype) * (new - old)

    return RunningStatistics(
        count,
        tuple(average(o, n, 1) for o, n in zip(statistics.mean, means, strict=True)),
        tuple(average(o, n, unbiased) for o, n in zip(statistics.variance, variances, strict=True)),
    )


def batch_norm_mlp(
    dims: Sequence[int],
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    decay: ArrayLike = 0.99,
) -> StatefulNetwork:
    """Multi-layer perceptron whose layers are normalized over the batch, the last one too.

    `h_0 = x`, `z_l = g_l * (h_{l-1} W_l - m_l) / sqrt(v_l + epsilon) + b_l` with mean `m_l` and
    variance `v_l` of the batch, `h_l = activation(z_l)`, and the output is `z_L`. Ioffe and Szegedy
    (2015), "Batch normalization", algorithm 1; the normalized output as in the networks of Miyato
    et al. (2018), "Virtual adversarial training". In evaluation `m_l` and `v_l` are averages over
    the batches of the training, `a <- d a + (1 - d) new` with `d = min(1 - 1 / s, decay)` after
    batch `s`.

    Args:
        dims: sizes of input, hidden layers and output.
        activation: applied after each hidden layer.
        decay: of the averages, in [0, 1]; may be traced.

    Returns:
        A network with state, `RunningStatistics`, from `(*batch, dims[0])` to
        `(*batch, dims[-1])`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: fewer than two sizes, a size below 1, a decay outside [0, 1]; (of the network)
            inputs of another size.

    >>> network = batch_norm_mlp([3, 8, 2])
    >>> key, x = jax.random.key(1), jnp.arange(15.0).reshape(5, 3)
    >>> params = jax.jit(network.init)(jax.random.key(0))
    >>> extra = network.init_extra(params, key)
    >>> outputs, extra = jax.jit(network.apply)(params, extra, x, key=key)
    >>> bool(abs(outputs.mean(axis=0)).max() < 1e-5), int(extra.count)
    (True, 1)
    """
    meaning = "hold at least the sizes of input and output"
    dims = require_sizes("batch_norm_mlp", "dims", dims, meaning, min_length=2)
    require_range("batch_norm_mlp", "decay", decay, 0, 1)

    def init(key: Key[Array, ""]) -> Params:
        return {
            f"layer_{index}": {
                "kernel": lecun_normal(jax.random.fold_in(key, index), (in_dim, out_dim)),
                "scale": jnp.ones(out_dim),
                "bias": jnp.zeros(out_dim),
            }
            for index, (in_dim, out_dim) in enumerate(itertools.pairwise(dims))
        }

    def init_extra(params: Params, key: Array) -> RunningStatistics:
        return init_statistics(dims[1:])

    def apply(
        params: Params, extra: RunningStatistics, x: Any, /, *, key: Array | None = None
    ) -> tuple[Array, PyTree[Any]]:
        if jnp.shape(x)[-1:] != (dims[0],):
            raise ValueError(
                f"batch_norm_mlp: the input has shape {jnp.shape(x)}, expected {dims[0]} numbers "
                "in the last axis; flatten images, or change dims[0]"
            )
        means, variances = [], []
        h = x
        for index in range(len(dims) - 1):
            layer = params[f"layer_{index}"]
            z = h @ layer["kernel"]
            if key is None:
                mean, variance = extra.mean[index], extra.variance[index]
            else:
                mean, variance = moments(z)
                means.append(mean)
                variances.append(variance)
            z = normalize(z, mean, variance)
            scale, bias = (jax.lax.broadcast_to_rank(layer[n], z.ndim) for n in ("scale", "bias"))
            z = z * scale + bias
            h = activation(z) if index < len(dims) - 2 else z
        if key is None:
            return h, extra
        number = h.size // h.shape[-1]
        return h, update_statistics(extra, means, variances, num_examples=number, decay=decay)

    return StatefulNetwork(init, init_extra, apply, "batch_norm_mlp")
