"""The record of a training: its options, and the numbers of epochs of the phases before.

A finished training can be continued for more epochs, which is a new phase. `training.json` holds
the number of epochs of the current phase, and those of the earlier ones.
"""

import dataclasses
from typing import Any

from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.records import json_values, read_json
from jaxnet.training import HostData

_FILE = "training.json"


class TrainingRecord:
    """The record of the training in a directory, which is compared with the current options.

    Args:
        directory: the run directory, or that of a stage.
        num_epochs: epochs of the training.
        options: what else decides the result and must not change: batches, keys, patience.

    Attributes:
        exists: whether a training in the directory is continued.
        phases: epochs of the earlier phases, in order.

    Raises:
        ValueError: other options than those of the training in the directory.
    """

    def __init__(self, directory: RunDirectory, num_epochs: int, options: dict[str, Any]) -> None:
        self._directory = directory
        self._num_epochs = num_epochs
        self._options = json_values(options)
        self.exists = directory.resumed and (directory.path / _FILE).exists()
        recorded = read_json(directory.path / _FILE) if self.exists else {}
        self.phases: tuple[int, ...] = tuple(recorded.get("phases", ()))
        self._recorded_epochs = int(recorded.get("num_epochs", num_epochs))
        if not self.exists:
            self._write()
            return
        for name, value in self._options.items():
            if recorded.get(name) != value:
                raise ValueError(
                    f"{name}: the training in {directory.path} has {recorded.get(name)}, found "
                    f"{value}; give the options of that training, or name another directory"
                )

    def extend(self, *, is_done: Any) -> None:
        """Begin a new phase where the number of epochs has grown.

        Args:
            is_done: from a number of epochs to whether the training has reached it.

        Raises:
            ValueError: fewer epochs, or more before the current phase is finished.
        """
        before, now = self._recorded_epochs, self._num_epochs
        if before == now:
            return
        if now < before or not is_done(before):
            advice = (
                "give at least that number"
                if now < before
                else f"finish it with {before} epochs first, then continue it"
            )
            raise ValueError(
                f"num_epochs: the training in {self._directory.path} has {before} epochs, found "
                f"{now}; {advice}"
            )
        self.phases = (*self.phases, before)
        # A run with a summary is a finished one.
        (self._directory.run_path / "summary.json").unlink(missing_ok=True)
        self._write()
        print(f"continuing the finished training from epoch {before} to {now}", flush=True)

    def _write(self) -> None:
        content = {"num_epochs": self._num_epochs, "phases": list(self.phases)} | self._options
        self._directory.write_json(_FILE, content)


def describe_batches(batches: Any) -> str:
    """A source of batches as text, the same in each process.

    Args:
        batches: a batch size, a source of batches, or a `HostData`.

    Returns:
        Its `repr` where that is a function of its values, else the name of its type.

    >>> describe_batches(64)
    '64'
    """
    if isinstance(batches, HostData):
        described = f", {batches.description}" if batches.description else ""
        return f"HostData(steps_per_epoch={batches.steps_per_epoch}{described})"
    if isinstance(batches, int) or dataclasses.is_dataclass(batches):
        return repr(batches)
    return type(batches).__qualname__
