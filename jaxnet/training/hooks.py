"""Hooks of the driver: functions of the state and the whole data set, applied between steps.

A hook is `(state, data) -> state`, a pure function. `fit` and `epochs` take
`hooks=((every, hook), ...)`, or `(every, hook, first)`, and apply each hook before step t where
`t >= first` and `t - first` is a multiple of `every`; `first` is 0 where it is left out. Which
steps these are follows from the step alone, so that a run that is cut anywhere and resumed is
bitwise identical.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxnet._checks import require_integer, require_positive
from jaxnet._global_arrays import is_key
from jaxnet.training.state import TrainState

Hook = Callable[[TrainState, Any], TrainState]
Hooks = Sequence[tuple[int, Hook] | tuple[int, Hook, int]]


class ScheduledHook(NamedTuple):
    """A hook with the steps before which it is applied.

    Attributes:
        every: steps from one application to the next.
        apply: `(state, data) -> state`.
        first: the first step with an application before it.
    """

    every: int
    apply: Hook
    first: int = 0

    def is_due(self, step: Any) -> Any:
        """Whether the hook is applied before a step, a number or an array."""
        return (step >= self.first) & ((step - self.first) % self.every == 0)

    def next_step(self, step: int) -> int:
        """The first step after `step` before which the hook is applied."""
        if step < self.first:
            return self.first
        return step + self.every - (step - self.first) % self.every


def schedule_hooks(hooks: Hooks) -> tuple[ScheduledHook, ...]:
    """Check the hooks that a caller gives.

    Args:
        hooks: `(every, hook)` or `(every, hook, first)` each.

    Returns:
        The hooks, in their order.

    Raises:
        TypeError: another form, a number that is not an integer.
        ValueError: `every` below 1 or `first` below 0.

    >>> [hook] = schedule_hooks([(3, lambda state, data: state, 2)])
    >>> [step for step in range(9) if hook.is_due(step)], hook.next_step(2)
    ([2, 5, 8], 5)
    """
    for hook in hooks:
        if not isinstance(hook, tuple) or len(hook) not in (2, 3) or not callable(hook[1]):
            raise TypeError(
                "hooks: expected (every, function) or (every, function, first) each, found "
                f"{hook!r}"
            )
    scheduled = tuple(ScheduledHook(hook[0], hook[1], *hook[2:]) for hook in hooks)
    for hook in scheduled:
        require_positive("hooks", every=hook.every)
        require_integer("hooks", "first", hook.first, 0)
    return scheduled


def apply_hook(hook: Hook, state: TrainState, data: PyTree[Any]) -> TrainState:
    """Apply a hook, which keeps the key, the step, and the dtypes of the state.

    Args:
        hook: `(state, data) -> state`.
        state: the state before a step.
        data: the whole data set.

    Returns:
        The changed state.

    Raises:
        ValueError: a state of another structure or of other shapes.

    >>> state = TrainState({"a": jnp.ones(2)}, (), (), jax.random.key(0), jnp.zeros((), jnp.int32))
    >>> def double(state, data):
    ...     return state._replace(params=jax.tree.map(lambda leaf: 2 * leaf, state.params))
    >>> apply_hook(double, state, {}).params["a"].tolist()
    [2.0, 2.0]
    """
    changed = hook(state, data)
    shapes = [jax.tree.map(jnp.shape, tree[:3]) for tree in (state, changed)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"hooks: a hook returned a state of shapes {shapes[1]}, expected {shapes[0]}; a hook "
            "changes values of params, extra and optimizer_state"
        )

    def keep_dtype(old: Array, new: Array) -> Array:
        old = jnp.asarray(old)
        return new if is_key(old) else jnp.asarray(new, old.dtype)

    values = jax.tree.map(keep_dtype, tuple(state[:3]), tuple(changed[:3]))
    params, extra, optimizer_state = values
    return TrainState(params, extra, optimizer_state, state.key, state.step)


def common_period(hooks: Iterable[ScheduledHook], *numbers: int) -> int:
    """The greatest number of steps after which every hook and every number falls due again.

    Args:
        hooks: hooks.
        numbers: other numbers of steps, such as that of an epoch.

    Returns:
        Their greatest common divisor.

    >>> common_period([ScheduledHook(6, lambda state, data: state, 4)], 10)
    2
    """
    return math.gcd(*numbers, *(number for hook in hooks for number in (hook.every, hook.first)))
