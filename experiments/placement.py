"""Where the arrays of a run are: the options --num-devices, --mesh and --shard-params.

    python -m experiments.classification --num-devices 4              # on CPU, simulated devices
    python -m experiments.classification --mesh run=2,data=2          # the same, with its mesh

A mesh has two axes. Networks spread over `run`, without communication; the examples of each batch
over `data`, with one all-reduce of the gradients. Without --mesh as many devices as divide the
number of networks are along `run`, and the others along `data`. Batches are those of one device.

What holds: results on another mesh are equal within rounding, and bitwise identical only on the
mesh of the run, which `config.json` records. Without these options a run computes on one device.
"""

import contextlib
import dataclasses
import math
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array

from jaxnet import hosts, runs, training
from jaxnet.runs.records import read_hashed_json
from jaxnet.training.hooks import Hooks

OPTIONS = ("num_devices", "mesh", "shard_params")
_AXES = ("run", "data")


def parse_mesh(text: str) -> dict[str, int]:
    """The devices along each axis, from the text of --mesh; an axis that is not named has one.

    Raises:
        ValueError: another text.

    >>> parse_mesh("run=4,data=2"), parse_mesh("data=8")
    ({'run': 4, 'data': 2}, {'run': 1, 'data': 8})
    >>> parse_mesh("run=4,model=2")
    Traceback (most recent call last):
        ...
    ValueError: mesh must be text such as run=4,data=2, found 'run=4,model=2'; the axes are run and data
    """  # noqa: E501
    sizes: dict[str, int] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(run|data)\s*=\s*([1-9][0-9]{0,5})\s*", part)
        if found is None or found[1] in sizes:
            raise ValueError(
                f"mesh must be text such as run=4,data=2, found {text!r}; the axes are run and data"
            )
        sizes[found[1]] = int(found[2])
    return {axis: sizes.get(axis, 1) for axis in _AXES}


def show_mesh(sizes: dict[str, int]) -> str:
    """The text of --mesh.

    >>> show_mesh({"run": 4, "data": 2})
    'run=4,data=2'
    """
    return ",".join(f"{axis}={sizes[axis]}" for axis in _AXES)


def num_devices(config: Any) -> int:
    """Devices that some options ask for, of all processes together.

    Args:
        config: `RunOptions`.

    Raises:
        ValueError: --num-devices is not that of --mesh.
    """
    if config.mesh is None:
        every = 1 if hosts.current().count == 1 else jax.device_count()
        return config.num_devices or every
    product = math.prod(parse_mesh(config.mesh).values())
    if config.num_devices not in (None, product):
        raise ValueError(
            f"mesh {config.mesh} has {product} devices, found num_devices {config.num_devices}; "
            "leave one of the two out"
        )
    return product


def start_devices(config: Any) -> None:
    """Start the backend with the devices of a config; on CPU they are simulated.

    Call it before anything is computed, since a backend keeps its number of devices.

    Args:
        config: `RunOptions`.

    Raises:
        ValueError: fewer devices than the options ask for.
    """
    needed, processes = num_devices(config), hosts.current().count
    if needed == processes == 1:
        return
    if needed % processes:
        raise ValueError(
            f"num_devices {needed} cannot be spread evenly over {processes} processes; use a "
            "multiple of them"
        )
    # Of all processes, so that the pool, and the bits, do not depend on how many there are.
    _require_threads(config.num_threads, needed)
    # A backend that runs already keeps the devices that it has. Without effect on other platforms.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", needed // processes)
    present = len(jax.devices())
    if processes > 1 and present != needed:
        raise ValueError(
            f"num_devices {needed} are not the {present} devices of {processes} processes; use "
            f"--num-devices {present}, or show each process fewer devices"
        )
    if needed > present:
        kind = jax.devices()[0].platform
        remedy = (
            "start a new Python process, or set jax_num_cpu_devices before JAX computes"
            if kind == "cpu"
            else f"use --num-devices {present}"
        )
        raise ValueError(
            f"num_devices {needed} are more than the {present} devices of platform {kind!r}; "
            f"{remedy}"
        )


def _require_threads(num_threads: int | None, num_devices: int) -> None:
    """Make the thread pool of the CPU backend large enough for its devices.

    A device that waits for the others in a sum holds a thread, and one that computes a product
    waits for threads that compute parts of it: with as many threads as devices, all may wait.
    """
    needed = 2 * num_devices
    if num_threads is None:
        os.environ["NPROC"] = str(max(runs.available_threads(), needed))
    elif num_threads < needed:
        raise ValueError(
            f"num_threads must be at least {needed} for {num_devices} devices, found "
            f"{num_threads}: devices that wait for each other hold threads; leave it out"
        )


class Placement(NamedTuple):
    """How a run is spread over devices.

    Attributes:
        mesh: from `jaxnet.training.device_mesh`; None is one device, with nothing placed.
        shard_params: whether parameters and optimizer states are split over `data`.
    """

    mesh: Mesh | None = None
    shard_params: bool = False

    def shape(self, axis: str) -> int:
        """Devices along an axis."""
        return 1 if self.mesh is None else self.mesh.shape[axis]

    def context(self) -> contextlib.AbstractContextManager[Any]:
        """Around what is computed: inside of compiled functions too, predictions, evaluations and
        clusterings spread their examples over `data`."""
        # Of several processes each evaluates all, since results are fetched on each.
        if self.mesh is None or hosts.current().count > 1:
            return contextlib.nullcontext()
        return jax.set_mesh(self.mesh)

    def learner(self, learner: training.Learner) -> training.Learner:
        """The learner whose batches are spread over `data`."""
        if self.mesh is None or self.shape("data") == 1:
            return learner
        return training.data_parallel(learner, self.mesh, shard_params=self.shard_params)

    def over_runs(self, tree: Any) -> Any:
        """Arrays with one entry for each network, spread over `run` where the devices divide them.

        Args:
            tree: states, keys or data of each network, `(networks, ...)` each.
        """
        if self.mesh is None:
            return tree
        leaves = jax.tree.leaves(tree)
        if any(len(leaf) % self.shape("run") for leaf in leaves):
            return training.replicate(tree, self.mesh)
        return training.shard_runs(tree, self.mesh)

    def everywhere(self, tree: Any) -> Any:
        """Arrays on all devices, such as the data that all networks share."""
        return tree if self.mesh is None else training.replicate(tree, self.mesh)

    def train(
        self,
        directory: runs.RunDirectory,
        learner: training.Learner,
        states: training.TrainState,
        data: Any,
        *,
        batches: int | training.Batches,
        options: runs.TrainOptions,
        evaluate: Any = None,
        hooks: Hooks = (),
    ) -> runs.TrainResult:
        """`jaxnet.runs.train` on the mesh; the arguments are its own."""
        if self.mesh is not None:
            data = jax.tree.map(jnp.asarray, data)
            is_per_run = getattr(batches, "per_run", False)
            data = self.over_runs(data) if is_per_run else self.everywhere(data)
            if len(states.step) % self.shape("run"):
                states = training.replicate(states, self.mesh)
            else:
                states = training.shard_state(states, self.mesh, shard_params=self.shard_params)
            learner = self.learner(learner)
        return runs.train(
            directory,
            learner,
            states,
            data,
            batches=batches,
            options=options,
            evaluate=evaluate,
            hooks=hooks,
        )

    def train_stages(
        self,
        directory: runs.RunDirectory,
        stages: Sequence[training.Stage],
        keys: Array,
        data: Any,
        *,
        batches: int | training.Batches,
        options: runs.TrainOptions | Sequence[runs.TrainOptions],
    ) -> tuple[runs.TrainResult, ...]:
        """`jaxnet.runs.train_stages` on the mesh; the arguments are its own."""

        def placed(stage: training.Stage) -> training.Stage:
            return stage._replace(learner=lambda previous: self.learner(stage.learner(previous)))

        if self.mesh is not None:
            stages = [placed(stage) for stage in stages]
            keys, data = self.over_runs(keys), self.everywhere(data)
        return runs.train_stages(directory, stages, keys, data, batches=batches, options=options)


def place(config: Any, num_networks: int, batch_sizes: Sequence[int] = ()) -> tuple[Any, Placement]:
    """The placement of a run, checked before anything is written.

    Args:
        config: `RunOptions`.
        num_networks: networks that train in one program; of several programs, a number that
            divides all of theirs.
        batch_sizes: examples in a batch of each training of the run.

    Returns:
        The config with the number of devices and the mesh, as `config.json` records them, and the
        placement.

    Raises:
        ValueError: networks or batches that the mesh does not divide, or fewer devices than asked
            for.
    """
    # The number of threads is that of this process by now.
    start_devices(dataclasses.replace(config, num_threads=None))
    count = num_devices(config)
    if config.shard_params and hosts.current().count > 1:
        raise ValueError(
            "shard_params is for the devices of one process here, found several processes; leave "
            "it out, or train by jaxnet.runs"
        )
    if count == 1:
        if config.shard_params:
            raise ValueError(
                "shard_params needs several devices along data, found 1; use --mesh data=2, or "
                "leave it out"
            )
        return config, Placement()
    if config.mesh is None:
        along_run = math.gcd(num_networks, count)
        sizes = {"run": along_run, "data": count // along_run}
        if config.shard_params and sizes["data"] == 1:
            sizes = {"run": 1, "data": count}
    else:
        sizes = parse_mesh(config.mesh)
    text = show_mesh(sizes)
    if num_networks % sizes["run"]:
        raise ValueError(
            f"mesh {text}: {num_networks} networks cannot be spread evenly over {sizes['run']} "
            f"devices along run; train a multiple of {sizes['run']} (--num-seeds), or use another "
            "--mesh"
        )
    for size in batch_sizes:
        if size % sizes["data"]:
            raise ValueError(
                f"mesh {text}: batches of {size} examples cannot be cut into {sizes['data']} equal "
                f"parts along data; use a --batch-size that is a multiple of {sizes['data']}, or "
                "another --mesh"
            )
    if config.shard_params and sizes["data"] == 1:
        raise ValueError(
            f"shard_params needs several devices along data, found mesh {text}; use another "
            "--mesh, or leave it out"
        )
    mesh = training.device_mesh(run=sizes["run"], data=sizes["data"])
    print(f"{count} devices, mesh {text}", flush=True)
    config = dataclasses.replace(config, num_devices=count, mesh=text)
    return config, Placement(mesh, config.shard_params)


def recorded_options(options: dict[str, Any], path: Any) -> dict[str, Any]:
    """The options of a run that is resumed, with the mesh that it began with.

    Args:
        options: those of this process.
        path: the run directory.

    Returns:
        Options that agree with `config.json` in what concerns devices.
    """
    recorded, names = read_hashed_json(path / "config.json"), OPTIONS
    if any(options[name] != recorded.get(name) for name in ("num_devices", "mesh")):
        # The pool of threads depends on the devices.
        names = (*OPTIONS, "num_threads")
    others = {name: value for name, value in options.items() if name not in names}
    return others | {name: recorded[name] for name in names if name in recorded}


def resumed_on(recorded: Any, config: Any) -> Any:
    """The config of a run that is resumed, perhaps on another mesh, which may be given alone.

    Args:
        recorded: the options of the run.
        config: those of this process, which are the recorded ones where none was given.
    """
    given = {name: getattr(config, name) != getattr(recorded, name) for name in OPTIONS[:2]}
    if not any(given.values()):
        return config
    # The one that was not given is that of the other mesh.
    others = {name: None for name, is_given in given.items() if not is_given}
    if config.num_threads == recorded.num_threads:
        others["num_threads"] = None
    print(
        f"warning: the run began on {recorded.mesh or 'one device'}, so its result will be equal "
        "within rounding, and not bitwise identical",
        flush=True,
    )
    return dataclasses.replace(config, **others)
