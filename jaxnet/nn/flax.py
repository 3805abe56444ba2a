"""Any Flax module as a `Network`: objectives and learners do not see the difference."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
from flax import linen, nnx
from jaxtyping import Array

from jaxnet.nn.network import Network
from jaxnet.typing import Params

_REMEDY = "use normalization within an example (LayerNorm, GroupNorm) instead of BatchNorm"


def from_linen(module: linen.Module, example: Array) -> Network:
    """A Linen module as a network.

    A module whose call takes `deterministic`, `train` or `training` is told whether it evaluates.

    Args:
        module: the module; all that it holds must be parameters.
        example: an input, `(batch, ...)`, whose shape initializes the module.

    Returns:
        A network whose parameters are the module's, as plain dicts. Its key feeds the module's
        `dropout` stream.

    Raises:
        ValueError: (of init) a module that keeps other variables than parameters.

    >>> network = from_linen(linen.Dense(3), jax.numpy.ones((1, 2)))
    >>> params = network.init(jax.random.key(0))
    >>> params["kernel"].shape, network.apply(params, jax.numpy.ones((5, 2))).shape
    ((2, 3), (5, 3))
    """
    arguments = inspect.signature(module.__call__).parameters

    def mode(evaluating: bool) -> dict[str, Any]:
        choices = {"deterministic": evaluating, "train": not evaluating, "training": not evaluating}
        return {name: value for name, value in choices.items() if name in arguments}

    def init(key: Array) -> Params:
        variables = dict(module.init({"params": key}, example, **mode(True)))
        params = variables.pop("params", {})
        if variables:
            raise ValueError(
                f"from_linen: {type(module).__name__} keeps the variables {sorted(variables)} "
                f"besides its parameters, which a pure network cannot; {_REMEDY}"
            )
        return params

    def apply(params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        streams = {} if key is None else {"dropout": key}
        outputs: Any = module.apply({"params": params}, x, rngs=streams, **mode(key is None))
        return outputs

    return Network(init, apply, type(module).__name__)


def from_nnx(factory: Callable[[nnx.Rngs], Callable[[Array], Any]]) -> Network:
    """An NNX module as a network.

    Args:
        factory: from `nnx.Rngs` to the module, so that `init` is a function of its key; all that
            the module holds must be parameters and random streams.

    Returns:
        A network whose parameters are the module's, as plain dicts. Its key feeds the module's
        random streams.

    Raises:
        ValueError: a module that keeps other variables than parameters.

    >>> network = from_nnx(lambda rngs: nnx.Linear(2, 3, rngs=rngs))
    >>> params = network.init(jax.random.key(0))
    >>> params["kernel"].shape, network.apply(params, jax.numpy.ones((5, 2))).shape
    ((2, 3), (5, 3))
    """

    def split(key: Array) -> tuple[Any, Any, Any]:
        graph, params, streams, rest = nnx.split(
            factory(nnx.Rngs(key)), nnx.Param, nnx.RngState, ...
        )
        if jax.tree.leaves(rest):
            kept = sorted(nnx.to_pure_dict(rest))
            raise ValueError(
                f"from_nnx: the module keeps the variables {kept} besides its parameters, "
                f"which a pure network cannot; {_REMEDY}"
            )
        return graph, params, streams

    def init(key: Array) -> Params:
        return nnx.to_pure_dict(split(key)[1])

    def apply(params: Params, x: Array, /, *, key: Array | None = None) -> Array:
        # Under jit the parameters made here are unused, and the compiler drops them.
        graph, state, streams = split(jax.random.key(0) if key is None else key)
        nnx.replace_by_pure_dict(state, params)
        module: Any = nnx.merge(graph, state, streams)
        module.eval() if key is None else module.train()
        return module(x)

    return Network(init, apply, "nnx")
