"""Types that cross the boundary between two parts of jaxnet."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import optax
from jaxtyping import Array, Int, Key, PyTree, Shaped

Params = PyTree[Any]
PRNGKey = Key[Array, ""]
Batch = Mapping[str, Any]
Metrics = dict[str, Array]
Initializer = Callable[..., Array]
Optimizer = optax.GradientTransformation | Callable[[Array], optax.GradientTransformation]

# `(params, batch, key) -> (loss, metrics)`
Objective = Callable[[Params, Batch, Array | None], tuple[Array, Metrics]]
# `(params, extra, batch, key) -> (loss, (extra, metrics))`
StatefulApply = Callable[
    [Params, PyTree[Any], Batch, Array | None], tuple[Array, tuple[PyTree[Any], Metrics]]
]


class Sequences(NamedTuple):
    """Sequences of different lengths in one array: series, recordings, texts.

    Whatever `values` hold beyond `length`, NaN too, changes no output and no gradient of a network
    over time. It is a pytree, and so an input `x` like any other.

    Attributes:
        values: the steps of each sequence, then padding: numbers `(*batch, time, dim)`, or tokens
            `(*batch, time)`.
        length: number of steps of each sequence, in [0, time].
    """

    values: Shaped[Any, "..."]
    length: Int[Any, "*batch"]


class StatefulObjective(NamedTuple):
    """An objective with state that no gradient changes: targets, counts, chains, statistics.

    Attributes:
        init: `init(params, key) -> extra`, the state before the first step.
        apply: `apply(params, extra, batch, key) -> (loss, (extra, metrics))`, differentiated with
            respect to `params` alone. The structure, the shapes and the dtypes of `extra` stay.
    """

    init: Callable[[Params, Array], PyTree[Any]]
    apply: StatefulApply


AnyObjective = Objective | StatefulObjective
# What is given and what is returned are of the same kind.
AnyObjectiveT = TypeVar("AnyObjectiveT", bound=AnyObjective)


@runtime_checkable
class Apply(Protocol):
    """The forward pass: `apply(params, x, *, key=None)`; without a key it evaluates.

    `x` is an array, or a pytree of arrays where the network has several inputs.
    """

    def __call__(self, params: Params, x: Any, /, *, key: jax.Array | None = None) -> Any: ...
