"""Train all members of a population, in chunks that fit the device."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, PyTree

from jaxnet._checks import require_positive
from jaxnet._compiled import compiled_for
from jaxnet._data import as_arrays
from jaxnet.training.batches import Batches, resolve_batches
from jaxnet.training.members import in_member_order, take_members
from jaxnet.training.population import Group, Population
from jaxnet.training.pure import Program, fit_state
from jaxnet.training.sharding import RUN, replicate, shard_runs
from jaxnet.training.state import TrainState
from jaxnet.training.validation import Validation, resolve_validation
from jaxnet.typing import Metrics

# Bytes of the states that one core trains at a time on CPU: parameters, moments and gradients of a
# chunk stay in its cache.
_CHUNK_BYTES = 2**21


def fit_population(
    population: Population,
    data: PyTree[Any],
    *,
    num_epochs: int,
    batch_size: int | None = None,
    batches: Batches | None = None,
    validation: Callable[[Group], Validation] | None = None,
    chunk_size: int | None = None,
    mesh: Mesh | None = None,
) -> tuple[Population, Metrics]:
    """Train the members of a population from their states, one compiled program for each group.

    Members have the order of examples that their own keys give with `batch_size`. With
    `batches=shuffled(batch_size, order_seed=...)` all have one order: examples are gathered once
    for a chunk, and the product with the first kernels of all its members is one matrix product.

    Args:
        population: the population, with the states to start from.
        data: as in `fit`.
        num_epochs: passes over the data.
        batch_size: examples in a batch, drawn by `shuffled`.
        batches: another source of batches, instead of `batch_size`.
        validation: from a group to its `Validation`, mostly with a `member_objective`.
        chunk_size: members that train at a time on one device; None is what fits the cache of a
            core on CPU, and all members of a group on other devices.
        mesh: the members of a chunk spread over its axis `run`, by default one device.

    Returns:
        The population with the trained states, and the history, `(members, num_epochs)` each, in
        the order of `population.indices`, for the metrics that all groups have.

    Raises:
        ValueError: as `fit`, and a chunk size below 1.

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(2, 1)
    >>> def build(settings):
    ...     optimizer = optax.sgd(settings["rate"])
    ...     return jn.gradient_learner(network.init, jn.regression(network), optimizer)
    >>> members = [{"rate": rate} for rate in (0.1, 0.2, 0.3)]
    >>> keys = jax.random.split(jax.random.key(0), 3)
    >>> population = jn.training.init_population(build, members, keys)
    >>> data = {"x": jnp.ones((8, 2)), "y": jnp.ones(8)}
    >>> population, history = fit_population(population, data, num_epochs=5, batch_size=4)
    >>> history["loss"].shape, population.groups[0].states.step.tolist()
    ((3, 5), [10, 10, 10])
    """
    require_positive("fit_population", num_epochs=num_epochs)
    if chunk_size is not None:
        require_positive("fit_population", chunk_size=chunk_size)
    num_epochs, source = operator.index(num_epochs), resolve_batches(batch_size, batches)
    data = as_arrays("fit_population", "data", data)
    source.num_steps(data)
    if mesh is not None:
        data = replicate(data, mesh)
    trained, histories = [], []
    for group in population.groups:
        resolved = None
        if validation is not None:
            resolved = resolve_validation("fit_population", validation(group))
        states, history = _fit_group(group, data, source, num_epochs, resolved, chunk_size, mesh)
        trained.append(group._replace(states=states))
        histories.append(history)
    names = sorted(set.intersection(*(set(history) for history in histories)))
    common = [{name: history[name] for name in names} for history in histories]
    return Population(tuple(trained)), in_member_order(population, common)


def _fit_group(
    group: Group,
    data: PyTree[Any],
    source: Batches,
    num_epochs: int,
    validation: Validation | None,
    chunk_size: int | None,
    mesh: Mesh | None,
) -> tuple[TrainState, Metrics]:
    num_devices = 1 if mesh is None else mesh.shape[RUN]
    num_members = len(group.indices)
    size = chunk_size or _default_chunk_size(group)
    # As few chunks as that takes, of equal size: each device of a chunk has as many members.
    num_chunks = -(-num_members // (size * num_devices))
    size = -(-num_members // (num_chunks * num_devices)) * num_devices
    static = None if validation is None else validation._replace(data=(), key=None)
    program = Program(source, num_epochs, validation=static)
    run = compiled_for(group.learner.step, _fit_members, program)
    position = int(group.states.step[0])
    examples = () if validation is None else (validation.data, validation.key)
    states, histories = [], []
    for start in range(0, num_members, size):
        # The last chunk is filled up with members that are trained and thrown away.
        places = np.arange(start, start + size) % num_members
        chunk = take_members(group.states, places)
        chunk = chunk if mesh is None else shard_runs(chunk, mesh)
        state, history = run(chunk, position, data, *examples)
        states.append(state)
        histories.append(history)
    return _join(num_members, *zip(states, histories, strict=True))


def _fit_members(
    step: Callable[..., Any],
    program: Program,
    states: TrainState,
    position: Array | int,
    data: PyTree[Any],
    *examples: Any,
) -> tuple[TrainState, Metrics]:
    # All members have taken the same number of steps. As one number, what depends on it alone,
    # such as an order of the examples that is shared, is computed once for all.
    position = jnp.asarray(position, states.step.dtype)

    def run(state: TrainState) -> tuple[TrainState, Metrics]:
        return fit_state(step, program, state._replace(step=position), data, *examples)

    return jax.vmap(run)(states._replace(step=()))


def _default_chunk_size(group: Group) -> int:
    if jax.default_backend() != "cpu":
        return len(group.indices)
    leaves = jax.tree.leaves(group.states._replace(key=()))
    member_bytes = sum(leaf.nbytes for leaf in leaves) // len(group.indices)
    return max(1, _CHUNK_BYTES // max(member_bytes, 1))


@functools.partial(jax.jit, static_argnums=0)
def _join(num_members: int, *parts: PyTree[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[:num_members], *parts)
