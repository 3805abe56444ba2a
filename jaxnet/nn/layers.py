"""Layers: each is a factory that returns a `Network` acting on trailing axes."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_positive
from jaxnet.nn.initializers import lecun_normal
from jaxnet.nn.network import Network
from jaxnet.typing import Initializer, Params

_zeros = jax.nn.initializers.zeros
_ones = jax.nn.initializers.ones


def _stateless(apply: Any, name: str) -> Network:
    return Network(lambda key: {}, apply, name)


def dense(
    in_dim: int,
    out_dim: int,
    *,
    kernel_init: Initializer = lecun_normal,
    bias_init: Initializer = _zeros,
    use_bias: bool = True,
) -> Network:
    """Affine map `y = x kernel + bias`.

    Args:
        in_dim: size of the last axis of the input.
        out_dim: size of the last axis of the output.
        kernel_init: initializer of the kernel, shape `(in_dim, out_dim)`.
        bias_init: initializer of the bias, shape `(out_dim,)`.
        use_bias: whether there is a bias.

    Returns:
        A network from `(*batch, in_dim)` to `(*batch, out_dim)`.

    Raises:
        ValueError: a size below 1.

    >>> network = dense(3, 2)
    >>> params = network.init(jax.random.key(0))
    >>> params["kernel"].shape, params["bias"].shape
    ((3, 2), (2,))
    """
    require_positive("dense", in_dim=in_dim, out_dim=out_dim)

    def init(key: Array) -> Params:
        kernel_key, bias_key = jax.random.split(key)
        params = {"kernel": kernel_init(kernel_key, (in_dim, out_dim))}
        return params | {"bias": bias_init(bias_key, (out_dim,))} if use_bias else params

    def apply(
        params: Params, x: Shaped[Array, "*batch in_dim"], /, *, key: Array | None = None
    ) -> Float[Array, "*batch out_dim"]:
        y = x @ params["kernel"]
        return y + jax.lax.broadcast_to_rank(params["bias"], y.ndim) if use_bias else y

    return Network(init, apply, "dense")


def activation(function: Callable[[Array], Array]) -> Network:
    """A function without parameters, such as `jax.nn.relu`, as a network.

    Args:
        function: acts on each number, or on the last axis alone (softmax).

    >>> network = activation(jax.nn.relu)
    >>> network.apply({}, jnp.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return _stateless(lambda params, x, /, *, key=None: function(x), "activation")


def dropout(rate: float | Array) -> Network:
    """Set each number to zero with probability `rate` and scale the others by `1 / (1 - rate)`.

    Without a key (evaluation) it is the identity, which is also the mean over keys. The rate may be
    traced. Srivastava et al. (2014), "Dropout", in the inverted form.

    Args:
        rate: probability of a zero, in [0, 1).

    Raises:
        ValueError: a rate outside [0, 1).

    >>> network = dropout(0.5)
    >>> network.apply({}, jnp.ones(4)).tolist()
    [1.0, 1.0, 1.0, 1.0]
    >>> sorted(set(network.apply({}, jnp.ones(40), key=jax.random.key(0)).tolist()))
    [0.0, 2.0]
    """
    if isinstance(rate, (int, float)) and not 0 <= rate < 1:
        raise ValueError(f"dropout: rate must lie in [0, 1), found {rate}")

    def apply(
        params: Params, x: Float[Array, "*shape"], /, *, key: Array | None = None
    ) -> Float[Array, "*shape"]:
        if key is None:
            return x
        kept = jax.random.bernoulli(key, 1 - rate, x.shape)
        return jnp.where(kept, x / (1 - rate), 0)

    return _stateless(apply, "dropout")


def layer_norm(dim: int, *, epsilon: float = 1e-6) -> Network:
    """Standardize the last axis of each example, then scale and shift.

    `y = scale (x - mean) / sqrt(variance + epsilon) + bias`, Ba, Kiros, Hinton (2016), "Layer
    normalization", eq. 4.

    Args:
        dim: size of the last axis.
        epsilon: added to the variance.

    Raises:
        ValueError: a size below 1.

    >>> network = layer_norm(4)
    >>> params = network.init(jax.random.key(0))
    >>> y = network.apply(params, jnp.array([1.0, 2.0, 3.0, 4.0]))
    >>> bool(abs(y.mean()) < 1e-6), round(float(y.std()), 3)
    (True, 1.0)
    """
    require_positive("layer_norm", dim=dim)

    def init(key: Array) -> Params:
        return {"scale": _ones(key, (dim,)), "bias": _zeros(key, (dim,))}

    def apply(
        params: Params, x: Float[Array, "*batch dim"], /, *, key: Array | None = None
    ) -> Float[Array, "*batch dim"]:
        scale, bias = (jax.lax.broadcast_to_rank(params[n], x.ndim) for n in ("scale", "bias"))
        return jax.nn.standardize(x, epsilon=epsilon) * scale + bias

    return Network(init, apply, "layer_norm")


def conv(
    in_channels: int,
    out_channels: int,
    kernel_size: Sequence[int] = (3, 3),
    *,
    strides: Sequence[int] = (1, 1),
    padding: str = "SAME",
    kernel_init: Initializer = lecun_normal,
    bias_init: Initializer = _zeros,
) -> Network:
    """Two-dimensional convolution (cross-correlation) of pictures.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: height and width of the kernel.
        strides: vertical and horizontal step.
        padding: "SAME" or "VALID".
        kernel_init: initializer of the kernel, shape `(height, width, in_channels, out_channels)`.
        bias_init: initializer of the bias, shape `(out_channels,)`.

    Returns:
        A network from `(*batch, height, width, in_channels)` to
        `(*batch, new_height, new_width, out_channels)`.

    Raises:
        ValueError: a size below 1 or an unknown padding.

    >>> network = conv(1, 8)
    >>> params = network.init(jax.random.key(0))
    >>> network.apply(params, jnp.ones((5, 28, 28, 1))).shape
    (5, 28, 28, 8)
    """
    require_positive("conv", in_channels=in_channels, out_channels=out_channels)
    _require_window("conv", kernel_size=kernel_size, strides=strides)
    _require_padding("conv", padding)

    def init(key: Array) -> Params:
        kernel_key, bias_key = jax.random.split(key)
        shape = (*kernel_size, in_channels, out_channels)
        return {"kernel": kernel_init(kernel_key, shape), "bias": bias_init(bias_key, shape[-1:])}

    def apply(
        params: Params,
        x: Float[Array, "*batch height width in_channels"],
        /,
        *,
        key: Array | None = None,
    ) -> Float[Array, "*batch new_height new_width out_channels"]:
        images = x.reshape(-1, *x.shape[-3:])
        y = jax.lax.platform_dependent(images, params["kernel"], cpu=products, default=convolution)
        y = y + jax.lax.broadcast_to_rank(params["bias"], y.ndim)
        return y.reshape(*x.shape[:-3], *y.shape[-3:])

    def convolution(images: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(
            images, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def products(images: Array, kernel: Array) -> Array:
        # On CPU, XLA's convolution is an order of magnitude slower inside a loop, where training
        # is, than outside (jax-ml/jax issue 12868). One matrix product for each place of the kernel
        # is the same sum.
        pads = jax.lax.padtype_to_pads(images.shape[1:3], kernel_size, strides, padding)
        images = jnp.pad(images, [(0, 0), *pads, (0, 0)])
        spans = [
            (size - window) // stride * stride + 1
            for size, window, stride in zip(images.shape[1:3], kernel_size, strides, strict=True)
        ]
        return sum(
            images[:, row : row + spans[0] : strides[0], column : column + spans[1] : strides[1]]
            @ kernel[row, column]
            for row, column in itertools.product(*map(range, kernel_size))
        )  # pyright: ignore[reportReturnType]

    return Network(init, apply, "conv")


def _pool(
    name: str,
    window: Sequence[int],
    padding: str,
    reduce: Callable[[Callable[[Array, float], Array], Array], Array],
) -> Network:
    """A network that reduces windows; `reduce(windows, x)` is given what cuts `x` into them."""
    _require_window(name, window=window)
    _require_padding(name, padding)

    def windows(x: Array, fill: float) -> Array:
        """`(*batch, new_height, window_height, new_width, window_width, channels)`."""
        *batch, height, width, channels = x.shape
        if padding == "SAME":
            pads = jax.lax.padtype_to_pads((height, width), window, window, padding)
            x = jnp.pad(x, [*[(0, 0)] * len(batch), *pads, (0, 0)], constant_values=fill)
        rows, columns = x.shape[-3] // window[0], x.shape[-2] // window[1]
        x = x[..., : rows * window[0], : columns * window[1], :]
        return x.reshape(*batch, rows, window[0], columns, window[1], channels)

    def apply(
        params: Params,
        x: Float[Array, "*batch height width channels"],
        /,
        *,
        key: Array | None = None,
    ) -> Float[Array, "*batch new_height new_width channels"]:
        return reduce(windows, x)

    return _stateless(apply, name)


def max_pool(window: Sequence[int] = (2, 2), *, padding: str = "VALID") -> Network:
    """Largest value of each window of a picture; windows lie side by side.

    Args:
        window: height and width of the window.
        padding: "VALID" drops an incomplete window at the border, "SAME" keeps it.

    Returns:
        A network from `(*batch, height, width, channels)` to the smaller picture.

    Raises:
        ValueError: a size below 1 or an unknown padding.

    >>> max_pool().apply({}, jnp.arange(16.0).reshape(4, 4, 1))[..., 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    return _pool(
        "max_pool", window, padding, lambda windows, x: windows(x, -math.inf).max(axis=(-4, -2))
    )


def mean_pool(window: Sequence[int] = (2, 2), *, padding: str = "VALID") -> Network:
    """Mean of each window of a picture; windows lie side by side.

    Args:
        window: height and width of the window.
        padding: "VALID" drops an incomplete window at the border, "SAME" averages what is there.

    Returns:
        A network from `(*batch, height, width, channels)` to the smaller picture.

    Raises:
        ValueError: a size below 1 or an unknown padding.

    >>> mean_pool().apply({}, jnp.arange(16.0).reshape(4, 4, 1))[..., 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """

    def mean(windows: Callable[[Array, float], Array], x: Array) -> Array:
        counts = windows(jnp.ones_like(x[..., :1]), 0.0).sum(axis=(-4, -2))
        return windows(x, 0.0).sum(axis=(-4, -2)) / counts

    return _pool("mean_pool", window, padding, mean)


def flatten(num_axes: int = 3) -> Network:
    """Flatten the last `num_axes` axes into one: a picture to a vector.

    Args:
        num_axes: how many trailing axes make one example.

    Raises:
        ValueError: a number of axes below 1.

    >>> flatten().apply({}, jnp.ones((5, 4, 4, 3))).shape
    (5, 48)
    """
    require_positive("flatten", num_axes=num_axes)

    def apply(params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        batch = x.shape[: x.ndim - num_axes]
        return x.reshape(*batch, math.prod(x.shape[x.ndim - num_axes :]))

    return _stateless(apply, "flatten")


def _require_window(function: str, **windows: Sequence[int]) -> None:
    for name, window in windows.items():
        if len(window) != 2 or min(window) < 1:
            raise ValueError(
                f"{function}: {name} must be a height and a width of at least 1, "
                f"found {tuple(window)}"
            )


def _require_padding(function: str, padding: str) -> None:
    if padding not in ("SAME", "VALID"):
        raise ValueError(f'{function}: padding must be "SAME" or "VALID", found {padding!r}')
