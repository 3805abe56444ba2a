"""The watched training run: progress, metrics, checkpoints, early stopping, resuming."""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.options import TrainingConfig
from jaxnet.checkpoint import CheckpointError, Checkpoints, params_sha256
from jaxnet.runs.directory import RunDirectory, metrics_record
from jaxnet.runs.interruption import Interrupted, deferred_interruption
from jaxnet.runs.progress import Progress
from jaxnet.runs.tensorboard import EventWriter
from jaxnet.typing import Metrics

_SECONDS_BETWEEN_CHECKPOINTS = 60.0
# After each piece of an epoch the run looks for signals and bad numbers, and reports progress.
_SECONDS_OF_A_PIECE = 0.5

Evaluate = Callable[[Any], dict[str, jax.Array]]


class Trained(NamedTuple):
    """A finished training.

    Attributes:
        params: evaluation parameters of all networks, stacked: those after the last epoch or, with
            early stopping, the best of each network.
        history: name of a metric -> part ("train", "validation") -> `(num_epochs, num_seeds)`.
        state_sha256: hash of all that the run knew at its end, optimizer state included.
        best_epochs: the epoch of the parameters of each network.
    """

    params: Any
    history: dict[str, dict[str, np.ndarray]]
    state_sha256: str
    best_epochs: list[int]


class Progressed(NamedTuple):
    """All that a run knows at some step: what a checkpoint holds.

    Attributes:
        states: the states of all networks, stacked.
        metrics: of each step of the current epoch so far, `(num_seeds, steps_per_epoch)` each.
        history: part -> metric -> values `(num_epochs, num_seeds)`, NaN for epochs to come.
        best: the best parameters of each network, where the run stops early.
    """

    states: jn.TrainState
    metrics: Metrics
    history: dict[str, dict[str, np.ndarray]]
    best: jn.training.Best | None


def train(
    learner: jn.Learner,
    states: jn.TrainState,
    data: dict[str, Any],
    evaluate: Evaluate,
    config: TrainingConfig,
    directory: RunDirectory,
    *,
    data_axis: int | None = None,
    hooks: Any = (),
) -> Trained:
    """Train with a person watching, from the beginning or from the newest good checkpoint.

    Wherever and however often the run is interrupted, resumed it ends with the same bits: batches
    and random numbers are functions of the step, one compiled program takes pieces of any length,
    and a checkpoint holds all that the run knows.

    Args:
        learner: what trains.
        states: initial states, stacked over the seeds.
        data: the training data.
        evaluate: from stacked evaluation parameters to validation metrics, `(num_seeds,)` each,
            arrays of JAX or NumPy. With early stopping, `loss` is among them.
        config: resolved options.
        directory: where metrics and checkpoints go.
        data_axis: 0 where each network has its own data, stacked along a new first axis.
        hooks: as in `jaxnet.fit`.

    Raises:
        FloatingPointError: numbers that are not finite; the message names epoch, step and network.
        Interrupted: after a signal, once all is saved.
        jaxnet.checkpoint.CheckpointError: there are checkpoints, and none can be used.
    """
    run = _Run(learner, states, data, evaluate, config, directory, data_axis, hooks)
    run.restore()
    try:
        with deferred_interruption() as interruption:
            run.train(interruption)
    finally:
        run.events.close()
    return run.trained()


def start_from(
    make: Callable[[Callable[[jax.Array], Any]], jn.Learner], keys: jax.Array, starts: Any
) -> jn.TrainState:
    """Initial states of networks that start from given parameters, stacked.

    Args:
        make: from `init(key) -> params` to what trains.
        keys: one for each network.
        starts: their parameters, stacked.
    """

    def state(key: jax.Array, start: Any) -> jn.TrainState:
        return make(lambda _: start).init(key)

    return jax.jit(jax.vmap(state))(keys, starts)


@dataclasses.dataclass
class _Pace:
    """How many steps fit into a piece, from the time that the last piece took."""

    num_steps: int = 1

    def measure(self, num_steps: int, seconds: float) -> None:
        self.num_steps = max(1, int(num_steps * _SECONDS_OF_A_PIECE / max(seconds, 1e-6)))


class _Run:
    def __init__(
        self,
        learner: jn.Learner,
        states: jn.TrainState,
        data: dict[str, Any],
        evaluate: Evaluate,
        config: TrainingConfig,
        directory: RunDirectory,
        data_axis: int | None,
        hooks: Any,
    ) -> None:
        self._num_epochs = config.num_epochs or 1
        self._patience = config.patience
        self._every = config.checkpoint_every
        self._directory = directory
        self._evaluate = evaluate
        self._batch_size = config.batch_size or 1
        batches = jn.training.shuffled(self._batch_size)
        self._options: dict[str, Any] = {
            "batches": batches if data_axis is None else jn.training.per_run(batches)
        }
        data = jax.tree.map(jnp.asarray, data)
        self._advance = functools.partial(
            jn.training.advance, learner, data=data, hooks=hooks, **self._options
        )
        self._checkpoints = Checkpoints(directory.path / "checkpoints")
        metrics = jn.training.begin_epoch(learner, states, data, **self._options)
        self._length = metrics["loss"].shape[-1]
        params = _evaluation_params(states)
        best = None if self._patience is None else jax.jit(jax.vmap(jn.training.init_best))(params)
        parts = {
            "train": jax.eval_shape(jn.training.mean_metrics, metrics),
            # Not only traced: it may compute on the host.
            "validation": jax.tree.map(np.asarray, evaluate(params)),
        }
        history = {
            part: {
                name: np.full((self._num_epochs, *leaf.shape), np.nan, leaf.dtype)
                for name, leaf in shapes.items()
            }
            for part, shapes in parts.items()
        }
        self._run = Progressed(states, metrics, history, best)
        self._step = self._saved = 0
        self._last_save = time.monotonic()
        self.events = EventWriter(directory.path, enabled=config.tensorboard)

    def restore(self) -> None:
        """Continue from the newest good checkpoint, where the run is a resumed one."""
        if self._directory.resumed:
            try:
                restored = self._checkpoints.restore(like=self._run)
            except CheckpointError as error:
                raise ValueError(f"resume: {error}") from error
            if restored is not None:
                for reason in restored.rejected:
                    print(f"warning: {reason}; an older one is used", file=sys.stderr)
                self._run = restored.state
                self._step = self._saved = restored.step
            print(f"resuming at step {self._step}", flush=True)
        done = self._step // self._length
        self._directory.write_log([self._record(epoch) for epoch in range(1, done + 1)])
        self.events.open(done)

    def train(self, interruption: Any) -> None:
        """Train up to the last epoch, to the end of all patience, or to a signal."""
        pace = _Pace()
        num_seeds = len(self._run.states.step)
        with Progress(
            self._num_epochs,
            self._length,
            num_seeds * self._batch_size,
            start=self._step,
        ) as progress:
            while not self._is_done():
                if interruption.signal_number is not None:
                    self._save()
                    raise Interrupted(
                        interruption.signal_number,
                        f"interrupted at step {self._step}; continue with "
                        f"--resume {self._directory.run_path}",
                    )
                num_steps = self._next_piece(pace.num_steps)
                start = time.monotonic()
                self._take(num_steps)
                pace.measure(num_steps, time.monotonic() - start)
                if self._step % self._length == 0:
                    progress.epoch(self._step, self._end_epoch())
                else:
                    progress.step(self._step)
                if self._is_due():
                    self._save()
            self._save()

    def trained(self) -> Trained:
        """The result, from what a checkpoint holds alone."""
        num_epochs = self._step // self._length
        history: dict[str, dict[str, np.ndarray]] = {}
        for part, curves in self._run.history.items():
            for name, curve in curves.items():
                history.setdefault(name, {})[part] = curve[:num_epochs]
        best = self._run.best
        return Trained(
            _evaluation_params(self._run.states) if best is None else best.params,
            history,
            params_sha256(self._run),
            [num_epochs] * len(self._run.states.step) if best is None else best.epoch.tolist(),
        )

    def _next_piece(self, num_steps: int) -> int:
        """At most so many steps, and not beyond the epoch or the next checkpoint."""
        limits = [num_steps, self._length - self._step % self._length]
        if self._every:
            limits.append(self._every - self._step % self._every)
        return min(limits)

    def _take(self, num_steps: int) -> None:
        states, metrics = self._advance(
            state=self._run.states, metrics=self._run.metrics, num_steps=num_steps
        )
        offset = self._step % self._length
        losses = np.asarray(metrics["loss"])[:, offset : offset + num_steps]
        finite = np.isfinite(losses)
        if not finite.all():
            index = int(np.argmin(finite.all(axis=0)))
            seed = int(np.argmin(finite[:, index]))
            self._diverged(f"loss of network {seed}", losses[seed, index], self._step + index + 1)
        self._run = self._run._replace(states=states, metrics=metrics)
        self._step += num_steps

    def _diverged(self, what: str, value: Any, step: int) -> None:
        saved = f"the checkpoint of step {self._saved} is kept" if self._saved else "none is saved"
        raise FloatingPointError(
            f"the {what} became {value} in epoch {(step - 1) // self._length + 1} at step {step} "
            f"({saved}); try a smaller --learning-rate or --clip-norm 1"
        )

    def _end_epoch(self) -> dict[str, dict[str, np.ndarray]]:
        epoch = self._step // self._length
        params = _evaluation_params(self._run.states)
        validation = self._evaluate(params)
        parts = jax.device_get(
            {"train": jn.training.mean_metrics(self._run.metrics), "validation": validation}
        )
        for part, metrics in parts.items():
            for name, values in metrics.items():
                self._run.history[part][name][epoch - 1] = values
        if self._patience is not None:
            best = _keep_best(self._run.best, params, validation["loss"], epoch, self._patience)
            self._run = self._run._replace(best=best)
        self._directory.log(self._record(epoch))
        self.events.write(epoch, parts)
        return parts

    def _record(self, epoch: int) -> dict[str, Any]:
        parts = {
            part: {name: curve[epoch - 1] for name, curve in curves.items()}
            for part, curves in self._run.history.items()
        }
        return metrics_record(epoch, epoch * self._length, parts)

    def _is_done(self) -> bool:
        epoch, offset = divmod(self._step, self._length)
        if offset or epoch == 0:
            return False
        if epoch == self._num_epochs:
            return True
        best, patience = self._run.best, self._patience
        if best is None or patience is None:
            return False
        return bool(jn.training.out_of_patience(best, epoch, patience=patience).all())

    def _is_due(self) -> bool:
        if self._every is None:
            return time.monotonic() - self._last_save >= _SECONDS_BETWEEN_CHECKPOINTS
        return self._every > 0 and self._step % self._every == 0

    def _save(self) -> None:
        """Save a checkpoint, unless the parameters are not finite."""
        if self._step == self._saved:
            return
        finite = np.asarray(_are_finite(self._run.states.params))
        if not finite.all():
            seed = int(np.argmin(finite))
            self._diverged(f"parameters of network {seed}", "infinite or nan", self._step)
        loss = self._run.history["validation"].get("loss")
        epoch, offset = divmod(self._step, self._length)
        metric = None if loss is None or offset else float(loss[epoch - 1].mean())
        self._checkpoints.save(self._step, self._run, metric=metric)
        self._saved, self._last_save = self._step, time.monotonic()


@jax.jit
@jax.vmap
def _evaluation_params(state: jn.TrainState) -> Any:
    return jn.evaluation_params(state)


@functools.partial(jax.jit, static_argnames="patience")
def _keep_best(
    best: jn.training.Best, params: Any, losses: jax.Array, epoch: int, patience: int
) -> jn.training.Best:
    keep = functools.partial(jn.training.keep_best, patience=patience)
    return jax.vmap(keep, (0, 0, 0, None))(best, params, losses, epoch)


@jax.jit
@jax.vmap
def _are_finite(params: Any) -> jax.Array:
    leaves = [leaf for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]))
