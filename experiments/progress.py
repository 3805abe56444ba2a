"""Progress of a run: a live bar on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Any

import numpy as np
import rich.console
import rich.progress

_SECONDS_BETWEEN_LINES = 2.0


class Progress:
    """Shows epoch, time left, examples per second and the current metrics, as means over seeds.

    Args:
        num_epochs: epochs of the run.
        num_examples: examples of one epoch, over all networks.
    """

    def __init__(self, num_epochs: int, num_examples: int) -> None:
        self._num_epochs = num_epochs
        self._num_examples = num_examples
        self._console = rich.console.Console(highlight=False, soft_wrap=True)
        self._bar = rich.progress.Progress(
            rich.progress.BarColumn(bar_width=24),
            rich.progress.TextColumn("{task.description}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("compiling ...", total=num_epochs)
        self._start = self._last_line = self._last_epoch = time.monotonic()
        self._first_seconds = 0.0

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

    def update(self, epoch: int, record: dict[str, dict[str, Any]]) -> None:
        """Report an epoch: part -> metric -> one value for each seed."""
        now = time.monotonic()
        if epoch == 1:
            # The first epoch waits for the compiler and says nothing about the others.
            self._first_seconds = now - self._start
        seconds = (now - self._start - self._first_seconds) / max(epoch - 1, 1)
        left = (self._num_epochs - epoch) * (seconds or self._first_seconds)
        rate = self._num_examples / (now - self._last_epoch)
        self._last_epoch = now
        shown = [
            f"{part} {name} {np.mean(values):.4g}"
            for part, metrics in record.items()
            for name, values in metrics.items()
        ]
        line = (
            f"epoch {epoch}/{self._num_epochs}  {_duration(left)} left  "
            f"{rate:,.0f} examples/s  {'  '.join(shown)}"
        )
        self._bar.update(self._task, completed=epoch, description=line)
        last = epoch in (1, self._num_epochs)
        due = last or now - self._last_line >= _SECONDS_BETWEEN_LINES
        if not self._console.is_terminal and due:
            self._console.print(line)
            self._last_line = now


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
