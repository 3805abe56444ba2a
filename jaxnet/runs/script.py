"""Runs of a user's training script: `open_run` and the `Run` that it returns."""

import contextlib
import dataclasses
import os
import sys
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Key, PyTree

from jaxnet._global_arrays import gather
from jaxnet.checkpoint import export_params, params_sha256
from jaxnet.runs._loop import Evaluate
from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.environment import device_name
from jaxnet.runs.interruption import Interrupted, immediate_interruption
from jaxnet.runs.options import TrainOptions, TrainResult
from jaxnet.runs.records import read_hashed_json
from jaxnet.runs.training import train
from jaxnet.training import Batches, HostData, Learner, TrainState
from jaxnet.training.hooks import Hooks
from jaxnet.typing import Params


class Run:
    """A run of a training script; use it as a context. Made by `open_run`.

    Attributes:
        directory: the run directory.
        is_finished: whether the run was finished before the script was called. Trainings are then
            restored, and take no steps.
    """

    def __init__(self, directory: RunDirectory, options: TrainOptions) -> None:
        self.directory = directory
        finished = directory.path / "summary.json"
        self.is_finished = directory.processes.from_first("finished", finished.exists)
        self._options = options
        self._results: dict[str, TrainResult] = {}
        self._context = contextlib.ExitStack()
        self._start = time.perf_counter()

    def train(
        self,
        learner: Learner,
        key: Key[Array, "..."] | TrainState,
        data: PyTree[Any] | HostData,
        *,
        num_epochs: int,
        batches: int | Batches | None = None,
        name: str | None = None,
        evaluate: Evaluate | None = None,
        hooks: Hooks = (),
    ) -> TrainResult:
        """Train, or continue an interrupted training; a finished one is restored.

        Several trainings of one run, such as pretraining and fine-tuning, have names.

        Args:
            learner: the learner.
            key: the key of the run; or keys `(runs,)` for a batch of runs that train side by side
                in one program; or initial states, as of `jaxnet.runs.start_states`.
            data: the training data, `(examples, ...)` each; or a `jaxnet.training.HostData`.
            num_epochs: passes over the data. A finished training is continued where the number
                has grown since.
            batches: batch size, or a source of batches such as `jaxnet.training.balanced(64)`;
                None with `HostData`.
            name: name of the stage, whose files are in a folder of that name; None for the only
                or main training of a run.
            evaluate: `evaluate(params, extra) -> metrics` on validation data, after each epoch; as
                in `jaxnet.runs.train`.
            hooks: as in `jaxnet.fit`.

        Returns:
            Parameters, extra state and history, with a leading axis `(runs, ...)` for a batch.

        Raises:
            ValueError: as `jaxnet.runs.train`; a second training of the same name.
            FloatingPointError: a loss or parameters that are not finite.
        """
        label = name or "training"
        if label in self._results:
            raise ValueError(
                f"name: the run has a training named {label!r} already; name each by itself"
            )
        directory = self.directory if name is None else self.directory.stage(name)
        if isinstance(key, TrainState):
            states = key
        else:
            init = learner.init if jnp.ndim(key) == 0 else jax.vmap(learner.init)
            states = jax.jit(init)(key)
        patience = None if evaluate is None else self._options.patience
        options = dataclasses.replace(self._options, num_epochs=num_epochs, patience=patience)
        result = train(
            directory,
            learner,
            states,
            data,
            batches=batches,
            options=options,
            evaluate=evaluate,
            hooks=hooks,
        )
        self._results[label] = result
        return result

    def save_params(self, params: Params, name: str = "params") -> Path:
        """Write parameters to `NAME.safetensors`, which other tools read too.

        Args:
            params: nested dicts of arrays.
            name: name of the file, without its ending.

        Returns:
            The file; `jaxnet.checkpoint.import_params` reads it.

        Raises:
            ValueError: a type that the format does not hold.
            OSError: it cannot be written.
        """
        path = self.directory.path / f"{name}.safetensors"
        params = gather(params)
        if self.directory.is_writer:
            export_params(path, params)
        return path

    def finish(self, **metrics: ArrayLike) -> dict[str, Any]:
        """Write `summary.json`, which marks the run as finished.

        Args:
            metrics: the result, numbers or arrays `(runs,)`.

        Returns:
            The summary: the metrics, a hash of the parameters and of the complete state of each
            training, the device and the time. That of a run that was finished before stays.
        """
        path, processes = self.directory.path / "summary.json", self.directory.processes
        recorded = processes.from_first(
            "summary", lambda: read_hashed_json(path) if path.exists() else None
        )
        if recorded is not None:
            if self.directory.is_writer:
                print(f"the run is finished: {path}", flush=True)
            return recorded
        summary = {
            "experiment": self.directory.name,
            "metrics": {name: np.asarray(value).tolist() for name, value in metrics.items()},
            "params_sha256": {
                name: params_sha256(result.params) for name, result in self._results.items()
            },
            "state_sha256": {name: result.state_sha256 for name, result in self._results.items()},
            "device": device_name(),
            "seconds": {"total": time.perf_counter() - self._start},
        }
        return self.directory.write_summary(summary)

    def __enter__(self) -> "Run":
        self._context.enter_context(self.directory)
        self._context.enter_context(immediate_interruption())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self._context.close()
        if isinstance(error, Interrupted):
            print(f"{error}; run the script again to continue", file=sys.stderr, flush=True)
            raise SystemExit(error.exit_status) from None


def open_run(
    path: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    data: PyTree[Any] | str,
    name: str = "training",
    patience: int | None = None,
    checkpoint_every: int | None = None,
    tensorboard: bool = False,
) -> Run:
    """Open a run of a training script: a new one, an interrupted one, or a finished one.

    Calling the same script again continues an interrupted run, which ends bitwise identical to one
    that was never interrupted. Ctrl-C and SIGTERM save a checkpoint and end the script with the
    exit status 130 or 143; after `kill -9` the newest checkpoint is continued.

    Args:
        path: the run directory: new, empty, or that of the run.
        config: the options that decide the result: numbers, strings, booleans, None, lists.
        data: all data that decide the result, whose hash is recorded; or a hash of them.
        name: name of the run.
        patience: epochs without a lower validation loss after which a run of a training with
            `evaluate` stops; its best parameters are the result.
        checkpoint_every: steps between checkpoints; None saves once a minute, 0 only at the end
            and when interrupted.
        tensorboard: also write event files (extra `tensorboard`).

    Returns:
        The run, a context that holds the lock of the directory.

    Raises:
        ValueError: the directory holds something else, or a run with other options or data, which
            are named; another process has it open; an option out of range.
        TypeError: an option that JSON cannot hold.
        jaxnet.doctor.UnsoundBackendError: a backend that computes wrong results.

    >>> import tempfile, jaxnet as jn, optax
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for _ in range(2):
    ...         with open_run(f"{folder}/run", config={"rate": 0.1}, data=data) as run:
    ...             key = jax.random.key(0)
    ...             result = run.train(learner, key, data, num_epochs=2, batches=5)
    ...             summary = run.finish(loss=result.history["loss"]["train"][-1])
    ... # doctest: +ELLIPSIS
    epoch 1/2 ...
    the run is finished: ...
    >>> sorted(summary["metrics"])
    ['loss']
    """
    options = TrainOptions(1, patience, checkpoint_every, tensorboard)
    data_sha256 = data if isinstance(data, str) else params_sha256(data)
    directory = RunDirectory.open(
        path, name=name, config=config, data_sha256=data_sha256, resume=None
    )
    return Run(directory, options)
