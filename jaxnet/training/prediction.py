"""Evaluate a network over all examples, in batches of one fixed size."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, PyTree, Shaped

from jaxnet._checks import require_positive
from jaxnet._compiled import compiled_for
from jaxnet._data import as_arrays
from jaxnet.training._explicit import explicit_sharding, joined, on_mesh_of
from jaxnet.training._placement import DATA, data_mesh
from jaxnet.training.batches import take_examples
from jaxnet.typing import Params


def predict(
    apply: Callable[[Params, Any], Any],
    params: Params,
    x: PyTree[Any],
    *,
    batch_size: int = 1024,
) -> PyTree[Shaped[Array, "..."]]:
    """Outputs for every example, computed in padded batches of one fixed size.

    The size of a batch decides the last bits of a matrix product, so one fixed size makes the
    output for an example the same in every call with it, whatever else is predicted beside it. It
    compiles once for an `apply`, a slice of a chain included, and shapes of inputs.

    With inputs on a mesh of devices, by `shard_examples` or `replicate`, each device computes
    batches of its part of the examples, and the outputs are spread over `data`.

    Args:
        apply: `apply(params, x)` in evaluation mode, such as `network.apply`.
        params: parameters; for those of a batch of runs, `jax.vmap` this function.
        x: the inputs, `(n, ...)`, an array or a pytree of arrays: JAX or NumPy arrays, DataFrames.
        batch_size: examples in a batch; bounds the memory.

    Returns:
        The outputs, `(n, ...)`, in the structure that the network gives them; none for no examples.

    Raises:
        TypeError: inputs that are not arrays of numbers, such as a list of numbers.
        ValueError: a batch size below 1, arrays of different lengths.

    >>> import jaxnet as jn
    >>> network = jn.mlp([2, 3])
    >>> params = network.init(jax.random.key(0))
    >>> predict(network.apply, params, jnp.ones((5, 2)), batch_size=2).shape
    (5, 3)
    """
    require_positive("predict", batch_size=batch_size)
    x = as_arrays("predict", "x", x)
    shapes = jax.tree.map(jnp.shape, x)
    lengths = {leaf.shape[:1] for leaf in jax.tree.leaves(x)}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(
            "predict: all arrays of x must have the same first axis, which counts the examples, "
            f"found shapes {shapes}"
        )
    run = compiled_for(apply, _predict, operator.index(batch_size), data_mesh(x))
    return run(on_mesh_of(x, params), x)


def _predict(
    apply: Callable[[Params, Any], Any],
    batch_size: int,
    mesh: Any,
    params: Params,
    x: PyTree[Array],
) -> PyTree[Array]:
    length = len(jax.tree.leaves(x)[0])
    if mesh is None or length == 0:
        return _predict_local(apply, batch_size, params, x)
    # Each device computes batches of its own examples, whose size and bits are those of one device.
    # Examples are added where the devices do not divide them.
    missing = -length % mesh.shape[DATA]
    x = jax.tree.map(lambda leaf: jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)), x)
    outputs = jax.shard_map(
        functools.partial(_predict_local, apply, batch_size),
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(DATA)),
        out_specs=PartitionSpec(DATA),
        axis_names={DATA},
        check_vma=False,
    )(params, x)
    return jax.tree.map(lambda leaf: leaf[:length], outputs) if missing else outputs


def _predict_local(
    apply: Callable[[Params, Any], Any], batch_size: int, params: Params, x: PyTree[Array]
) -> PyTree[Array]:
    length = len(jax.tree.leaves(x)[0])
    num_batches = -(-length // batch_size)
    if any(explicit_sharding(leaf) is not None for leaf in jax.tree.leaves(x)):
        # An axis that is sharded cannot be cut into batches: the rows of each are gathered.
        rows = jnp.minimum(jnp.arange(num_batches * batch_size), length - 1)
        rows = rows.reshape(num_batches, batch_size)
        outputs = jax.lax.map(lambda chosen: apply(params, take_examples(x, chosen)), rows)
        return jax.tree.map(lambda leaf: joined(leaf, length), outputs)

    def cut(leaf: Array) -> Array:
        padding = [(0, num_batches * batch_size - length)] + [(0, 0)] * (leaf.ndim - 1)
        return jnp.pad(leaf, padding).reshape(num_batches, batch_size, *leaf.shape[1:])

    outputs = jax.lax.map(functools.partial(apply, params), jax.tree.map(cut, x))
    return jax.tree.map(lambda leaf: joined(leaf, length), outputs)
