"""The loop of a watched training: pieces of epochs, checkpoints, early stopping, failures."""

import functools
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet import training
from jaxnet._global_arrays import fetch, gather
from jaxnet.checkpoint import CheckpointError, Checkpoints, params_sha256
from jaxnet.runs._pace import Pace
from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.interruption import Deferred, Interrupted
from jaxnet.runs.options import TrainOptions, TrainResult
from jaxnet.runs.phases import TrainingRecord, describe_batches
from jaxnet.runs.progress import Progress
from jaxnet.runs.records import metrics_record
from jaxnet.runs.shared import SharedSaver, restore_shared
from jaxnet.runs.tensorboard import EventWriter
from jaxnet.training import Batches, Learner, TrainState
from jaxnet.training._placement import placed_like
from jaxnet.training.hooks import Hooks
from jaxnet.training.state import over_runs
from jaxnet.typing import Metrics, Params

_SECONDS_BETWEEN_CHECKPOINTS = 60.0

Evaluate = Callable[[Params, Any], Metrics]


class RunState(NamedTuple):
    """The complete state of a run at some step: the content of a checkpoint.

    Attributes:
        states: the training state, or a batch of them.
        metrics: of each step of the current epoch so far, `(*runs, steps_per_epoch)` each.
        history: part -> metric -> `(epochs, *runs)`, the epochs done, at least one row.
        best: the best parameters and extra state of each run, with early stopping.
    """

    states: TrainState
    metrics: Metrics
    history: dict[str, dict[str, np.ndarray]]
    best: training.Best | None


class _Piece(NamedTuple):
    """What happens next: a checkpoint where one is due, and steps unless there was a signal."""

    num_steps: int
    is_save_due: bool
    signal_number: int | None


class TrainingLoop:
    """The state of a training and what may happen to it; see `jaxnet.runs.train`."""

    def __init__(
        self,
        directory: RunDirectory,
        learner: Learner,
        states: TrainState,
        data: Any,
        batches: int | Batches | None,
        options: TrainOptions,
        evaluate: Evaluate | None,
        hooks: Hooks,
    ) -> None:
        self._options, self._directory = options, directory
        self._processes = directory.processes
        identity = {
            "batches": describe_batches(data if batches is None else batches),
            "patience": options.patience,
            "keys_sha256": params_sha256(gather(states.key)),
        }
        self._record = TrainingRecord(directory, options.num_epochs, identity)
        self._evaluate = evaluate or (lambda params, extra: {})
        source: dict[str, Any] = {
            "batches": training.shuffled(batches) if isinstance(batches, int) else batches
        }
        if not isinstance(data, training.HostData):
            data = jax.tree.map(jnp.asarray, data)
        self._batch_size = batches if isinstance(batches, int) else None
        self._advance = functools.partial(
            training.advance, learner, data=data, hooks=hooks, **source
        )
        folder = directory.path / "checkpoints"
        self._checkpoints = Checkpoints(folder, is_writer=directory.is_writer)
        self._saver = SharedSaver(self._checkpoints, self._processes)
        metrics = training.begin_epoch(learner, states, data, **source)
        self._length = metrics["loss"].shape[-1]
        self._runs = states.step.shape
        best, evaluated = None, _evaluated(states)
        parts = {
            "train": jax.eval_shape(training.mean_metrics, metrics),
            # Not only traced: it may compute on the host.
            "validation": fetch(self._evaluate(*evaluated)),
        }
        if options.patience is not None:
            if "loss" not in parts["validation"]:
                raise ValueError(
                    f"patience {options.patience} needs the validation loss: give evaluate, which "
                    f"returns 'loss', found {sorted(parts['validation'])}"
                )
            dtype = parts["validation"]["loss"].dtype
            first = functools.partial(training.init_best, dtype=dtype)
            best = jax.jit(over_runs(first, len(self._runs)))(evaluated)
        for name, leaf in parts["validation"].items():
            if leaf.shape != self._runs:
                raise ValueError(
                    f"evaluate: the metric {name!r} has shape {leaf.shape}, expected "
                    f"{self._runs}: one number for each run"
                )
        self._shapes = {
            part: {name: (leaf.shape, leaf.dtype) for name, leaf in leaves.items()}
            for part, leaves in parts.items()
        }
        self._state = RunState(states, metrics, self._empty_history(1), best)
        self._step = self._saved = 0
        self._last_save = time.monotonic()
        is_written = options.tensorboard and directory.is_writer
        self.events = EventWriter(directory.path, enabled=is_written)

    def restore(self) -> None:
        """Continue from the newest good checkpoint, if there is one."""
        if self._record.exists:
            try:
                restored = restore_shared(self._checkpoints, self._at, self._processes)
            except CheckpointError as error:
                raise ValueError(f"resume: {error}") from error
            if restored is not None:
                for reason in restored.rejected:
                    print(f"warning: {reason}; an older one is used", file=sys.stderr)
                self._state = placed_like(restored.state, self._state)
                self._step = self._saved = restored.step
            self._record.extend(is_done=self._is_done)
            if self._directory.is_writer and not self._is_done(self._options.num_epochs):
                print(f"resuming at step {self._step}", flush=True)
        done = self._step // self._length
        self._directory.write_log([self._metrics_of(epoch) for epoch in range(1, done + 1)])
        self.events.open(done)

    def train(self, interruption: Deferred) -> None:
        """Train up to the last epoch, the end of patience, or a signal."""
        pace = Pace()
        examples = None
        if self._batch_size is not None:
            examples = int(np.prod(self._runs)) * self._batch_size
        with Progress(
            self._options.num_epochs,
            self._length,
            examples,
            start=self._step,
            is_shown=self._directory.is_writer,
        ) as progress:
            while not self._is_done(self._options.num_epochs):
                piece = self._agree(pace, interruption)
                if piece.signal_number is not None:
                    self._save()
                    self._saver.wait()
                    raise Interrupted(
                        piece.signal_number,
                        f"interrupted at step {self._step}",
                        self._directory.run_path,
                    )
                if piece.is_save_due:
                    self._save()
                num_steps = piece.num_steps
                start = time.monotonic()
                self._take(num_steps)
                pace.measure(num_steps, time.monotonic() - start)
                if self._step % self._length == 0:
                    progress.epoch(self._step, self._end_epoch())
                else:
                    progress.step(self._step)
            self._save()
            self._saver.wait()

    def result(self) -> TrainResult:
        """The result, a function of the content of a checkpoint."""
        num_epochs = self._step // self._length
        history: dict[str, dict[str, np.ndarray]] = {}
        for part, curves in self._state.history.items():
            for name, curve in curves.items():
                history.setdefault(name, {})[part] = np.asarray(curve)[:num_epochs]
        best = self._state.best
        if best is None:
            params, extra = gather(_evaluated(self._state.states))
            epochs = np.full(self._runs, num_epochs)
        else:
            (params, extra), epochs = gather(best.params), fetch(best.epoch)
        sha256, states = params_sha256(gather(self._state)), self._state.states
        return TrainResult(params, extra, history, sha256, epochs, states)

    def _at(self, step: int) -> RunState:
        """Structure, shapes and dtypes of the state at a step."""
        return self._state._replace(history=self._empty_history(max(1, step // self._length)))

    def _empty_history(self, num_epochs: int) -> dict[str, dict[str, np.ndarray]]:
        return {
            part: {
                name: np.full((num_epochs, *shape), np.nan, dtype)
                for name, (shape, dtype) in shapes.items()
            }
            for part, shapes in self._shapes.items()
        }

    def _agree(self, pace: Pace, interruption: Deferred) -> "_Piece":
        """What all processes do next: process 0 has the clock, and any of them the signal."""
        self._saver.check()
        values = self._processes.gather(
            f"step {self._step}",
            [self._next_piece(pace.num_steps), self._is_due(), interruption.signal_number],
        )
        num_steps, is_due, _ = values[0]
        signals = [signal for _, _, signal in values if signal is not None]
        return _Piece(num_steps, is_due, signals[0] if signals else None)

    def _next_piece(self, num_steps: int) -> int:
        """At most this number of steps, and not beyond the epoch or the next checkpoint."""
        limits = [num_steps, self._length - self._step % self._length]
        if every := self._options.checkpoint_every:
            limits.append(every - self._step % every)
        return min(limits)

    def _take(self, num_steps: int) -> None:
        states, metrics = self._advance(
            state=self._state.states, metrics=self._state.metrics, num_steps=num_steps
        )
        offset = self._step % self._length
        if not self._options.may_diverge:
            self._require_finite(fetch(metrics["loss"])[..., offset : offset + num_steps])
        self._state = self._state._replace(states=states, metrics=metrics)
        self._step += num_steps

    def _require_finite(self, losses: np.ndarray) -> None:
        losses = losses.reshape(-1, losses.shape[-1])
        finite = np.isfinite(losses)
        if not finite.all():
            index = int(np.argmin(finite.all(axis=0)))
            run = int(np.argmin(finite[:, index]))
            self._diverged("loss", run, losses[run, index], self._step + index + 1)

    def _diverged(self, name: str, run: int, value: Any, step: int) -> None:
        saved = f"the checkpoint of step {self._saved} is kept" if self._saved else "none is saved"
        of_run = f" of run {run}" if self._runs else ""
        raise FloatingPointError(
            f"the {name}{of_run} became {value} in epoch {(step - 1) // self._length + 1} at step "
            f"{step} ({saved}); try a smaller learning rate, or clip the gradients (clip_norm)"
        )

    def _end_epoch(self) -> dict[str, dict[str, np.ndarray]]:
        epoch = self._step // self._length
        evaluated = _evaluated(self._state.states)
        validation = self._evaluate(*evaluated)
        parts = fetch(
            {"train": training.mean_metrics(self._state.metrics), "validation": validation}
        )
        history = {
            part: {
                name: np.concatenate([curve[: epoch - 1], np.asarray(parts[part][name])[None]])
                for name, curve in curves.items()
            }
            for part, curves in self._state.history.items()
        }
        best = self._state.best
        if best is not None and self._options.patience is not None:
            loss = jnp.asarray(parts["validation"]["loss"])
            best = _keep_best(best, evaluated, loss, epoch, self._options.patience)
        self._state = self._state._replace(history=history, best=best)
        self._directory.log(self._metrics_of(epoch))
        self.events.write(epoch, parts)
        return parts

    def _metrics_of(self, epoch: int) -> dict[str, Any]:
        parts = {
            part: {name: curve[epoch - 1] for name, curve in curves.items()}
            for part, curves in self._state.history.items()
        }
        return metrics_record(epoch, epoch * self._length, parts)

    def _is_done(self, num_epochs: int) -> bool:
        epoch, offset = divmod(self._step, self._length)
        if offset or epoch == 0:
            return False
        if epoch >= num_epochs:
            return True
        best, patience = self._state.best, self._options.patience
        if best is None or patience is None:
            return False
        return bool(np.all(fetch(training.out_of_patience(best, epoch, patience=patience))))

    def _is_due(self) -> bool:
        every = self._options.checkpoint_every
        if every is None:
            return time.monotonic() - self._last_save >= _SECONDS_BETWEEN_CHECKPOINTS
        return every > 0 and self._step % every == 0

    def _save(self) -> None:
        """Save a checkpoint, unless the parameters are not finite."""
        if self._step == self._saved:
            return
        finite = np.ravel(fetch(_are_finite(self._state.states)))
        if not finite.all() and not self._options.may_diverge:
            run = int(np.argmin(finite))
            self._diverged("parameters", run, "infinite or nan", self._step)
        loss = self._state.history["validation"].get("loss")
        epoch, offset = divmod(self._step, self._length)
        metric = None if loss is None or offset else float(np.mean(loss[epoch - 1]))
        self._saver.save(self._step, self._state, metric=metric)
        self._saved, self._last_save = self._step, time.monotonic()


@jax.jit
def _evaluated(states: TrainState) -> tuple[Params, Any]:
    """Evaluation parameters and extra state."""
    num_axes = states.step.ndim
    params = over_runs(training.evaluation_params, num_axes)(states)
    return params, over_runs(training.evaluation_extra, num_axes)(states)


@functools.partial(jax.jit, static_argnames="patience")
def _keep_best(
    best: training.Best, evaluated: Any, losses: jax.Array, epoch: int | jax.Array, patience: int
) -> training.Best:
    def keep(best: training.Best, evaluated: Any, loss: jax.Array) -> training.Best:
        return training.keep_best(best, evaluated, loss, epoch, patience=patience)

    return over_runs(keep, best.epoch.ndim)(best, evaluated, losses)


@jax.jit
def _are_finite(states: TrainState) -> jax.Array:
    def finite(params: Params) -> jax.Array:
        leaves = [
            leaf for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.inexact)
        ]
        return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]))

    return over_runs(finite, states.step.ndim)(states.params)
