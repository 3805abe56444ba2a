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
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from jaxnet._checks import require_positive
from jaxnet._global_arrays import place, place_all
from jaxnet.training.state import Learner, TrainState
from jaxnet.typing import Batch, Metrics

RUN, DATA = "run", "data"


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
            f"{len(devices)}; on CPU set XLA_FLAGS=--xla_force_host_platform_device_count=N "
            "before Python starts"
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


def data_parallel(learner: Learner, mesh: Mesh) -> Learner:
    """Compute each batch in parts, one on each device along `data`.

    The state is replicated; each device has its part of the batch; the loss, a mean over the whole
    batch, makes the gradient one all-reduce. What is computed is what one device computes, up to
    the order of sums.

    Args:
        learner: any learner.
        mesh: from `device_mesh`; in a batch of runs its axis `run` has size 1 or the runs are
            mapped with `jax.vmap(..., spmd_axis_name="run")`.

    Returns:
        A learner with the same states and metrics.

    Raises:
        ValueError: (of `step`) a batch whose size is not a multiple of the devices along `data`.

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(2, 1)
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> learner = data_parallel(learner, device_mesh())
    >>> batch = {"x": np.ones((4, 2), np.float32), "y": np.ones((4, 1), np.float32)}
    >>> state, metrics = jax.jit(learner.step)(learner.init(jax.random.key(0)), batch)
    >>> int(state.step)
    1
    """
    num_devices = mesh.shape[DATA]

    def constrain(tree: PyTree[Any], spec: PartitionSpec) -> PyTree[Any]:
        return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, spec))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        lengths = {len(leaf) for leaf in jax.tree.leaves(batch)}
        if any(length % num_devices for length in lengths):
            raise ValueError(
                f"data_parallel: batches of {sorted(lengths)} examples cannot be cut into equal "
                f"parts for the {num_devices} devices along 'data'; choose a multiple of them"
            )
        state = constrain(state, PartitionSpec())
        state, metrics = learner.step(state, constrain(batch, PartitionSpec(DATA)))
        return constrain(state, PartitionSpec()), metrics

    return Learner(learner.init, step)


def _shard(tree: PyTree[Any], mesh: Mesh, axis: str, what: str) -> PyTree[Any]:
    num_devices = mesh.shape[axis]

    def spread(leaf: Any) -> Array:
        if leaf.shape[0] % num_devices:
            raise ValueError(
                f"{leaf.shape[0]} {what} cannot be spread evenly over the {num_devices} devices "
                f"along {axis!r}; choose a multiple of them"
            )
        return place(leaf, NamedSharding(mesh, PartitionSpec(axis)))

    return jax.tree.map(spread, tree)
