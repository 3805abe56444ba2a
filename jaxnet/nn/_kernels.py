"""Kernels of layers: those of a chain are drawn by one program, which compiles once for all.

The numbers are, to rounding, those of each layer by itself: the first numbers of a longer draw from
a key are those of a shorter one. (With `jax_threefry_partitionable`, the default, a number is a
function of the key and its place alone.)
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxnet.nn.initializers import SCALES, draw, kernel_stddev, scale_kernel
from jaxnet.typing import Initializer, Params

ZEROS = jax.nn.initializers.zeros
# Numbers that are drawn together, of which some are thrown away.
_MAX_DRAWN = 2**22


@dataclasses.dataclass(frozen=True, eq=False)
class KernelInit:
    """`init` of a layer with a kernel, from which a chain knows what its parts draw.

    Attributes:
        shape: of the kernel, `(*window, in_dim, out_dim)`.
        kernel_init: initializer of the kernel.
        bias_init: initializer of the bias, `(out_dim,)`; None without one.
        sizes: `(in_dim, out_dim)` of a kernel that is padded to the shape; they may be traced. None
            without padding.
    """

    shape: tuple[int, ...]
    kernel_init: Initializer
    bias_init: Initializer | None = ZEROS
    sizes: tuple[Any, Any] | None = None

    def __call__(self, key: Array) -> Params:
        """Draw the parameters."""
        kernel_key, bias_key = jax.random.split(key)
        if self.sizes is None:
            kernel = self.kernel_init(kernel_key, self.shape)
        else:
            drawn = draw(kernel_key, math.prod(self.shape))
            kernel = _arrange(drawn, self.shape, SCALES[self.kernel_init], self.sizes)
        return self.with_kernel(kernel, bias_key)

    def with_kernel(self, kernel: Array, bias_key: Array) -> Params:
        """The parameters, of which the kernel is given."""
        if self.bias_init is None:
            return {"kernel": kernel}
        return {"kernel": kernel, "bias": self.bias_init(bias_key, self.shape[-1:])}


def init_together(key: Array, inits: Mapping[int, Callable[[Array], Params]]) -> dict[int, Params]:
    """Draw truncated normal kernels of several layers at once, if at least two have one.

    Args:
        key: PRNG key.
        inits: index of a layer -> its `init`.

    Returns:
        Index of a layer -> `init(fold_in(key, index))`, for those that are drawn here.
    """
    normal = {
        index: init
        for index, init in inits.items()
        if isinstance(init, KernelInit)
        and any(init.kernel_init is known for known in SCALES)
        and (init.bias_init is None or init.bias_init is ZEROS)
    }
    sizes = [math.prod(init.shape) for init in normal.values()]
    if len(normal) < 2 or len(normal) * max(sizes) > _MAX_DRAWN:
        return {}
    scales = [SCALES[init.kernel_init] for init in normal.values()]
    shapes = tuple(init.shape for init in normal.values())
    padded = [init.sizes for init in normal.values()]
    kernels = _draw(key, tuple(normal), shapes, tuple(scales), padded)
    # Zeros depend on no key.
    return {
        index: init.with_kernel(kernel, key)
        for (index, init), kernel in zip(normal.items(), kernels, strict=True)
    }


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _draw(
    key: Array,
    indices: tuple[int, ...],
    shapes: tuple[tuple[int, ...], ...],
    scales: tuple[float, ...],
    padded: Sequence[tuple[Any, Any] | None],
) -> list[Array]:
    lengths = [math.prod(shape) for shape in shapes]

    def draw_at(index: Array) -> Array:
        kernel_key, _ = jax.random.split(jax.random.fold_in(key, index))
        return draw(kernel_key, max(lengths))

    drawn = jax.lax.map(draw_at, jnp.array(indices, jnp.uint32))
    return [
        _arrange(drawn[row, :length], shape, scale, sizes)
        for row, (length, shape, scale, sizes) in enumerate(
            zip(lengths, shapes, scales, padded, strict=True)
        )
    ]


def _arrange(
    drawn: Array, shape: tuple[int, ...], scale: float, sizes: tuple[Any, Any] | None
) -> Array:
    """A kernel from numbers of `draw`; where it is padded, with 0 beyond its sizes.

    The first numbers of a longer draw are those of a shorter one: entry (i, j) of a kernel is
    number `i * out_dim + j`, at whatever size it is drawn.
    """
    if sizes is None:
        return scale_kernel(drawn, shape, scale)
    in_dim, out_dim = sizes
    row, column = (jax.lax.broadcasted_iota(jnp.int32, shape, axis) for axis in (0, 1))
    inside = (row < in_dim) & (column < out_dim)
    kernel = drawn[jnp.where(inside, row * out_dim + column, 0)]
    return jnp.where(inside, kernel * kernel_stddev(in_dim, scale, drawn.dtype), 0)
