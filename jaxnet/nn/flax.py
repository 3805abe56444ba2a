"""Flax modules as networks: objectives and learners do not see the difference."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import errors, linen, nnx
from jaxtyping import Array, PyTree

from jaxnet._global_arrays import is_key
from jaxnet.nn.network import Network, StatefulNetwork
from jaxnet.typing import Params

# Flags that modules are commonly told their mode by, with the value in training.
_FLAGS = {
    "deterministic": False,
    "use_running_average": False,
    "train": True,
    "training": True,
    "is_training": True,
}


def from_linen(
    module: linen.Module, example: Any, *, training: Mapping[str, Any] | None = None
) -> Network | StatefulNetwork:
    """A Linen module as a network.

    In training the key feeds all random streams of the module, each with its own numbers.

    Args:
        module: the module.
        example: an input, `(batch, ...)`, whose shape initializes the module; a tuple holds the
            inputs of a module that takes several.
        training: flags of the call with their values in training, such as `{"dropping": True}`; in
            evaluation they have the other value. By default those called `deterministic`,
            `use_running_average`, `train`, `training` or `is_training`. `{}` for a module that is
            the same in both modes, whose dropout is then not checked.

    Returns:
        A `Network` whose parameters are the module's, as plain dicts. For a module that keeps other
        variables, such as the statistics of `BatchNorm`, a `StatefulNetwork` whose state is these
        collections of variables: in training they are updated in each step, and in evaluation they
        are used. With several inputs its `x` is a tuple.

    Raises:
        TypeError: a flag that is not True or False.
        ValueError: a flag that the call does not take; dropout that training does not switch on;
            variables that change their structure in training; (of the network) a module that draws
            random numbers in evaluation.

    >>> network = from_linen(linen.Dense(3), jnp.ones((1, 2)))
    >>> params = network.init(jax.random.key(0))
    >>> params["kernel"].shape, network.apply(params, jnp.ones((5, 2))).shape
    ((2, 3), (5, 3))
    >>> normalized = linen.BatchNorm(momentum=0.9)
    >>> network = from_linen(normalized, jnp.ones((1, 2)))
    >>> params = network.init(jax.random.key(0))
    >>> sorted(network.init_extra(params, jax.random.key(0)))
    ['batch_stats']
    """
    name = type(module).__name__
    flags = _flags("from_linen", module, training)

    def variables(key: Array) -> dict[str, Any]:
        return dict(module.init({"params": key}, *_inputs(example), **_mode(flags, True)))

    shapes = jax.eval_shape(variables, jax.random.key(0))
    collections = sorted(set(shapes) - {"params"})

    def train(everything: Any, x: Any, key: Array, *, single: bool) -> tuple[Any, Any]:
        # A stream without a key takes that of `params`.
        keys = [key] if single else jax.random.split(key)
        rngs: dict[str, Any] = dict(zip(("dropout", "params"), keys, strict=False))
        return module.apply(
            everything, *_inputs(x), rngs=rngs, mutable=collections, **_mode(flags, False)
        )

    single, shapes_after = _trace_training(name, train, shapes, example, check=training != {})
    extra_shapes = {collection: shapes[collection] for collection in collections}
    _require_constant_structure(name, extra_shapes, {**extra_shapes, **shapes_after})

    def evaluate(everything: Any, x: Any) -> Any:
        try:
            return module.apply(everything, *_inputs(x), **_mode(flags, True))
        except errors.InvalidRngError as error:
            raise ValueError(
                f"from_linen: {name} draws random numbers in evaluation ({error}), expected none; "
                "pass a key, or name the flag of its call that switches them off, "
                'training={"flag": True}'
            ) from error

    def init(key: Array) -> Params:
        return variables(key).get("params", {})

    if not collections:

        def apply(params: Params, x: Any, /, *, key: Array | None = None) -> Any:
            everything = {"params": params}
            if key is None:
                return evaluate(everything, x)
            return train(everything, x, key, single=single)[0]

        return Network(init, apply, name)

    def init_extra(params: Params, key: Array) -> PyTree[Any]:
        initial = variables(key)
        return {collection: initial[collection] for collection in collections}

    def apply_with_state(
        params: Params, extra: PyTree[Any], x: Any, /, *, key: Array | None = None
    ) -> tuple[Any, PyTree[Any]]:
        everything = {"params": params, **extra}
        if key is None:
            return evaluate(everything, x), extra
        outputs, updated = train(everything, x, key, single=single)
        return outputs, {**extra, **updated}

    return StatefulNetwork(init, init_extra, apply_with_state, name)


def _trace_training(
    name: str, train: Callable[..., Any], shapes: Any, example: Any, *, check: bool
) -> tuple[bool, Any]:
    """Whether `dropout` is the only stream in training, and the shapes of the variables after it.

    Raises:
        ValueError: dropout that stays deterministic.
    """
    inactive: list[str] = []

    def look(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if context.method_name == "__call__" and _is_inactive(context.module, args, kwargs):
            inactive.append("/".join(context.module.path) or name)
        return call(*args, **kwargs)

    def trace(single: bool) -> Any:
        key = jax.random.key(0)
        with linen.intercept_methods(look):
            return jax.eval_shape(
                lambda everything, x: train(everything, x, key, single=single)[1], shapes, example
            )

    try:
        single, after = True, trace(True)
    except errors.InvalidRngError:
        single, after = False, trace(False)
    if check and inactive:
        raise _inactive_error("from_linen", name, inactive)
    return single, after


def _is_inactive(module: linen.Module, args: Any, kwargs: Any) -> bool:
    """Whether a call of a module leaves out dropout that the module has."""
    rate = getattr(module, "rate" if isinstance(module, linen.Dropout) else "dropout_rate", 0)
    if isinstance(rate, (int, float)) and rate == 0:
        return False
    call = inspect.signature(type(module).__call__)
    deterministic = call.bind_partial(module, *args, **kwargs).arguments.get("deterministic")
    if deterministic is None:
        deterministic = getattr(module, "deterministic", None)
    return isinstance(deterministic, (bool, np.bool_)) and bool(deterministic)


def from_nnx(
    factory: Callable[[nnx.Rngs], Callable[..., Any]],
    *,
    training: Mapping[str, Any] | None = None,
) -> Network | StatefulNetwork:
    """An NNX module as a network.

    In training the key feeds all random streams of the module, each with its own numbers.

    Args:
        factory: from `nnx.Rngs` to the module, so that `init` is a function of its key. `apply`
            does not call it.
        training: as in `from_linen`: flags of the call with their values in training. The module's
            `train()` and `eval()` are called too.

    Returns:
        A `Network` whose parameters are the module's, as plain dicts. For a module that keeps other
        variables, such as the statistics of `BatchNorm`, a `StatefulNetwork` whose state is these
        variables. Several inputs are a tuple.

    Raises:
        TypeError: a flag that is not True or False.
        ValueError: a flag that the call does not take; (of the network) dropout that training does
            not switch on, random numbers drawn in evaluation, variables that change their
            structure.

    >>> network = from_nnx(lambda rngs: nnx.Linear(2, 3, rngs=rngs))
    >>> params = network.init(jax.random.key(0))
    >>> params["kernel"].shape, network.apply(params, jnp.ones((5, 2))).shape
    ((2, 3), (5, 3))
    """

    def split(module: Any) -> Any:
        """The graph, the parameters, the random streams, and the other variables."""
        graph, params, streams, _, rest = nnx.split(  # pyright: ignore[reportAssignmentType]
            module, nnx.Param, nnx.RngState, nnx.Intermediate, ...
        )
        return graph, params, streams, rest

    abstract: Any = nnx.eval_shape(lambda: factory(nnx.Rngs(0)))
    name, flags = type(abstract).__name__, _flags("from_nnx", abstract, training)
    graph, *shapes = split(abstract)

    def init(key: Array) -> Params:
        return nnx.to_pure_dict(split(factory(nnx.Rngs(key)))[1])

    def init_extra(params: Params, key: Array) -> PyTree[Any]:
        return nnx.to_pure_dict(split(factory(nnx.Rngs(key)))[3])

    def run(
        params: Params, extra: PyTree[Any], x: Any, key: Array | None
    ) -> tuple[Any, PyTree[Any]]:
        states: Any = [jax.tree.map(lambda leaf: leaf, state) for state in shapes]
        values = (params, _stream_values(shapes[1], key), extra)
        for state, value in zip(states, values, strict=True):
            nnx.replace_by_pure_dict(state, value)
        module: Any = nnx.merge(graph, *states)
        module.eval() if key is None else module.train()
        counts = _stream_counts(module)
        outputs = module(*_inputs(x), **_mode(flags, key is None))
        drawn = {
            path for path, value in _stream_counts(module).items() if value is not counts[path]
        }
        if key is None and drawn:
            raise ValueError(
                f"from_nnx: {name} draws random numbers in evaluation, expected none; pass a key, "
                'or name the flag of its call that switches them off, training={"flag": True}'
            )
        inactive = [] if key is None or training == {} else _inactive_dropout(module, drawn)
        if inactive:
            raise _inactive_error("from_nnx", name, inactive)
        updated = nnx.to_pure_dict(split(module)[3])
        _require_constant_structure(name, extra, updated)
        return outputs, updated

    if not jax.tree.leaves(shapes[2]):

        def apply(params: Params, x: Any, /, *, key: Array | None = None) -> Any:
            return run(params, {}, x, key)[0]

        return Network(init, apply, name)

    def apply_with_state(
        params: Params, extra: PyTree[Any], x: Any, /, *, key: Array | None = None
    ) -> tuple[Any, PyTree[Any]]:
        outputs, updated = run(params, extra, x, key)
        return outputs, extra if key is None else updated

    return StatefulNetwork(init, init_extra, apply_with_state, name)


def _stream_values(shapes: Any, key: Array | None) -> Any:
    """Keys and counts of all random streams, as a function of the key."""
    key = jax.random.key(0) if key is None else key
    leaves, structure = jax.tree.flatten(nnx.to_pure_dict(shapes))
    values = []
    for index, leaf in enumerate(leaves):
        if is_key(leaf):
            stream = jax.random.fold_in(key, index)
            values.append(jax.random.split(stream, leaf.shape) if leaf.shape else stream)
        else:
            values.append(jnp.zeros(leaf.shape, leaf.dtype))
    return jax.tree.unflatten(structure, values)


def _stream_counts(module: Any) -> dict[str, Any]:
    """How often each random stream has been used, by its path."""
    counts = nnx.to_flat_state(nnx.state(module, nnx.RngCount))
    return {"/".join(map(str, path[:-1])): count.get_value() for path, count in counts}


def _inactive_dropout(module: Any, drawn: set[str]) -> list[str]:
    """Paths of modules with dropout whose own stream was not used."""
    inactive = []
    for path, part in nnx.iter_modules(module):
        rate = getattr(part, "rate" if isinstance(part, nnx.Dropout) else "dropout_rate", 0)
        name = "/".join(map(str, path))
        stream = f"{name}/rngs".lstrip("/")
        has_stream = isinstance(getattr(part, "rngs", None), nnx.RngStream)
        is_zero = isinstance(rate, (int, float)) and rate == 0
        if has_stream and not is_zero and stream not in drawn:
            inactive.append(name or type(part).__name__)
    return inactive


def _inputs(x: Any) -> tuple[Any, ...]:
    # A NamedTuple is one input.
    return x if type(x) is tuple else (x,)


def _flags(function: str, module: Any, training: Mapping[str, Any] | None) -> dict[str, bool]:
    """The flags of a module's call with their values in training.

    Raises:
        TypeError: a flag that is not a truth value.
        ValueError: a flag that the call does not take.
    """
    arguments = inspect.signature(type(module).__call__).parameters
    if training is None:
        return {name: value for name, value in _FLAGS.items() if name in arguments}
    takes_any = any(argument.kind is argument.VAR_KEYWORD for argument in arguments.values())
    for name, value in training.items():
        if not isinstance(value, bool):
            raise TypeError(
                f"{function}: training[{name!r}] must be True or False, found {value!r}"
            )
        if name not in arguments and not takes_any:
            raise ValueError(
                f"{function}: training names the flag {name!r}, and the call of "
                f"{type(module).__name__} takes {list(arguments)[1:]}"
            )
    return dict(training)


def _mode(flags: Mapping[str, bool], evaluating: bool) -> dict[str, Any]:
    return {name: value != evaluating for name, value in flags.items()}


def _inactive_error(function: str, name: str, inactive: list[str]) -> ValueError:
    return ValueError(
        f"{function}: dropout of {name} stays off in training: {', '.join(sorted(set(inactive)))}; "
        'name the flag of its call that switches it on, training={"flag": True}, or pass '
        "training={} for a module that is the same in training and evaluation"
    )


def _require_constant_structure(name: str, before: Any, after: Any) -> None:
    def shapes(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: f"{jnp.shape(leaf)} {jnp.result_type(leaf)}", tree)

    if shapes(before) != shapes(after):
        raise ValueError(
            f"the state of {name} changes in training from {shapes(before)} to {shapes(after)}; "
            "the number, the shapes and the dtypes of its variables must stay"
        )
