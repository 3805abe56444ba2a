"""Types that all of jaxnet shares: what crosses the boundary between two of its parts."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import optax
from jaxtyping import Array, Key, PyTree

Params = PyTree[Any]
PRNGKey = Key[Array, ""]
Batch = Mapping[str, Any]
Metrics = dict[str, Array]
Objective = Callable[[Params, Batch, Array | None], tuple[Array, Metrics]]
Optimizer = optax.GradientTransformation | Callable[[Array], optax.GradientTransformation]
Initializer = Callable[..., Array]


@runtime_checkable
class Apply(Protocol):
    """The forward pass: `apply(params, x, *, key=None)`; without a key it evaluates."""

    def __call__(self, params: Params, x: Array, /, *, key: Array | None = None) -> Array: ...
