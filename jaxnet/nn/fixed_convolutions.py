"""Features of series by fixed convolutions: MiniRocket as a network."""

import dataclasses
import itertools
import math
import operator
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_positive
from jaxnet.nn.network import Network
from jaxnet.nn.sequences import as_sequences, zero_padding
from jaxnet.typing import Params, Sequences

_SIZE = 9
_MAX_DILATIONS = 32
# Three of nine weights are 2 and six are -1: 84 kernels, which a constant leaves at 0.
_CHOICES = np.array([*itertools.combinations(range(_SIZE), 3)])
_KERNELS = np.where((_CHOICES[:, :, None] == np.arange(_SIZE)).any(1), 2, -1).T.astype(np.float32)
_NUM_KERNELS = len(_CHOICES)
_GOLDEN = (math.sqrt(5) - 1) / 2
# Examples whose outputs are in memory at once.
_NUM_AT_ONCE = 8


class _Dilation(NamedTuple):
    """A dilation, the number of thresholds for each kernel, and which kernels pad."""

    step: int
    num_thresholds: int
    pads: np.ndarray

    @property
    def name(self) -> str:
        return f"dilation_{self.step}"


class _Places(NamedTuple):
    """Dilations as arrays, for loops over them: steps `(d,)`, which kernels pad `(d, 84)`."""

    step: Array
    pads: Array


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class RandomConvolutions(Network):
    """Fixed convolutions with thresholds, made by `random_convolutions`.

    Attributes:
        fit: `fit(key, x) -> params`: thresholds are quantiles of the outputs on training series.
        num_features: number of outputs.
    """

    fit: Callable[[Array, Sequences | Shaped[Array, "n time dim"]], Params]
    num_features: int


def random_convolutions(
    in_channels: int, time: int, *, num_features: int = 9996
) -> RandomConvolutions:
    """Features of series: how often each of many dilated convolutions exceeds a threshold.

    For each of the 84 kernels `w` of 9 weights, three of which are 2 and the others -1, each of up
    to 32 dilations `d` and some thresholds `b`, the feature is the fraction of steps `t` with
    `sum_u w[u] x[t + d u] > b`. Every other kernel pads with zeros, and the others leave the ends
    out. Of several channels each kernel sums a random subset. Nothing is trained: no gradient
    reaches the parameters or the series. A dense layer on the features is a classifier.

    Dempster, Schmidt, Webb (2021), "MiniRocket", section 3, with subsets of channels of
    geometrically distributed sizes as in their code, and thresholds that are quantiles of the
    outputs where a kernel without padding has outputs.

    Args:
        in_channels: channels of the series.
        time: steps of the longest series that dilations are made for; others may be longer.
        num_features: number of features, rounded down to a multiple of 84.

    Returns:
        A network from `Sequences` with values `(*batch, time, in_channels)`, or an array, to
        `(*batch, num_features)`, in [0, 1]. Its `init(key)` draws thresholds for series of
        independent standard normal numbers; `fit(key, x)` takes them from training series.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1, or fewer than 84 features; (of the network) an input of other
            axes or channels.

    >>> network = random_convolutions(1, 100, num_features=840)
    >>> series = Sequences(jnp.sin(jnp.arange(200.0)).reshape(2, 100, 1), jnp.array([100, 40]))
    >>> params = jax.jit(network.fit)(jax.random.key(0), series)
    >>> jax.jit(network.apply)(params, series).shape
    (2, 840)
    """
    function = "random_convolutions"
    require_positive(function, in_channels=in_channels, time=time, num_features=num_features)
    in_channels, time, num_features = map(operator.index, (in_channels, time, num_features))
    if num_features < _NUM_KERNELS:
        raise ValueError(
            f"{function}: num_features must be at least {_NUM_KERNELS}, one for each kernel, "
            f"found {num_features}"
        )
    dilations = _dilations(time, num_features // _NUM_KERNELS)

    def checked(x: Sequences | Shaped[Array, "*batch time in_channels"]) -> Sequences:
        x = as_sequences(x)
        if x.values.ndim != x.length.ndim + 2 or x.values.shape[-1] != in_channels:
            raise ValueError(
                f"{function}: the values have shape {x.values.shape}, expected (*batch, time, "
                f"{in_channels})"
            )
        dtype = x.values.dtype if jnp.issubdtype(x.values.dtype, jnp.floating) else jnp.float32
        return zero_padding(Sequences(jnp.asarray(x.values, dtype), jnp.asarray(x.length)))

    def init(key: Array) -> Params:
        channels_key, normal_key = jax.random.split(key)
        params = _draw_channels(channels_key, dilations, in_channels)
        for dilation, level_key in zip(
            dilations, jax.random.split(normal_key, len(dilations)), strict=True
        ):
            part = params[dilation.name]
            # The variance of the output of one channel is the sum of squared weights.
            scale = jnp.sqrt((_KERNELS**2).sum(0) * part["channels"].sum(0))
            shape = (dilation.num_thresholds, _NUM_KERNELS)
            part["threshold"] = scale[None] * jax.random.normal(level_key, shape)
        return params

    def fit(key: Array, x: Sequences | Shaped[Array, "n time in_channels"]) -> Params:
        x = checked(x)
        channels_key, examples_key = jax.random.split(key)
        params = _draw_channels(channels_key, dilations, in_channels)
        chosen = jax.random.randint(examples_key, (len(dilations), _NUM_KERNELS), 0, len(x.length))

        def quantiles(part: tuple[_Places, Array, Array, Array]) -> Array:
            place, channels, rows, levels = part
            return _quantiles(place, channels, jax.tree.map(lambda leaf: leaf[rows], x), levels)

        thresholds = jax.lax.map(
            quantiles,
            (
                _places(dilations),
                jnp.stack([params[dilation.name]["channels"] for dilation in dilations]),
                chosen,
                jnp.asarray(_levels(dilations)),
            ),
        )
        for dilation, of_dilation in zip(dilations, thresholds, strict=True):
            params[dilation.name]["threshold"] = of_dilation[: dilation.num_thresholds]
        return params

    def apply(
        params: Params,
        x: Sequences | Shaped[Array, "*batch time in_channels"],
        /,
        *,
        key: Array | None = None,
    ) -> Float[Array, "*batch num_features"]:
        x = checked(x)
        batch = x.length.shape
        values, length = x.values.reshape(-1, *x.values.shape[-2:]), x.length.reshape(-1)

        # Dilations with equal numbers of thresholds are one loop: fewer programs to compile.
        groups = []
        for _, members in itertools.groupby(dilations, lambda dilation: dilation.num_thresholds):
            group = [*members]
            parts = [params[dilation.name] for dilation in group]
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
            groups.append((_places(group), jax.lax.stop_gradient(stacked)))

        def features(example: tuple[Array, Array]) -> Array:
            steps, num_steps = example

            def fractions(part: tuple[_Places, Params]) -> Array:
                return _fractions(part[0], part[1], steps, num_steps)

            parts = [jax.lax.map(fractions, group) for group in groups]
            return jnp.concatenate([part.reshape(-1) for part in parts])

        found = jax.lax.map(
            features, jax.lax.stop_gradient((values, length)), batch_size=_NUM_AT_ONCE
        )
        return found.reshape(*batch, -1)

    total = _NUM_KERNELS * sum(dilation.num_thresholds for dilation in dilations)
    return RandomConvolutions(
        init,
        apply,
        function,
        detail=f"{in_channels}, {time}, num_features={total}",
        fit=fit,
        num_features=total,
    )


def _dilations(time: int, num_per_kernel: int) -> list[_Dilation]:
    """Dilations at equal distances of their logarithms, up to kernels as long as the series."""
    largest = math.log2(max((time - 1) / (_SIZE - 1), 1))
    number = min(num_per_kernel, _MAX_DILATIONS)
    steps, counts = np.unique(
        (2 ** np.linspace(0, largest, number)).astype(int), return_counts=True
    )
    counts = counts * num_per_kernel // number
    counts[: num_per_kernel - counts.sum()] += 1
    if counts.sum() < num_per_kernel:
        counts[0] += num_per_kernel - counts.sum()
    even = np.arange(_NUM_KERNELS) % 2 == 0
    return [
        _Dilation(int(step), int(count), even if index % 2 == 0 else ~even)
        for index, (step, count) in enumerate(zip(steps, counts, strict=True))
        if count
    ]


def _draw_channels(key: Array, dilations: list[_Dilation], in_channels: int) -> Params:
    """For each kernel a subset of the channels, of a size that is small more often than large."""
    params = {}
    for dilation, one_key in zip(dilations, jax.random.split(key, len(dilations)), strict=True):
        size_key, order_key = jax.random.split(one_key)
        most = min(in_channels, _SIZE)
        exponent = jax.random.uniform(size_key, (_NUM_KERNELS,), maxval=math.log2(most + 1))
        order = jax.random.uniform(order_key, (in_channels, _NUM_KERNELS)).argsort(0).argsort(0)
        channels = order < jnp.floor(2**exponent).astype(order.dtype)[None]
        params[dilation.name] = {"channels": channels.astype(jnp.float32)}
    return params


def _places(dilations: list[_Dilation]) -> _Places:
    steps = jnp.array([dilation.step for dilation in dilations], jnp.int32)
    return _Places(steps, jnp.array([dilation.pads for dilation in dilations]))


def _levels(dilations: list[_Dilation]) -> np.ndarray:
    """The levels of quantiles, spread evenly by the golden ratio; `(dilations, most, kernels)`."""
    most = max(dilation.num_thresholds for dilation in dilations)
    levels = np.zeros((len(dilations), most, _NUM_KERNELS), np.float32)
    count = 0
    for row, dilation in zip(levels, dilations, strict=True):
        numbers = count + np.arange(dilation.num_thresholds * _NUM_KERNELS)
        count += len(numbers)
        row[: dilation.num_thresholds] = ((numbers + 1) * _GOLDEN % 1).reshape(-1, _NUM_KERNELS)
    return levels


def _shifts(values: Array, step: Array) -> Array:
    """The nine shifts of series `(time, ...)`, `(9, time, ...)`; zeros beyond."""
    time = len(values)
    index = jnp.arange(time)[None] + (jnp.arange(_SIZE)[:, None] - _SIZE // 2) * step
    is_there = ((index >= 0) & (index < time)).reshape(*index.shape, *(1,) * (values.ndim - 1))
    return jnp.where(is_there, values[jnp.clip(index, 0, time - 1)], 0)


def _counted(places: _Places, length: Array, time: int) -> Array:
    """Which steps count, `(kernels, time)`; `length` is one number, or one for each kernel."""
    steps, reach = jnp.arange(time)[None], (_SIZE // 2) * places.step
    length = jnp.broadcast_to(length, (_NUM_KERNELS,))[:, None]
    inside = (steps >= reach) & (steps < length - reach)
    return jnp.where(places.pads[:, None] | (length <= 2 * reach), steps < length, inside)


def _fractions(places: _Places, params: Params, values: Array, length: Array) -> Array:
    """The features of one series for one dilation, `(thresholds, kernels)`.

    Whole numbers are counted along the last axis: XLA's loops for CPU are vectorized then.
    """
    kernel = _KERNELS[:, None, :] * params["channels"][None]
    shifts = _shifts(values, places.step).transpose(0, 2, 1).reshape(-1, len(values))
    outputs = kernel.reshape(-1, _NUM_KERNELS).T.astype(shifts.dtype) @ shifts
    counted = _counted(places, length, len(values))
    threshold = params["threshold"].astype(outputs.dtype)
    is_above = (outputs[None] > threshold[..., None]) & counted[None]
    number = jnp.maximum(counted.sum(axis=1, dtype=jnp.int32), 1)
    count = is_above.sum(axis=-1, dtype=jnp.int32)
    return count.astype(jnp.float32) / number.astype(jnp.float32)[None]


def _quantiles(places: _Places, channels: Array, examples: Sequences, levels: Array) -> Array:
    """For each kernel the quantiles of its outputs on one example, `(thresholds, kernels)`."""
    time = examples.values.shape[-2]
    # Kernels have the last axis: the channels of each are summed before its weights.
    total = jnp.einsum("ktc,ck->tk", examples.values, channels.astype(examples.values.dtype))
    weights = jnp.asarray(_KERNELS, total.dtype)
    y = (_shifts(total, places.step) * weights[:, None]).sum(0).T
    counted = _counted(places, examples.length, time)
    ordered = jnp.sort(jnp.where(counted, y, jnp.inf), axis=1)
    last = jnp.maximum(counted.sum(axis=1, dtype=jnp.int32) - 1, 0)[:, None]
    place = levels.T * last.astype(jnp.float32)
    low = jnp.floor(place).astype(jnp.int32)
    below, above = (
        jnp.take_along_axis(ordered, index, axis=1) for index in (low, jnp.minimum(low + 1, last))
    )
    thresholds = below + (place - jnp.floor(place)).astype(y.dtype) * (above - below)
    return jnp.where(counted.any(axis=1)[:, None], thresholds, 0).T
