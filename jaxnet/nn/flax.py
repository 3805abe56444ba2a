"""Any Flax module as a network: objectives and learners do not see the difference."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
from flax import linen, nnx
from jaxtyping import Array, PyTree

from jaxnet.nn.network import Network, StatefulNetwork
from jaxnet.typing import Params


def from_linen(module: linen.Module, example: Any) -> Network | StatefulNetwork:
    """A Linen module as a network.

    A module whose call takes `deterministic`, `train`, `training` or `use_running_average` is told
    whether it evaluates.

    Args:
        module: the module.
        example: an input, `(batch, ...)`, whose shape initializes the module.

    Returns:
        A `Network` whose parameters are the module's, as plain dicts; its key feeds the module's
        `dropout` stream. For a module that keeps other variables, such as the statistics of
        `BatchNorm`, a `StatefulNetwork` whose state is these collections of variables: in training
        they are updated in each step, and in evaluation they are used.

    >>> network = from_linen(linen.Dense(3), jax.numpy.ones((1, 2)))
    >>> params = network.init(jax.random.key(0))
    >>> params["kernel"].shape, network.apply(params, jax.numpy.ones((5, 2))).shape
    ((2, 3), (5, 3))
    >>> normalized = linen.BatchNorm(momentum=0.9)
    >>> network = from_linen(normalized, jax.numpy.ones((1, 2)))
    >>> params = network.init(jax.random.key(0))
    >>> sorted(network.init_extra(params, jax.random.key(0)))
    ['batch_stats']
    """
    arguments = inspect.signature(module.__call__).parameters

    def mode(evaluating: bool) -> dict[str, Any]:
        choices = {
            "deterministic": evaluating,
            "use_running_average": evaluating,
            "train": not evaluating,
            "training": not evaluating,
        }
        return {name: value for name, value in choices.items() if name in arguments}

    def variables(key: Array) -> dict[str, Any]:
        return dict(module.init({"params": key}, example, **mode(True)))

    def init(key: Array) -> Params:
        return variables(key).get("params", {})

    name = type(module).__name__
    shapes = jax.eval_shape(variables, jax.random.key(0))
    collections = sorted(set(shapes) - {"params"})
    if not collections:

        def apply(params: Params, x: Any, /, *, key: Array | None = None) -> Any:
            streams = {} if key is None else {"dropout": key}
            return module.apply({"params": params}, x, rngs=streams, **mode(key is None))

        return Network(init, apply, name)

    def init_extra(params: Params, key: Array) -> PyTree[Any]:
        initial = variables(key)
        return {collection: initial[collection] for collection in collections}

    def apply_with_state(
        params: Params, extra: PyTree[Any], x: Any, /, *, key: Array | None = None
    ) -> tuple[Any, PyTree[Any]]:
        everything = {"params": params, **extra}
        if key is None:
            return module.apply(everything, x, **mode(True)), extra
        rngs = {"dropout": key}
        outputs, updated = module.apply(
            everything, x, rngs=rngs, mutable=collections, **mode(False)
        )
        return outputs, {**extra, **updated}

    return StatefulNetwork(init, init_extra, apply_with_state, name)


def from_nnx(
    factory: Callable[[nnx.Rngs], Callable[[Array], Any]],
) -> Network | StatefulNetwork:
    """An NNX module as a network.

    Args:
        factory: from `nnx.Rngs` to the module, so that `init` is a function of its key.

    Returns:
        A `Network` whose parameters are the module's, as plain dicts; its key feeds the module's
        random streams. For a module that keeps other variables, such as the statistics of
        `BatchNorm`, a `StatefulNetwork` whose state is these variables.

    >>> network = from_nnx(lambda rngs: nnx.Linear(2, 3, rngs=rngs))
    >>> params = network.init(jax.random.key(0))
    >>> params["kernel"].shape, network.apply(params, jax.numpy.ones((5, 2))).shape
    ((2, 3), (5, 3))
    """

    def split(key: Array) -> tuple[Any, Any, Any, Any]:
        return nnx.split(factory(nnx.Rngs(key)), nnx.Param, nnx.RngState, ...)  # pyright: ignore[reportReturnType]

    def init(key: Array) -> Params:
        return nnx.to_pure_dict(split(key)[1])

    def run(
        params: Params, extra: PyTree[Any], x: Any, key: Array | None
    ) -> tuple[Any, PyTree[Any]]:
        # Under jit the parameters made here are unused, and the compiler drops them.
        graph, state, streams, rest = split(jax.random.key(0) if key is None else key)
        nnx.replace_by_pure_dict(state, params)
        nnx.replace_by_pure_dict(rest, extra)
        module: Any = nnx.merge(graph, state, streams, rest)
        module.eval() if key is None else module.train()
        outputs = module(x)
        updated: Any = nnx.split(module, nnx.Param, nnx.RngState, ...)[3]
        return outputs, nnx.to_pure_dict(updated)

    shapes = jax.eval_shape(lambda key: nnx.to_pure_dict(split(key)[3]), jax.random.key(0))
    if not jax.tree.leaves(shapes):

        def apply(params: Params, x: Any, /, *, key: Array | None = None) -> Any:
            return run(params, {}, x, key)[0]

        return Network(init, apply, "nnx")

    def init_extra(params: Params, key: Array) -> PyTree[Any]:
        return nnx.to_pure_dict(split(key)[3])

    def apply_with_state(
        params: Params, extra: PyTree[Any], x: Any, /, *, key: Array | None = None
    ) -> tuple[Any, PyTree[Any]]:
        outputs, updated = run(params, extra, x, key)
        return outputs, extra if key is None else updated

    return StatefulNetwork(init, init_extra, apply_with_state, "nnx")
