"""Populations: many networks, each with settings of its own, in few compiled programs.

A member is described by a dict of settings, and `build(settings)` is its learner. Numbers among
the settings (floats and arrays: rates, weights, sizes of a `padded_mlp`, the index of a
`select_optimizer`) are arguments of the program; everything else (names, tuples, integers) decides
the program. Members with the same program form a `Group`: a learner, whose states hold the numbers
of each member in `extra`, and a batch of states. So whatever takes a learner and a batch of states
(`epochs`, `advance`, `jaxnet.runs`, checkpoints) takes a group.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from jaxnet.training.averages import Member
from jaxnet.training.state import Learner, TrainState
from jaxnet.typing import Batch, Metrics

Settings = Mapping[str, Any]


class Group(NamedTuple):
    """Members of a population that train in one program.

    Attributes:
        learner: its `step` has the settings of each member from `state.extra`, a `Member`. Its
            `init` raises: a state is made by `init_population`.
        states: a batch of states, one for each member.
        indices: place of each member among all members of the population.
        static: the settings that all members have in common and that decide the program.
    """

    learner: Learner
    states: TrainState
    indices: tuple[int, ...]
    static: Settings


class Population(NamedTuple):
    """Many networks, each with settings of its own.

    Attributes:
        groups: the groups of members, each with the states of its members.
    """

    groups: tuple[Group, ...]

    @property
    def indices(self) -> tuple[int, ...]:
        """Places of the members among all with which the population began, sorted."""
        return tuple(sorted(index for group in self.groups for index in group.indices))


class _Program(NamedTuple):
    static: tuple[tuple[str, Any], ...]
    shapes: tuple[tuple[str, Any], ...]


def init_population(
    build: Callable[[Settings], Learner],
    members: Sequence[Settings],
    keys: Key[Array, " members"],
) -> Population:
    """The first states of many networks, grouped by the programs that train them.

    A member is, to rounding, what `build(settings)` alone trains with the same key, the same order
    of examples, and the same numbers as arguments of the compiled function.

    Args:
        build: `build(settings) -> learner`, a pure function of the settings, whose floats and
            arrays are traced. It is called while a program is traced.
        members: the settings of each member. Floats and arrays are traced; names, tuples,
            integers, functions and None are static, and hashable. The same names for all.
        keys: a key for each member.

    Returns:
        The population; its groups are in the order of their first members.

    Raises:
        TypeError: a static setting that is not hashable.
        ValueError: no members, another number of keys than members, members with other names.

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(2, 1)
    >>> def build(settings):
    ...     optimizer = jn.optimizer(settings["optimizer"], settings["learning_rate"])
    ...     return jn.gradient_learner(network.init, jn.regression(network), optimizer)
    >>> members = [
    ...     {"optimizer": name, "learning_rate": rate}
    ...     for name in ("sgd", "adam")
    ...     for rate in (0.1, 0.01, 0.001)
    ... ]
    >>> population = init_population(build, members, jax.random.split(jax.random.key(0), 6))
    >>> [(group.static["optimizer"], group.indices) for group in population.groups]
    [('sgd', (0, 1, 2)), ('adam', (3, 4, 5))]
    """
    if not members:
        raise ValueError(
            "init_population: members must hold the settings of at least one, found none"
        )
    if len(keys) != len(members):
        raise ValueError(
            f"init_population: found {len(keys)} keys for {len(members)} members; give each its "
            "own, by jax.random.split"
        )
    programs: dict[_Program, list[int]] = {}
    for index, settings in enumerate(members):
        if set(settings) != set(members[0]):
            raise ValueError(
                f"init_population: member {index} has the settings {sorted(settings)}, and member "
                f"0 {sorted(members[0])}; give all the same names"
            )
        programs.setdefault(_program(settings, index), []).append(index)
    groups = []
    for program, indices in programs.items():
        names = [name for name, _ in program.shapes]
        traced = {
            name: jnp.asarray(np.stack([np.asarray(members[index][name]) for index in indices]))
            for name in names
        }
        static = dict(program.static)
        learner = _group_learner(build, static)
        init = jax.jit(jax.vmap(lambda key, numbers, s=static: _init(build, s, key, numbers)))
        states = init(keys[np.asarray(indices)], traced)
        groups.append(Group(learner, states, tuple(indices), static))
    return Population(tuple(groups))


def _program(settings: Settings, index: int) -> _Program:
    """What decides the program of a member: static settings, and shapes of the others."""
    static, shapes = [], []
    for name, value in sorted(settings.items()):
        if isinstance(value, (float, np.ndarray, np.generic, jax.Array)):
            number = np.asarray(value)
            shapes.append((name, (number.shape, str(jnp.result_type(value)))))
            continue
        try:
            hash(value)
        except TypeError as error:
            raise TypeError(
                f"init_population: setting {name!r} of member {index} is a {type(value).__name__}, "
                "which is not hashable; use a tuple, or an array for numbers that are traced"
            ) from error
        static.append((name, value))
    return _Program(tuple(static), tuple(shapes))


def _init(build: Callable[..., Learner], static: Settings, key: Array, numbers: Settings) -> Any:
    state = build({**static, **numbers}).init(key)
    return state._replace(extra=Member(dict(numbers), state.extra))


def _group_learner(build: Callable[[Settings], Learner], static: Settings) -> Learner:
    def init(key: Array) -> TrainState:
        raise ValueError(
            "the learner of a group has no settings before there is a state; begin with "
            "Group.states, or make the states of other members by init_population"
        )

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        settings, extra = state.extra
        learner = build({**static, **settings})
        new, metrics = learner.step(state._replace(extra=extra), batch)
        return new._replace(extra=Member(settings, new.extra)), metrics

    return Learner(init, step)
