"""Several devices: runs of a batch spread over one mesh axis, examples of a batch over another.

A mesh has the axes `run` and `data`. Nothing else of a program changes: `fit`, `epochs` and
`predict` compute where their arrays are. One device is the mesh of size one. Of several processes
(`jaxnet.hosts`) the mesh has the devices of all; each process has all data, places the parts of its
own devices, and computes what one process with all these devices computes, to the bit.

- *Runs over* `run`: `shard_runs(states, mesh)` and `replicate(data, mesh)`. Each device trains its
  part of the runs, without communication.
- *Examples over* `data`: `data_parallel(learner, mesh)`. Each device computes its part of the
  batch, and one all-reduce adds up the gradient. The data are replicated, which keeps every order
  of examples; or sharded, with `shard_examples(data, mesh)` and
  `shuffled(batch_size, num_shards=...)`, whose batches take as many examples from each shard.
- *Both at once*: the mesh `device_mesh(run=4, data=2)` and all of the above.
- *Parameters over* `data`: `data_parallel(learner, mesh, shard_params=True)`.

`predict`, `evaluate`, validation, k-means, mixtures and the hooks of deep clustering spread their
work over `data` where their examples are on a mesh, sharded or replicated. Inside of a `jax.jit` of
the caller, where a trace does not see this, they do so under `jax.set_mesh(mesh)`.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from jaxnet._checks import require_positive
from jaxnet._global_arrays import place, place_all
from jaxnet.training._placement import DATA, RUN
from jaxnet.training.state import Learner, TrainState
from jaxnet.typing import Batch, Metrics

# The parts of a state that are split with sharded parameters.
_SPLIT = ("params", "optimizer_state")


def device_mesh(*, run: int = 1, data: int = 1, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of devices with the axes `run` and `data`.

    Args:
        run: devices over which the runs of a batch spread.
        data: devices over which the examples of each batch spread.
        devices: the devices, by default all; the first `run * data` of them are used.

    Returns:
        The mesh. XLA chooses how arrays inside a program are sharded (axes of type Auto).

    Raises:
        ValueError: a number below 1, or more devices than there are.

    >>> device_mesh().shape["run"], device_mesh().shape["data"]
    (1, 1)
    """
    require_positive("device_mesh", run=run, data=data)
    devices = jax.devices() if devices is None else list(devices)
    if run * data > len(devices):
        raise ValueError(
            f"device_mesh: run={run} times data={data} needs {run * data} devices, found "
            f"{len(devices)}; on CPU call jax.config.update('jax_num_cpu_devices', "
            f"{run * data}) before anything is computed"
        )
    grid = np.asarray(devices[: run * data]).reshape(run, data)
    return Mesh(grid, (RUN, DATA), axis_types=(AxisType.Auto, AxisType.Auto))


def replicate(tree: PyTree[Any], mesh: Mesh) -> PyTree[Any]:
    """Place arrays on all devices of a mesh.

    Args:
        tree: a pytree of arrays.
        mesh: from `device_mesh`.

    Returns:
        The same arrays, whole on each device.

    >>> replicate(np.ones(3), device_mesh()).sharding.is_fully_replicated
    True
    """
    return place_all(tree, NamedSharding(mesh, PartitionSpec()))


def shard_runs(tree: PyTree[Any], mesh: Mesh) -> PyTree[Any]:
    """Spread the runs of a batch, the first axis of every array, over the axis `run`.

    Args:
        tree: states, parameters or keys of a batch of runs.
        mesh: from `device_mesh`.

    Returns:
        The same arrays, each device with its part of the runs.

    Raises:
        ValueError: a number of runs that is not a multiple of the devices along `run`.

    >>> keys = jax.random.split(jax.random.key(0), 4)
    >>> shard_runs(keys, device_mesh()).shape
    (4,)
    """
    return _shard(tree, mesh, RUN, "runs")


def shard_examples(data: PyTree[Any], mesh: Mesh) -> PyTree[Any]:
    """Spread the examples of a data set, the first axis of every array, over the axis `data`.

    Args:
        data: a dict of arrays that share their first axis.
        mesh: from `device_mesh`.

    Returns:
        The same arrays, each device with its part of the examples.

    Raises:
        ValueError: a number of examples that is not a multiple of the devices along `data`.

    >>> shard_examples({"x": np.ones((4, 2))}, device_mesh())["x"].shape
    (4, 2)
    """
    return _shard(data, mesh, DATA, "examples")


def shard_state(
    state: TrainState, mesh: Mesh, *, shard_params: bool = False, min_size: int = 2**14
) -> TrainState:
    """Place a state, or a batch of states, as the learner of `data_parallel` leaves it.

    Args:
        state: a training state, which is replicated over `run`; or a batch of states, whose runs,
            the first axis, are spread over `run`.
        mesh: from `device_mesh`.
        shard_params: as in `data_parallel`.
        min_size: as in `data_parallel`.

    Returns:
        The state, on the mesh.

    Raises:
        TypeError: a `min_size` that is not an integer.
        ValueError: a number of runs that is not a multiple of the devices along `run`; a state with
            several axes of runs; a `min_size` below 1.

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(2, 1)
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> state = shard_state(learner.init(jax.random.key(0)), device_mesh())
    >>> state.step.sharding.is_fully_replicated
    True
    """
    require_positive("shard_state", min_size=min_size)
    num_axes = state.step.ndim
    if num_axes > 1:
        raise ValueError(
            f"shard_state: the state has {num_axes} axes of runs, expected at most 1; reshape them "
            "to one"
        )
    if num_axes:
        _require_divided(len(state.step), mesh, RUN, "runs")

    def put(leaf: Array, *, is_split: bool) -> Array:
        spec = _split_spec(leaf.shape[num_axes:], mesh.shape[DATA], min_size) if is_split else ()
        spec = PartitionSpec(*(RUN,) * num_axes, *spec)
        return place(leaf, NamedSharding(mesh, spec))

    return TrainState(
        *(
            jax.tree.map(functools.partial(put, is_split=shard_params and name in _SPLIT), part)
            for name, part in state._asdict().items()
        )
    )


def data_parallel(
    learner: Learner, mesh: Mesh, *, shard_params: bool = False, min_size: int = 2**14
) -> Learner:
    """Compute each batch in parts, one on each device along `data`.

    The state is replicated; each device has its part of the batch; the loss, a mean over the whole
    batch, makes the gradient one all-reduce. What is computed is what one device computes, up to
    the order of sums.

    With sharded parameters each device keeps its part of the parameters and of the optimizer state
    (FSDP, ZeRO stage 3): a step gathers the parameters, and updates the part of each device. A leaf
    is split along its longest axis that the devices divide; one that is small, or has no such axis,
    is replicated.

    Args:
        learner: any learner; of a batch of runs, the learner of one run.
        mesh: from `device_mesh`.
        shard_params: whether parameters and optimizer state are split over `data`.
        min_size: numbers in a leaf of one run from which on it is split.

    Returns:
        A learner with the same states and metrics. Its `init` places the state on the mesh, so that
        under `jax.jit` no device needs the memory of all of it; `shard_state` places states that
        are there already, and batches of runs.

    Raises:
        TypeError: a `min_size` that is not an integer.
        ValueError: a `min_size` below 1; (of `step`) a batch whose size is not a multiple of the
            devices along `data`.

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(2, 1)
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> learner = data_parallel(learner, device_mesh())
    >>> batch = {"x": np.ones((4, 2), np.float32), "y": np.ones((4, 1), np.float32)}
    >>> state, metrics = jax.jit(learner.step)(learner.init(jax.random.key(0)), batch)
    >>> int(state.step)
    1
    """
    require_positive("data_parallel", min_size=min_size)
    num_devices = mesh.shape[DATA]

    def constrain(tree: PyTree[Any], spec: PartitionSpec) -> PyTree[Any]:
        return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, spec))

    def split(leaf: Array) -> Array:
        return constrain(leaf, PartitionSpec(*_split_spec(leaf.shape, num_devices, min_size)))

    def place(state: TrainState) -> TrainState:
        if not shard_params:
            return constrain(state, PartitionSpec())
        parts = {name: jax.tree.map(split, getattr(state, name)) for name in _SPLIT}
        rest = constrain(state._replace(params=(), optimizer_state=()), PartitionSpec())
        return rest._replace(**parts)

    def init(key: Array) -> TrainState:
        return place(learner.init(key))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        lengths = {len(leaf) for leaf in jax.tree.leaves(batch)}
        if any(length % num_devices for length in lengths):
            raise ValueError(
                f"data_parallel: batches of {sorted(lengths)} examples cannot be cut into equal "
                f"parts for the {num_devices} devices along 'data'; choose a multiple of them"
            )
        state = place(state)
        # The parameters are gathered, so that it is not the batch that moves.
        gathered = state._replace(params=constrain(state.params, PartitionSpec()))
        new, metrics = learner.step(gathered, constrain(batch, PartitionSpec(DATA)))
        return place(new), constrain(metrics, PartitionSpec())

    return Learner(init, step)


def _split_spec(shape: tuple[int, ...], num_devices: int, min_size: int) -> tuple[str | None, ...]:
    """How a leaf of sharded parameters is split: along the longest axis that the devices divide."""
    axes = [axis for axis, size in enumerate(shape) if size and size % num_devices == 0]
    if not axes or math.prod(shape) < min_size:
        return ()
    longest = max(axes, key=lambda axis: shape[axis])
    return tuple(DATA if axis == longest else None for axis in range(len(shape)))


def _require_divided(length: int, mesh: Mesh, axis: str, what: str) -> None:
    if length % mesh.shape[axis]:
        raise ValueError(
            f"{length} {what} cannot be spread evenly over the {mesh.shape[axis]} devices "
            f"along {axis!r}; choose a multiple of them"
        )


def _shard(tree: PyTree[Any], mesh: Mesh, axis: str, what: str) -> PyTree[Any]:
    def spread(leaf: Any) -> Array:
        _require_divided(leaf.shape[0], mesh, axis, what)
        return place(leaf, NamedSharding(mesh, PartitionSpec(axis)))

    return jax.tree.map(spread, tree)
