"""Checkpoints that several processes write together, also while they train on."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from jaxnet._files import atomic_directory
from jaxnet.checkpoint.container import Spec, file_order, header, raw_bytes
from jaxnet.checkpoint.directory import ARRAYS
from jaxnet.checkpoint.errors import unwritable
from jaxnet.checkpoint.index import Entry, Index, Shard, write_index
from jaxnet.checkpoint.leaves import Container, containers, leaf_sha256, numpy_dtype
from jaxnet.checkpoint.shards import Snapshot, shards_sha256, snapshot, write_parts
from jaxnet.hosts import Processes

_CHANNEL = "checkpoint"


class BackgroundSaver:
    """Saves one checkpoint after the other, in a thread beside the training.

    The state is copied to the host before `save` returns. A checkpoint has its name once all
    processes have written their parts, so one that a crash interrupts is not there.

    Args:
        processes: which write together; each has a saver, and the calls of all are the same.
    """

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def save(
        self,
        path: Path,
        state: PyTree[Any],
        *,
        metric: float | None = None,
        then: Callable[[], None],
    ) -> None:
        """Begin to save a state, once the checkpoint before is written.

        Args:
            path: the directory to make, the same on all processes; one there is replaced.
            state: a pytree of arrays, some of which may span the processes.
            metric: a number to store with it.
            then: what process 0 does once it is written, such as removing old ones.

        Raises:
            OSError: the checkpoint before could not be written.
            HostError: another process ended, or could not write its parts.
        """
        self.wait()
        copies, nodes = snapshot(state), containers(state)

        def work() -> None:
            try:
                write_together(path, copies, nodes, self._processes, metric=metric)
                if self._processes.is_first:
                    then()
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=work, name="jaxnet-checkpoint", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the last checkpoint is written.

        Raises:
            OSError: it could not be written.
            HostError: another process ended, or could not write its parts.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def check(self) -> None:
        """Raise the error of the last checkpoint, if there was one.

        Raises:
            OSError: it could not be written.
            HostError: another process ended, or could not write its parts.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error


def write_together(
    path: Path,
    copies: list[Snapshot],
    nodes: list[Container],
    processes: Processes,
    *,
    metric: float | None = None,
) -> None:
    """Write a checkpoint to which each process adds its parts; all call it.

    Args:
        path: the directory to make; one of this name is replaced.
        copies: of `jaxnet.checkpoint.shards.snapshot` on each process.
        nodes: the inner nodes of the state.
        processes: which write.
        metric: a number to store with it.

    Raises:
        OSError: it cannot be written; nothing has its name.
        HostError: another process ended, or could not write its parts.
    """

    def gather(name: str, value: Any) -> list[Any]:
        return processes.gather(name, value, channel=_CHANNEL)

    try:
        if not processes.is_first:
            directory = Path(gather("directory", None)[0])
            gather("parts", write_parts(directory, processes.index, copies))
            gather("written", None)
            return
        with atomic_directory(path, replace=True) as temporary:
            gather("directory", str(temporary))
            parts = gather("parts", write_parts(temporary, 0, copies))
            entries = _write_whole(temporary, copies)
            shards: dict[int, list[Shard]] = {}
            for file, described in enumerate(parts):
                for number, start, shape, sha256 in described:
                    shard = Shard(file, tuple(start), tuple(shape), sha256)
                    shards.setdefault(number, []).append(shard)
            for number, copy in enumerate(copies):
                if copy.values is None:
                    each = tuple(shards.get(number, ()))
                    rank = len(copy.leaf.shape)
                    key_shape = each[0].shape[rank:] if each else ()
                    entries[number] = Entry(
                        copy.leaf, key_shape, copy.weak_type, shards_sha256(each), each
                    )
            ordered = [entries[number] for number in range(len(copies))]
            write_index(temporary, Index(ordered, nodes, metric))
        gather("written", None)
    except OSError as error:
        raise unwritable("checkpoint", path, error) from error


def _write_whole(directory: Path, copies: list[Snapshot]) -> dict[int, Entry]:
    """Write the leaves that process 0 has whole."""
    values = {number: copy.values for number, copy in enumerate(copies) if copy.values is not None}
    whole = list(values)
    specs = [
        Spec(copies[number].leaf.path, numpy_dtype(copies[number].leaf.dtype), values[number].shape)
        for number in whole
    ]
    entries = {}
    with open(directory / ARRAYS, "wb") as file:
        file.write(header(specs))
        for position in file_order(specs):
            number = whole[position]
            copy, array = copies[number], values[number]
            file.write(raw_bytes(array).data)
            entries[number] = Entry(
                copy.leaf,
                array.shape[len(copy.leaf.shape) :],
                copy.weak_type,
                leaf_sha256(copy.leaf, array),
            )
    return entries
