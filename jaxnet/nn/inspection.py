"""What a network is made of, as a table."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxnet.nn.branches import Heads
from jaxnet.nn.network import Chain, Network, StatefulNetwork, require_network
from jaxnet.typing import Params, Sequences


class _Row(NamedTuple):
    name: str
    output: str
    num_params: int


def summary(network: Network | StatefulNetwork, input_shape: PyTree[Any]) -> str:
    """A table of the parts of a network, the shapes of their outputs and their parameters.

    Nothing is computed: shapes come from `jax.eval_shape`.

    Args:
        network: a network; the parts of chains, autoencoders and heads are listed below them.
        input_shape: shape of one example, without the batch: `(28, 28, 1)`, or `(time, dim)`; or a
            pytree of `jax.ShapeDtypeStruct`, for several inputs or other dtypes than float32, such
            as `Sequences(jax.ShapeDtypeStruct((time,), jnp.int32), ())` for tokens.

    Returns:
        The table, to be printed. Shapes are those of one example; a line at the end counts all
        parameters, and the numbers in the state where the network has state.

    Raises:
        TypeError: what is not a network.
        ValueError: an input that the network does not take; the part is named.

    >>> import jaxnet as jn
    >>> print(summary(jn.mlp([4, 8, 3]), (4,)))
    part                              output  parameters
    chain                             (3,)            67
      dense_0: dense(4, 8)            (8,)            40
      activation_0: activation(relu)  (8,)             0
      dense_1: dense(8, 3)            (3,)            27
    67 parameters
    """
    require_network("summary", network, stateful=True)
    example = jax.tree.map(_with_batch, _shapes(input_shape))
    key = jax.eval_shape(lambda: jax.random.key(0))
    if isinstance(network, StatefulNetwork):
        params, extra = jax.eval_shape(network.evaluation.init, key)
        output = jax.eval_shape(network.evaluation.apply, (params, extra), example)
        rows = [_Row(f"{network!r}", _shown(output), _count(params))]
    else:
        params, extra = jax.eval_shape(network.init, key), ()
        rows = list(_rows(network.name, network, params, example, ""))
    total = f"{_count(params):,} parameters"
    if _count(extra):
        total += f", {_count(extra):,} numbers in the state"
    return "\n".join([*_table(rows), total])


def _rows(name: str, network: Network, params: Params, x: Any, indent: str) -> Iterator[_Row]:
    """The row of a network, and those of its parts below it."""
    output = jax.eval_shape(network.apply, params, x)
    yield _Row(f"{indent}{name}", _shown(output), _count(params))
    indent += "  "
    for part, child, inputs, below in _parts(network, params, x):
        title = part if _parts(child, below, inputs) else f"{part}: {child!r}"
        yield from _rows(title, child, below, inputs, indent)


def _parts(network: Network, params: Params, x: Any) -> list[tuple[str, Network, Any, Params]]:
    """Name, network, input and parameters of each part."""
    children = network._children()
    decode_params: Any = getattr(network, "decoder_params", None)
    encode: Any = getattr(network, "encode", None)
    if decode_params is not None and encode is not None:
        (first, encoder), (last, decoder) = children
        code = jax.eval_shape(lambda params, x: encode(params, x), params, x)
        below = jax.eval_shape(lambda params: decode_params(params), params)
        return [(first, encoder, x, params[first]), (last, decoder, code, below)]
    parts = []
    for index, (name, child) in enumerate(children):
        below = params.get(name, {})
        parts.append((name, child, x, below))
        if isinstance(network, Chain) or (isinstance(network, Heads) and index == 0):
            x = jax.eval_shape(child.apply, below, x)
    return parts


def _shapes(tree: Any) -> Any:
    def is_shape(node: Any) -> bool:
        return isinstance(node, (tuple, list)) and all(isinstance(size, int) for size in node)

    def struct(leaf: Any) -> Any:
        if isinstance(leaf, Sequences):
            length: Any = jax.ShapeDtypeStruct((), jnp.int32)
            return Sequences(struct(leaf.values), length)
        return jax.ShapeDtypeStruct(tuple(leaf), jnp.float32) if is_shape(leaf) else leaf

    def is_leaf(node: Any) -> bool:
        return isinstance(node, Sequences) or is_shape(node)

    return jax.tree.map(struct, tree, is_leaf=is_leaf)


def _with_batch(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype)


def _shown(output: Any) -> str:
    def shown(leaf: Any) -> str:
        return str((leaf.values if isinstance(leaf, Sequences) else leaf).shape[1:])

    shapes = jax.tree.map(shown, output, is_leaf=lambda node: isinstance(node, Sequences))
    return str(shapes).replace("'", "")


def _count(tree: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _table(rows: list[_Row]) -> list[str]:
    header = ("part", "output", "parameters")
    cells = [header, *((row.name, row.output, f"{row.num_params:,}") for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    return [
        f"{name:<{widths[0]}}  {output:<{widths[1]}}  {count:>{widths[2]}}"
        for name, output, count in cells
    ]
