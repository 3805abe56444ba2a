"""Members of a population that differ in settings: those that no gradient changes are state."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PyTree

from jaxnet.training import Learner, TrainState
from jaxnet.training.state import owned
from jaxnet.typing import Batch, Metrics

Settings = Mapping[str, Any]
"""The value of each setting of a member, by its name."""


class Member(NamedTuple):
    """The `extra` of the state of a member.

    Attributes:
        settings: the numbers among its settings, which are traced.
        extra: the extra state of its learner.
    """

    settings: dict[str, Array]
    extra: PyTree[Any]


class Group(NamedTuple):
    """Members that train in one program, as a batch of runs.

    Attributes:
        learner: steps of any member; it reads the settings from the state.
        states: their states, `(members, ...)`.
        indices: the index of each member in the population.
    """

    learner: Learner
    states: TrainState
    indices: Int[np.ndarray, " members"]


def population(
    build: Callable[[Settings], Learner],
    members: Sequence[Settings],
    keys: Key[Array, " members"],
) -> tuple[Group, ...]:
    """The members of a population, in groups that each train in one program.

    Python floats and arrays among the settings are traced numbers; everything else is static, and
    members that agree in it are in one group.

    Args:
        build: from the settings of a member to its learner.
        members: the settings of each member.
        keys: the key of each member.

    Returns:
        The groups, in the order of their first members.

    Raises:
        ValueError: no members, or another number of keys.

    >>> import jaxnet as jn, optax
    >>> def build(settings):
    ...     network = jn.mlp([2, settings["width"], 1])
    ...     optimizer = optax.sgd(settings["rate"])
    ...     return jn.gradient_learner(network.init, jn.regression(network), optimizer)
    >>> members = [{"width": 3, "rate": 0.1}, {"width": 4, "rate": 0.1}, {"width": 3, "rate": 0.2}]
    >>> groups = population(build, members, jax.random.split(jax.random.key(0), 3))
    >>> [group.indices.tolist() for group in groups]
    [[0, 2], [1]]
    """
    if not members or len(members) != len(keys):
        raise ValueError(
            f"population: expected at least one member and a key for each, found {len(members)} "
            f"members and {len(keys)} keys"
        )
    found: list[tuple[dict[str, Any], list[int]]] = []
    for index, settings in enumerate(members):
        static = {name: value for name, value in settings.items() if not _is_traced(value)}
        names = set(settings) - set(static)
        for other, indices in found:
            if other == static and names == set(members[indices[0]]) - set(other):
                indices.append(index)
                break
        else:
            found.append((static, [index]))
    groups = []
    for static, indices in found:
        rows, chosen = np.asarray(indices), [members[index] for index in indices]
        groups.append(_group(build, static, chosen, keys[rows], rows))
    return tuple(groups)


def select(group: Group, positions: Sequence[int]) -> Group:
    """Some members of a group, in a smaller batch.

    Args:
        group: the group.
        positions: positions of the members that are kept, in the batch.

    Returns:
        A group with the same learner.

    >>> states = TrainState({}, (), (), jax.random.split(jax.random.key(0), 3), jnp.zeros(3))
    >>> select(Group(Learner(None, None), states, np.arange(3)), [2, 0]).indices.tolist()
    [2, 0]
    """
    rows = np.asarray(positions, np.int32)
    return Group(group.learner, _take(group.states, rows), group.indices[rows])


@jax.jit
def _take(states: TrainState, rows: Array) -> TrainState:
    return jax.tree.map(lambda leaf: leaf[rows], states)


def _is_traced(value: Any) -> bool:
    return isinstance(value, (float, np.floating, np.ndarray, jax.Array))


def _group(
    build: Callable[[Settings], Learner],
    static: dict[str, Any],
    members: Sequence[Settings],
    keys: Array,
    indices: np.ndarray,
) -> Group:
    names = sorted(set(members[0]) - set(static))
    numbers = {name: np.asarray([member[name] for member in members], np.float32) for name in names}

    def init(settings: dict[str, Array], key: Array) -> TrainState:
        state = build({**static, **settings}).init(key)
        return state._replace(extra=Member(owned(settings), state.extra))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        settings, extra = state.extra
        learner = build({**static, **settings})
        new, metrics = learner.step(state._replace(extra=extra), batch)
        return new._replace(extra=Member(settings, new.extra)), metrics

    first = {name: jnp.float32(values[0]) for name, values in numbers.items()}
    states = jax.jit(jax.vmap(init))(numbers, keys)
    return Group(Learner(lambda key: init(first, key), step), states, indices)
