"""Event files for TensorBoard, by the package tensorboardX."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np


def require_tensorboard() -> None:
    """Raise unless event files can be written.

    Raises:
        ValueError: tensorboardX is not installed.
    """
    if importlib.util.find_spec("tensorboardX") is None:
        raise ValueError(
            "tensorboard needs the package tensorboardX, which is not installed; "
            "run: pip install 'functional-jaxnet[tensorboard]'"
        )


class EventWriter:
    """Writes the metrics of each epoch, as mean and standard deviation over the runs.

    Args:
        path: the run directory; the files go to `tensorboard/` in it.
        enabled: whether anything is written at all.
    """

    def __init__(self, path: Path, *, enabled: bool) -> None:
        self._folder = path / "tensorboard"
        self._enabled = enabled
        self._writer: Any = None

    def open(self, epoch: int) -> None:
        """Begin; what an interrupted run wrote of epochs after this one is hidden.

        Args:
            epoch: the last epoch that is done.
        """
        if self._enabled:
            import tensorboardX

            self._writer = tensorboardX.SummaryWriter(
                str(self._folder), purge_step=epoch + 1 if epoch else None
            )

    def write(self, epoch: int, parts: dict[str, dict[str, np.ndarray]]) -> None:
        """Write the metrics of an epoch: part -> metric -> a scalar, or one value for each run."""
        if self._writer is None:
            return
        for part, metrics in parts.items():
            for name, values in metrics.items():
                self._writer.add_scalar(f"{name}/{part}", np.mean(values), epoch)
                if np.size(values) > 1:
                    self._writer.add_scalar(f"{name}/{part} (std)", np.std(values, ddof=1), epoch)
        self._writer.flush()

    def close(self) -> None:
        """Finish the files."""
        if self._writer is not None:
            self._writer.close()
