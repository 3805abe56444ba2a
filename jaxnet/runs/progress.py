"""Progress of a run: a live bar on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Any

import numpy as np
import rich.console
import rich.progress

_SECONDS_BETWEEN_LINES = 2.0
_SECONDS_INSIDE_AN_EPOCH = 30.0


class Progress:
    """Shows epoch, time left, examples per second and the current metrics, as means over seeds.

    Args:
        num_epochs: epochs of the run.
        steps_per_epoch: steps of each.
        examples_per_step: examples of one step, over all networks.
        start: steps that were taken before, by a run that is resumed.
    """

    def __init__(
        self, num_epochs: int, steps_per_epoch: int, examples_per_step: int, *, start: int = 0
    ) -> None:
        self._num_epochs = num_epochs
        self._length = steps_per_epoch
        self._examples_per_step = examples_per_step
        self._metrics = ""
        self._console = rich.console.Console(highlight=False, soft_wrap=True)
        self._bar = rich.progress.Progress(
            rich.progress.BarColumn(bar_width=24),
            rich.progress.TextColumn("{task.description}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        total = num_epochs * steps_per_epoch
        self._task = self._bar.add_task("compiling ...", total=total, completed=start)
        self._last_line = time.monotonic()
        # The first report waits for the compiler, and says nothing about those to come.
        self._first: tuple[int, float] | None = None
        # Where the epoch began, so that its rate counts all that belongs to it.
        self._epoch: tuple[int, float] = (start, self._last_line)

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def step(self, step: int) -> None:
        """Report that a step inside an epoch has been taken; steps count from the beginning."""
        self._show(step, _SECONDS_INSIDE_AN_EPOCH)

    def epoch(self, step: int, record: dict[str, dict[str, Any]]) -> None:
        """Report the end of an epoch: part -> metric -> one value for each seed."""
        self._metrics = "".join(
            f"  {part} {name} {np.mean(values):.4g}"
            for part, metrics in record.items()
            for name, values in metrics.items()
        )
        at_an_end = step in (self._length, self._length * self._num_epochs)
        self._show(step, 0.0 if at_an_end else _SECONDS_BETWEEN_LINES)
        self._epoch = (step, time.monotonic())

    def _show(self, step: int, seconds_between_lines: float) -> None:
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
        line = f"{where}  {_duration(left)} left  {rate:,.0f} examples/s{self._metrics}"
        self._bar.update(self._task, completed=step, description=line)
        if not self._console.is_terminal and now - self._last_line >= seconds_between_lines:
            self._console.print(line)
            self._last_line = now


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
