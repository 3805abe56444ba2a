"""What is computed of the members of a population, and which of them go on."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jaxnet._compiled import compiled_for
from jaxnet.training.averages import Member
from jaxnet.training.early_stopping import EarlyStopped
from jaxnet.training.population import Group, Population, Settings
from jaxnet.training.state import TrainState, no_init
from jaxnet.typing import AnyObjective, Batch, Params, StatefulObjective


def member_objective(
    objective: Callable[[Settings], AnyObjective], group: Group
) -> StatefulObjective:
    """What is evaluated of each member of a group, for a `Validation`.

    Args:
        objective: from the settings of a member to its objective.
        group: the group.

    Returns:
        A stateful objective whose state is that of the group's learner.

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(2, 1)
    >>> def build(settings):
    ...     optimizer = optax.sgd(settings["rate"])
    ...     return jn.gradient_learner(network.init, jn.regression(network), optimizer)
    >>> keys = jax.random.split(jax.random.key(0), 2)
    >>> (group,) = jn.training.init_population(build, [{"rate": 0.1}, {"rate": 0.2}], keys).groups
    >>> data = {"x": jnp.ones((4, 2)), "y": jnp.ones(4)}
    >>> objective = member_objective(lambda settings: jn.regression(network), group)
    >>> options = {"batch_size": 2, "validation": jn.Validation(objective, data)}
    >>> run = jn.epochs(group.learner, group.states, data, **options)
    >>> next(run)[1]["validation_loss"].shape
    (2,)
    """

    def apply(params: Params, extra: Member, batch: Batch, key: Array | None) -> Any:
        chosen = objective({**group.static, **extra.settings})
        if isinstance(chosen, StatefulObjective):
            loss, (inner, metrics) = chosen.apply(params, extra.extra, batch, key)
            return loss, (extra._replace(extra=inner), metrics)
        loss, metrics = chosen(params, batch, key)
        return loss, (extra, metrics)

    return StatefulObjective(no_init, apply)


def map_members(
    function: Callable[..., Any], population: Population, *arguments: PyTree[Any]
) -> PyTree[Array]:
    """A function of each member of a population, in one program for each group.

    Args:
        function: `function(settings, state, *arguments)`; the state is that of the member's own
            learner, so that `evaluation_params(state)` are the parameters of its network. Its
            results have the same shapes for all members.
        population: the population.
        arguments: arrays that are the same for all members, such as examples.

    Returns:
        The results, with a first axis for the members, in the order of `population.indices`.

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(2, 1)
    >>> def build(settings):
    ...     optimizer = optax.sgd(settings["rate"])
    ...     return jn.gradient_learner(network.init, jn.regression(network), optimizer)
    >>> keys = jax.random.split(jax.random.key(0), 2)
    >>> population = jn.training.init_population(build, [{"rate": 0.1}, {"rate": 0.2}], keys)
    >>> def outputs(settings, state, x):
    ...     return jn.predict(network.apply, jn.evaluation_params(state), x)
    >>> map_members(outputs, population, jnp.ones((4, 2))).shape
    (2, 4, 1)
    """
    results = []
    for group in population.groups:
        program = compiled_for(group.learner.step, _map_group, function, _Static(group.static))
        results.append(program(group.states, *arguments))
    return in_member_order(population, results)


def _map_group(
    step: Any,
    function: Callable[..., Any],
    static: "_Static",
    states: TrainState,
    *arguments: PyTree[Any],
) -> Any:
    def of_member(state: TrainState, *arguments: PyTree[Any]) -> Any:
        member, best = state.extra, None
        if isinstance(member, EarlyStopped):
            best, member = member.best, member.extra
            params, extra = best.params
            best = best._replace(params=(params, extra.extra))
        inner = member.extra if best is None else EarlyStopped(best, member.extra)
        settings = {**static.settings, **member.settings}
        return function(settings, state._replace(extra=inner), *arguments)

    axes = (0, *(None for _ in arguments))
    return jax.vmap(of_member, axes)(states, *arguments)


def in_member_order(population: Population, results: Sequence[PyTree[Any]]) -> Any:
    """Results of the groups of a population as one batch, in the order of the members.

    Args:
        population: the population.
        results: of each group, with a first axis for its members, in the same structure.

    Returns:
        The results with a first axis for all members, in the order of `population.indices`.

    >>> import jaxnet as jn
    >>> group = Group(jn.Learner(None, None), (), (0, 2), {})
    >>> population = Population((group, group._replace(indices=(1,))))
    >>> in_member_order(population, [jnp.array([0, 2]), jnp.array([1])]).tolist()
    [0, 1, 2]
    """
    order = np.argsort([index for group in population.groups for index in group.indices])
    return _join_in_order(order, *results)


@jax.jit
def _join_in_order(order: Array, *results: PyTree[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[order], *results)


def select_members(population: Population, indices: Sequence[int]) -> Population:
    """Some members of a population: what is left of each group is a smaller batch.

    Args:
        population: the population.
        indices: places of the members that stay, as in `Group.indices`.

    Returns:
        The population of these members, which keep their learners and states. A group of a size
        that its learner has had before trains in a program that is compiled.

    Raises:
        ValueError: an index that no member has.

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(2, 1)
    >>> def build(settings):
    ...     optimizer = optax.sgd(settings["rate"])
    ...     return jn.gradient_learner(network.init, jn.regression(network), optimizer)
    >>> members = [{"rate": rate} for rate in (0.1, 0.2, 0.3)]
    >>> keys = jax.random.split(jax.random.key(0), 3)
    >>> population = jn.training.init_population(build, members, keys)
    >>> (group,) = select_members(population, [0, 2]).groups
    >>> group.indices, group.states.step.shape
    ((0, 2), (2,))
    """
    known = population.indices
    unknown = sorted(set(indices) - set(known))
    if unknown:
        raise ValueError(
            f"select_members: indices holds {unknown[:5]}, and the population has {len(known)} "
            f"members from {known[0]} to {known[-1]}; use places of Population.indices"
        )
    chosen, smaller = set(indices), []
    for group in population.groups:
        places = [place for place, index in enumerate(group.indices) if index in chosen]
        if places:
            states = take_members(group.states, places)
            left = tuple(group.indices[place] for place in places)
            smaller.append(group._replace(states=states, indices=left))
    return Population(tuple(smaller))


def take_members(states: PyTree[Any], places: Sequence[int] | np.ndarray) -> Any:
    """The states at some places of a batch of states.

    Args:
        states: a batch of states, or another pytree of arrays with a first axis for the members.
        places: their places in the batch.

    Returns:
        A batch of these states.

    >>> take_members(jnp.arange(3), [2, 0]).tolist()
    [2, 0]
    """
    return _take(states, np.asarray(places, np.int32))


@jax.jit
def _take(states: PyTree[Any], places: Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[places], states)


@dataclasses.dataclass(frozen=True)
class _Static:
    """Settings as a static argument of a compiled function."""

    settings: Settings

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.settings.items())))
