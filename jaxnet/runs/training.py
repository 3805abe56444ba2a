"""Watched training: progress, metrics, checkpoints, early stopping, resuming."""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet import training
from jaxnet._checks import require_positive
from jaxnet.checkpoint import CheckpointError, Checkpoints, params_sha256
from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.interruption import Deferred, Interrupted, deferred_interruption
from jaxnet.runs.progress import Progress
from jaxnet.runs.records import metrics_record
from jaxnet.runs.tensorboard import EventWriter, require_tensorboard
from jaxnet.training import Learner, TrainState
from jaxnet.typing import Batch, Metrics, Params

_SECONDS_BETWEEN_CHECKPOINTS = 60.0
# After each piece of an epoch the run looks for signals and non-finite numbers.
_SECONDS_OF_A_PIECE = 0.5

Evaluate = Callable[[Params, Any], Metrics]


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """How long to train, when to stop, and what to write.

    Attributes:
        num_epochs: passes over the data, at least 1.
        patience: stop a run after this number of epochs without a lower validation loss, and
            return its best parameters; None never stops early.
        checkpoint_every: steps between checkpoints; None saves once a minute, 0 only at the end
            and when interrupted.
        tensorboard: also write event files (extra `tensorboard`).

    Raises:
        ValueError: a value out of range; tensorboardX is not installed.

    >>> TrainOptions(num_epochs=0)
    Traceback (most recent call last):
    ...
    ValueError: TrainOptions: num_epochs must be at least 1, found 0
    """

    num_epochs: int
    patience: int | None = None
    checkpoint_every: int | None = None
    tensorboard: bool = False

    def __post_init__(self) -> None:
        require_positive("TrainOptions", num_epochs=self.num_epochs)
        if self.patience is not None:
            require_positive("TrainOptions", patience=self.patience)
        if self.checkpoint_every is not None and self.checkpoint_every < 0:
            raise ValueError(
                f"TrainOptions: checkpoint_every must be at least 0, found {self.checkpoint_every}"
            )
        if self.tensorboard:
            require_tensorboard()


class TrainResult(NamedTuple):
    """The result of a finished training.

    Attributes:
        params: evaluation parameters after the last epoch or, with early stopping, after the best
            epoch of each run; with a leading axis `(runs, ...)` for a batch of runs.
        extra: the other state of the learner, such as batch statistics, of the same epoch.
        history: metric -> part ("train", "validation") -> `(num_epochs,)`, or
            `(num_epochs, runs)` for a batch of runs.
        state_sha256: hash of the complete state after the last step, optimizer included.
        best_epochs: the epoch of `params`, counted from 1; `(runs,)` for a batch of runs.
    """

    params: Any
    extra: Any
    history: dict[str, dict[str, np.ndarray]]
    state_sha256: str
    best_epochs: np.ndarray


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


def train(
    directory: RunDirectory,
    learner: Learner,
    states: TrainState,
    data: Batch,
    *,
    batches: Any,
    options: TrainOptions,
    evaluate: Evaluate | None = None,
    hooks: Any = (),
) -> TrainResult:
    """Train with progress, metrics and checkpoints, from the beginning or the newest checkpoint.

    However often the run is interrupted, once resumed it ends bitwise identical: batches and
    random numbers are functions of the key and the step, one compiled program takes pieces of an
    epoch of any length, and a checkpoint holds the complete state.

    Args:
        directory: where metrics and checkpoints are written; checkpoints in it are continued.
        learner: the learner.
        states: the initial state, or a batch of states with a leading axis `(runs, ...)`, as of
            `jax.vmap(learner.init)(keys)`.
        data: the training data, `(examples, ...)` each.
        batches: batch size.
        options: number of epochs, early stopping, checkpoints.
        evaluate: `evaluate(params, extra) -> metrics` on validation data, called after each epoch
            with the evaluation parameters and the extra state of `states`; for a batch of runs
            both have the leading axis, and so do the metrics, `(runs,)`. It is not compiled here:
            wrap it in `jax.jit`. With early stopping, `loss` is among the metrics.
        data_axis: 0 where each run has its own data, stacked along a new first axis.

    Returns:
        Parameters, extra state, history and hash.

    Raises:
        FloatingPointError: a loss or parameters that are not finite; names epoch, step and run.
        Interrupted: after Ctrl-C or SIGTERM, once a checkpoint is saved.
        ValueError: checkpoints that do not fit the learner, or are all corrupt; early stopping
            without a validation loss.

    >>> import tempfile, jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     options = {"config": {}, "data_sha256": params_sha256(data)}
    ...     with RunDirectory.open(f"{folder}/run", name="example", **options) as directory:
    ...         state = learner.init(jax.random.key(0))
    ...         result = train(
    ...             directory, learner, state, data, batches=5, options=TrainOptions(num_epochs=2)
    ...         )  # doctest: +ELLIPSIS
    epoch 1/2 ...
    >>> result.history["loss"]["train"].shape, int(result.best_epochs)
    ((2,), 2)
    """
    run = _Run(directory, learner, states, data, batches, options, evaluate, hooks)
    run.restore()
    try:
        with deferred_interruption() as interruption:
            run.train(interruption)
    finally:
        run.events.close()
    return run.result()


def start_states(
    learner_of: Callable[[Callable[[jax.Array], Params]], Learner],
    keys: jax.Array,
    starts: Params,
) -> TrainState:
    """Initial states of runs that start from given parameters.

    Args:
        learner_of: from an initializer `init(key) -> params` to a learner.
        keys: one key for each run, `(runs,)`.
        starts: their parameters, with a leading axis `(runs, ...)`.

    Returns:
        A batch of states.

    >>> import jaxnet as jn, optax
    >>> network = jn.dense(2, 1)
    >>> def learner_of(init):
    ...     return jn.gradient_learner(init, jn.regression(network), optax.sgd(0.1))
    >>> starts = {"kernel": jnp.ones((3, 2, 1)), "bias": jnp.zeros((3, 1))}
    >>> states = start_states(learner_of, jax.random.split(jax.random.key(0), 3), starts)
    >>> states.params["kernel"].shape, states.step.shape
    ((3, 2, 1), (3,))
    """

    def state(key: jax.Array, start: Params) -> TrainState:
        return learner_of(lambda _: start).init(key)

    return jax.jit(jax.vmap(state))(keys, starts)


@dataclasses.dataclass
class _Pace:
    """Number of steps in a piece, from the time that the last piece took."""

    num_steps: int = 1

    def measure(self, num_steps: int, seconds: float) -> None:
        self.num_steps = max(1, int(num_steps * _SECONDS_OF_A_PIECE / max(seconds, 1e-6)))


class _Run:
    def __init__(
        self,
        directory: RunDirectory,
        learner: Learner,
        states: TrainState,
        data: Batch,
        batches: Any,
        options: TrainOptions,
        evaluate: Evaluate | None,
        hooks: Any,
    ) -> None:
        self._options = options
        self._directory = directory
        self._evaluate = evaluate or (lambda params, extra: {})
        if isinstance(batches, int):
            batches = training.shuffled(batches)
        self._batching: dict[str, Any] = {"batches": batches}
        data = jax.tree.map(jnp.asarray, data)
        self._advance = functools.partial(training.advance, learner, data=data, hooks=hooks, **self._batching)
        self._checkpoints = Checkpoints(directory.path / "checkpoints")
        metrics = training.begin_epoch(learner, states, data, **self._batching)
        self._length = metrics["loss"].shape[-1]
        self._runs = states.step.shape
        best, evaluated = None, _evaluated(states)
        if options.patience is not None:
            best = jax.jit(_over_runs(training.init_best, self._runs))(evaluated)
        parts = {
            "train": jax.eval_shape(training.mean_metrics, metrics),
            # Not only traced: it may compute on the host.
            "validation": jax.tree.map(np.asarray, self._evaluate(*evaluated)),
        }
        if options.patience is not None and "loss" not in parts["validation"]:
            raise ValueError(
                f"patience {options.patience} needs the validation loss: give evaluate, which "
                f"returns 'loss', found {sorted(parts['validation'])}"
            )
        self._shapes = {
            part: {name: (leaf.shape, leaf.dtype) for name, leaf in leaves.items()}
            for part, leaves in parts.items()
        }
        self._state = RunState(states, metrics, self._empty_history(1), best)
        self._step = self._saved = 0
        self._last_save = time.monotonic()
        self.events = EventWriter(directory.path, enabled=options.tensorboard)

    def restore(self) -> None:
        """Continue from the newest good checkpoint, if there is one."""
        if self._directory.resumed:
            try:
                restored = self._checkpoints.restore(like=self._at)
            except CheckpointError as error:
                raise ValueError(f"resume: {error}") from error
            if restored is not None:
                for reason in restored.refused:
                    print(f"warning: {reason}; an older one is used", file=sys.stderr)
                self._state = restored.state
                self._step = self._saved = restored.step
            print(f"resuming at step {self._step}", flush=True)
        done = self._step // self._length
        self._directory.write_log([self._record(epoch) for epoch in range(1, done + 1)])
        self.events.open(done)

    def train(self, interruption: Deferred) -> None:
        """Train up to the last epoch, the end of patience, or a signal."""
        pace = _Pace()
        examples = int(np.prod(self._runs)) * 1
        with Progress(
            self._options.num_epochs, self._length, examples, start=self._step
        ) as progress:
            while not self._is_done():
                if interruption.signal_number is not None:
                    self._save()
                    raise Interrupted(
                        interruption.signal_number,
                        f"interrupted at step {self._step}",
                        self._directory.run_path,
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

    def result(self) -> TrainResult:
        """The result, a function of the content of a checkpoint."""
        num_epochs = self._step // self._length
        history: dict[str, dict[str, np.ndarray]] = {}
        for part, curves in self._state.history.items():
            for name, curve in curves.items():
                history.setdefault(name, {})[part] = np.asarray(curve)[:num_epochs]
        best = self._state.best
        if best is None:
            params, extra = _evaluated(self._state.states)
            epochs = np.full(self._runs, num_epochs)
        else:
            (params, extra), epochs = best.params, np.asarray(best.epoch)
        return TrainResult(params, extra, history, params_sha256(self._state), epochs)

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
        losses = np.asarray(metrics["loss"])[..., offset : offset + num_steps]
        losses = losses.reshape(-1, num_steps)
        finite = np.isfinite(losses)
        if not finite.all():
            index = int(np.argmin(finite.all(axis=0)))
            run = int(np.argmin(finite[:, index]))
            self._diverged("loss", run, losses[run, index], self._step + index + 1)
        self._state = self._state._replace(states=states, metrics=metrics)
        self._step += num_steps

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
        parts = jax.device_get(
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
            loss = jnp.asarray(validation["loss"])
            best = _keep_best(best, evaluated, loss, epoch, self._options.patience)
        self._state = self._state._replace(history=history, best=best)
        self._directory.log(self._record(epoch))
        self.events.write(epoch, parts)
        return parts

    def _record(self, epoch: int) -> dict[str, Any]:
        parts = {
            part: {name: curve[epoch - 1] for name, curve in curves.items()}
            for part, curves in self._state.history.items()
        }
        return metrics_record(epoch, epoch * self._length, parts)

    def _is_done(self) -> bool:
        epoch, offset = divmod(self._step, self._length)
        if offset or epoch == 0:
            return False
        if epoch >= self._options.num_epochs:
            return True
        best, patience = self._state.best, self._options.patience
        if best is None or patience is None:
            return False
        return bool(jnp.all(training.out_of_patience(best, epoch, patience=patience)))

    def _is_due(self) -> bool:
        every = self._options.checkpoint_every
        if every is None:
            return time.monotonic() - self._last_save >= _SECONDS_BETWEEN_CHECKPOINTS
        return every > 0 and self._step % every == 0

    def _save(self) -> None:
        """Save a checkpoint, unless the parameters are not finite."""
        if self._step == self._saved:
            return
        finite = np.ravel(_are_finite(self._state.states))
        if not finite.all():
            run = int(np.argmin(finite))
            self._diverged("parameters", run, "infinite or nan", self._step)
        loss = self._state.history["validation"].get("loss")
        epoch, offset = divmod(self._step, self._length)
        metric = None if loss is None or offset else float(np.mean(loss[epoch - 1]))
        self._checkpoints.save(self._step, self._state, metric=metric)
        self._saved, self._last_save = self._step, time.monotonic()


def _over_runs(function: Callable[..., Any], runs: tuple[int, ...]) -> Callable[..., Any]:
    """The function mapped over the leading axes of a batch of runs."""
    for _ in runs:
        function = jax.vmap(function)
    return function


@jax.jit
def _evaluated(states: TrainState) -> tuple[Params, Any]:
    """Evaluation parameters and extra state."""
    params = _over_runs(training.evaluation_params, states.step.shape)(states)
    return params, getattr(states, "extra", ())


@functools.partial(jax.jit, static_argnames="patience")
def _keep_best(
    best: training.Best, evaluated: Any, losses: jax.Array, epoch: int | jax.Array, patience: int
) -> training.Best:
    def keep(best: training.Best, evaluated: Any, loss: jax.Array) -> training.Best:
        return training.keep_best(best, evaluated, loss, epoch, patience=patience)

    return _over_runs(keep, best.epoch.shape)(best, evaluated, losses)


@jax.jit
def _are_finite(states: TrainState) -> jax.Array:
    def finite(params: Params) -> jax.Array:
        leaves = [
            leaf for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.inexact)
        ]
        return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]))

    return _over_runs(finite, states.step.shape)(states.params)
