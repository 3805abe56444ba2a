"""Mixed precision: a network that computes in another type than that of its parameters."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from jaxnet.nn.network import Chain, Network, chain_of_parts, require_network
from jaxnet.typing import Apply, Params


def compute_in(
    network: Network, dtype: DTypeLike, *, output_dtype: DTypeLike | None = None
) -> Network:
    """Compute a network in another type of numbers, such as bfloat16: mixed precision.

    Parameters and inputs are cast where they are used, so the parameters that an optimizer updates
    keep their type, and so do their gradients. Objectives and metrics accumulate in float32 or
    wider whatever `dtype` is. Micikevicius et al. (2018), "Mixed precision training", section 3.1;
    their scale of the loss, `with_loss_scale`, is needed for float16 alone.

    Args:
        network: a network; a `Chain` stays a `Chain`, whose slices compute in `dtype` too. For an
            autoencoder, transform its encoder and its decoder.
        dtype: a type of floating point numbers.
        output_dtype: type of the outputs, to which the last ones are cast; None leaves `dtype`.

    Returns:
        A network with the same parameters.

    Raises:
        TypeError: what is not a network, or has methods beside `apply`; a type that is not one of
            floating point numbers.

    >>> import jaxnet as jn
    >>> network = compute_in(jn.mlp([4, 3, 2]), jnp.bfloat16)
    >>> params = network.init(jax.random.key(0))
    >>> params["dense_0"]["kernel"].dtype, network[:1].apply(params, jnp.ones((5, 4))).dtype
    (dtype('float32'), dtype(bfloat16))
    """
    require_network("compute_in", network)
    for name, value in (("dtype", dtype), ("output_dtype", output_dtype)):
        if value is not None and not jnp.issubdtype(value, jnp.floating):
            raise TypeError(f"compute_in: {name} is {value}, expected floats, such as jnp.bfloat16")
    if isinstance(network, Chain):
        last = len(network) - 1
        parts = (
            dataclasses.replace(
                part,
                network=compute_in(
                    part.network, dtype, output_dtype=output_dtype if index == last else None
                ),
            )
            for index, part in enumerate(network.parts)
        )
        return chain_of_parts(tuple(parts))
    if type(network) is not Network:
        raise TypeError(
            f"compute_in: network is a {type(network).__name__}, whose methods would compute in "
            "the type of its parameters; transform its parts and combine them again"
        )
    types = jnp.dtype(dtype), jnp.dtype(dtype if output_dtype is None else output_dtype)
    apply = _ComputeIn(network.apply, *types)
    return Network(network.init, apply, network.name, detail=network.detail)


@dataclasses.dataclass(frozen=True)
class _ComputeIn:
    inside: Apply
    dtype: Any
    output_dtype: Any

    def __call__(self, params: Params, x: Any, /, *, key: Array | None = None) -> Any:
        outputs = self.inside(*_cast((params, x), self.dtype), key=key)
        return _cast(outputs, self.output_dtype)


def _cast(tree: Any, dtype: Any) -> Any:
    """Floats of another type; all else as it is."""

    def cast(leaf: Any) -> Any:
        leaf = jnp.asarray(leaf)
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(cast, tree)
