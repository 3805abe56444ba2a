"""Progress of a run: a live bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np

_SECONDS_BETWEEN_LINES = 2.0
_SECONDS_INSIDE_AN_EPOCH = 30.0


class Progress:
    """Shows the epoch, the time left, examples per second and the metrics, as means over runs.

    The bar needs the package rich (extra `runs`); without it, lines are printed on terminals too.

    Args:
        num_epochs: epochs of the run.
        steps_per_epoch: steps of each.
        examples_per_step: examples of one step, over all runs of a batch; None shows the rate in
            steps.
        start: steps that were taken before, by a run that is resumed.
        is_shown: False shows nothing, such as on other processes than the first.

    >>> with Progress(1, 10, 64) as progress:
    ...     progress.epoch(10, {"train": {"loss": np.array(0.5)}})  # doctest: +ELLIPSIS
    epoch 1/1  0:00:00 left  ... examples/s  train loss 0.5
    """

    def __init__(
        self,
        num_epochs: int,
        steps_per_epoch: int,
        examples_per_step: int | None = None,
        *,
        start: int = 0,
        is_shown: bool = True,
    ) -> None:
        self._is_shown = is_shown
        self._num_epochs = num_epochs
        self._length = steps_per_epoch
        self._examples_per_step = examples_per_step or 1
        self._unit = "examples" if examples_per_step else "steps"
        self._metrics = ""
        self._bar = (
            _bar(num_epochs * steps_per_epoch, start) if is_shown and sys.stdout.isatty() else None
        )
        self._last_line = time.monotonic()
        # The first report includes compilation, and predicts nothing about later ones.
        self._first: tuple[int, float] | None = None
        # Where the epoch began, so that its rate counts all that belongs to it.
        self._epoch: tuple[int, float] = (start, self._last_line)

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, step: int) -> None:
        """Report that a step inside an epoch has been taken.

        Args:
            step: steps taken since the beginning of the run.
        """
        self._show(step, _SECONDS_INSIDE_AN_EPOCH)

    def epoch(self, step: int, record: Mapping[str, Mapping[str, Any]]) -> None:
        """Report the end of an epoch.

        Args:
            step: steps taken since the beginning of the run.
            record: part -> metric -> a scalar, or one value for each run `(runs,)`.
        """
        self._metrics = "".join(
            f"  {part} {name} {np.mean(values):.4g}"
            for part, metrics in record.items()
            for name, values in metrics.items()
        )
        at_an_end = step in (self._length, self._length * self._num_epochs)
        self._show(step, 0.0 if at_an_end else _SECONDS_BETWEEN_LINES)
        self._epoch = (step, time.monotonic())

    def _show(self, step: int, seconds_between_lines: float) -> None:
        if not self._is_shown:
            return
        now = time.monotonic()
        first_step, first_time = self._first or self._epoch
        steps_left = self._num_epochs * self._length - step
        left = (now - first_time) / max(step - first_step, 1) * steps_left
        epoch_step, epoch_time = max(self._epoch, self._first or self._epoch)
        rate = (step - epoch_step) * self._examples_per_step / max(now - epoch_time, 1e-9)
        self._first = self._first or (step, now)
        epoch, offset = divmod(step, self._length)
        where = f"epoch {epoch + (offset > 0)}/{self._num_epochs}"
        where += f", step {offset}/{self._length}" if offset else ""
        line = f"{where}  {_duration(left)} left  {rate:,.0f} {self._unit}/s{self._metrics}"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, description=line)
        elif now - self._last_line >= seconds_between_lines:
            print(line, flush=True)
            self._last_line = now


def _bar(total: int, start: int) -> Any:
    """A progress bar, or None without rich or on a terminal that cannot show it."""
    try:
        import rich.console
        import rich.progress
    except ImportError:
        return None
    console = rich.console.Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        return None
    bar = rich.progress.Progress(
        rich.progress.BarColumn(bar_width=24),
        rich.progress.TextColumn("{task.description}"),
        console=console,
    )
    bar.add_task("compiling ...", total=total, completed=start)
    return bar


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
