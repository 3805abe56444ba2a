"""Layers: each is a factory that returns a `Network` acting on trailing axes.

Those of images (convolution, pooling) are in `jaxnet.nn.convolution`, noise is in
`jaxnet.nn.noise`.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from jaxnet import _draws
from jaxnet._checks import is_hidden, require_not_negative, require_positive, require_range
from jaxnet.nn._kernels import ZEROS, KernelInit
from jaxnet.nn.initializers import lecun_normal
from jaxnet.nn.network import Network
from jaxnet.typing import Initializer, Params

_ones = jax.nn.initializers.ones


def dense(
    in_dim: int,
    out_dim: int,
    *,
    kernel_init: Initializer = lecun_normal,
    bias_init: Initializer = ZEROS,
    use_bias: bool = True,
) -> Network:
    """Affine map `y = x kernel + bias`.

    Goodfellow, Bengio and Courville (2016), "Deep learning", section 6.1.

    Args:
        in_dim: size of the last axis of the input.
        out_dim: size of the last axis of the output.
        kernel_init: initializer of the kernel, shape `(in_dim, out_dim)`.
        bias_init: initializer of the bias, shape `(out_dim,)`.
        use_bias: whether there is a bias.

    Returns:
        A network from `(*batch, in_dim)` to `(*batch, out_dim)`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1; (of the network) an input of another size.

    >>> network = dense(3, 2)
    >>> params = network.init(jax.random.key(0))
    >>> params["kernel"].shape, params["bias"].shape
    ((3, 2), (2,))
    """
    require_positive("dense", in_dim=in_dim, out_dim=out_dim)

    init = KernelInit((in_dim, out_dim), kernel_init, bias_init if use_bias else None)

    def apply(
        params: Params, x: Shaped[Array, "*batch in_dim"], /, *, key: Array | None = None
    ) -> Float[Array, "*batch out_dim"]:
        # Not `jnp.shape`: converters to ONNX trace functions of jax.numpy, and shapes with them.
        if np.shape(x)[-1:] != (in_dim,):
            raise ValueError(
                f"dense: the input has shape {np.shape(x)}, expected in_dim = {in_dim} numbers in "
                "the last axis; flatten images, or change in_dim"
            )
        y = x @ params["kernel"]
        return y + jax.lax.broadcast_to_rank(params["bias"], y.ndim) if use_bias else y

    return Network(init, apply, "dense", detail=f"{in_dim}, {out_dim}")


def activation(function: Callable[[Array], Array]) -> Network:
    """A function without parameters, such as `jax.nn.relu`, as a network.

    Args:
        function: acts on each number, or on the last axis alone (softmax).

    Returns:
        A network from `(*batch, dim)` to the shape that the function returns, mostly the same.

    >>> network = activation(jax.nn.relu)
    >>> network.apply({}, jnp.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def apply(params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        return function(x)

    return Network(
        _no_params, apply, "activation", detail=getattr(function, "__name__", "function")
    )


def dropout(rate: ArrayLike) -> Network:
    """Set each number to zero with probability `rate` and scale the others by `1 / (1 - rate)`.

    Without a key (evaluation) it is the identity, which is also the mean over keys. Srivastava et
    al. (2014), "Dropout", section 4, in the inverted form of section 10.

    Args:
        rate: probability of a zero, in [0, 1); may be traced.

    Returns:
        A network that keeps shapes.

    Raises:
        TypeError: a rate that is not a number.
        ValueError: a rate outside [0, 1).

    >>> network = dropout(0.5)
    >>> network.apply({}, jnp.ones(4)).tolist()
    [1.0, 1.0, 1.0, 1.0]
    >>> sorted(set(network.apply({}, jnp.ones(40), key=jax.random.key(0)).tolist()))
    [0.0, 2.0]
    """
    require_range("dropout", "rate", rate, 0, 1, include_high=False)

    def apply(
        params: Params, x: Float[Array, "*shape"], /, *, key: Array | None = None
    ) -> Float[Array, "*shape"]:
        if key is None:
            return x
        kept = _draws.bernoulli(key, 1 - rate, x.shape)
        return jnp.where(kept, x / (1 - rate), 0)

    return Network(_no_params, apply, "dropout", detail="traced" if is_hidden(rate) else f"{rate}")


def layer_norm(dim: int, *, epsilon: float = 1e-6) -> Network:
    """Standardize the last axis of each example, then scale and shift.

    `y = scale (x - mean) / sqrt(variance + epsilon) + bias`, Ba, Kiros, Hinton (2016), "Layer
    normalization", eq. 4.

    Args:
        dim: size of the last axis.
        epsilon: added to the variance, at least 0.

    Returns:
        A network that keeps the shape `(*batch, dim)`, with the parameters `scale` and `bias` of
        shape `(dim,)`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1, or a negative epsilon.

    >>> network = layer_norm(4)
    >>> params = network.init(jax.random.key(0))
    >>> y = network.apply(params, jnp.array([1.0, 2.0, 3.0, 4.0]))
    >>> bool(abs(y.mean()) < 1e-6), round(float(y.std()), 3)
    (True, 1.0)
    """
    require_positive("layer_norm", dim=dim)
    require_not_negative("layer_norm", epsilon=epsilon)

    def init(key: Array) -> Params:
        return {"scale": _ones(key, (dim,)), "bias": ZEROS(key, (dim,))}

    def apply(
        params: Params, x: Float[Array, "*batch dim"], /, *, key: Array | None = None
    ) -> Float[Array, "*batch dim"]:
        scale, bias = (jax.lax.broadcast_to_rank(params[n], x.ndim) for n in ("scale", "bias"))
        return jax.nn.standardize(x, epsilon=epsilon) * scale + bias

    return Network(init, apply, "layer_norm", detail=f"{dim}")


def flatten(num_axes: int = 3) -> Network:
    """Flatten the last `num_axes` axes into one: an image to a vector, in row-major order.

    Args:
        num_axes: how many trailing axes make one example.

    Returns:
        A network from `(*batch, *shape)` to `(*batch, prod(shape))`.

    Raises:
        TypeError: a number of axes that is not an integer.
        ValueError: a number of axes below 1.

    >>> flatten().apply({}, jnp.ones((5, 4, 4, 3))).shape
    (5, 48)
    """
    require_positive("flatten", num_axes=num_axes)

    def apply(params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        batch = x.shape[: x.ndim - num_axes]
        return x.reshape(*batch, math.prod(x.shape[x.ndim - num_axes :]))

    return Network(_no_params, apply, "flatten", detail=f"{num_axes}")


def _no_params(key: Array) -> Params:
    return {}
