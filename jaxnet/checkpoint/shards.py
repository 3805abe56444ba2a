"""Arrays that span processes in a checkpoint: each process writes its parts to a file of its own.

    shards-00000.safetensors  parts of the leaves on the devices of process 0
    shards-00001.safetensors  those of process 1, and so on
    arrays.safetensors        leaves that every process has whole
    checkpoint.json           where each part belongs, and its SHA-256

The parts of a leaf are put together again by what `like` asks for, whatever the number of processes
and devices: a process reads the parts that its own devices need.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree, Shaped

from jaxnet._files import flush, reserve
from jaxnet._global_arrays import is_spread
from jaxnet.checkpoint.container import Spec, file_order, header, raw_bytes, read_array
from jaxnet.checkpoint.index import Entry, Shard, open_regular
from jaxnet.checkpoint.leaves import Leaf, describe, leaf_sha256, numpy_dtype, to_numpy


class Part(NamedTuple):
    """A part of an array that this process has.

    Attributes:
        start: where it begins along each axis.
        values: its values.
    """

    start: tuple[int, ...]
    values: Shaped[np.ndarray, "..."]


class Snapshot(NamedTuple):
    """A leaf as it was at some moment, on the host.

    Attributes:
        leaf: its description.
        weak_type: whether it was weakly typed.
        values: its values, where this process has it whole; None elsewhere.
        parts: the parts of this process of a leaf that spans processes; each part of the leaf
            belongs to one process.
    """

    leaf: Leaf
    weak_type: bool
    values: Shaped[np.ndarray, "..."] | None
    parts: tuple[Part, ...]


def snapshot(state: PyTree[Any]) -> list[Snapshot]:
    """Copy the parts of a state that this process has to the host.

    Args:
        state: a pytree of arrays.

    Returns:
        A copy of each leaf, which later steps do not change.

    >>> [each.values.tolist() for each in snapshot({"bias": np.zeros(2)})]
    [[0.0, 0.0]]
    """
    copies = []
    for leaf, array in zip(describe(state), jax.tree.leaves(state), strict=True):
        weak_type = bool(getattr(array, "weak_type", False))
        if not is_spread(array):
            copies.append(Snapshot(leaf, weak_type, np.array(to_numpy(array)), ()))
            continue
        parts = tuple(
            # The index of an array of keys may go on into their data.
            Part(_start(each.index)[: len(leaf.shape)], np.array(to_numpy(each.data)))
            for each in array.addressable_shards
            if each.replica_id == 0
        )
        copies.append(Snapshot(leaf, weak_type, None, parts))
    return copies


def write_parts(directory: Path, process: int, copies: Sequence[Snapshot]) -> list[list[Any]]:
    """Write the parts of this process to its file.

    Args:
        directory: of the checkpoint.
        process: number of the process.
        copies: of `snapshot`.

    Returns:
        For each part `[number of the leaf, start, shape, SHA-256]`, as JSON holds it.

    Raises:
        OSError: it cannot be written.
    """
    described, arrays, specs = [], [], []
    for number, copy in enumerate(copies):
        for part in copy.parts:
            leaf = part_leaf(copy.leaf, part.start, part.values.shape)
            specs.append(Spec(leaf.path, part.values.dtype, part.values.shape))
            arrays.append(part.values)
            sha256 = leaf_sha256(leaf, part.values)
            described.append([number, list(part.start), list(part.values.shape), sha256])
    if not specs:
        return described
    prefix = header(specs)
    path = directory / file_name(process)
    with open(path, "wb") as file:
        reserve(file, len(prefix) + sum(spec.num_bytes for spec in specs))
        file.write(prefix)
        for number in file_order(specs):
            file.write(raw_bytes(arrays[number]).data)
    flush(path)
    return described


def file_name(process: int) -> str:
    """Name of the file of a process.

    >>> file_name(3)
    'shards-00003.safetensors'
    """
    return f"shards-{process:05d}.safetensors"


def part_leaf(leaf: Leaf, start: Sequence[int], shape: Sequence[int]) -> Leaf:
    """The description of a part of a leaf, of which its hash is a function.

    >>> part_leaf(Leaf("['x']", (4, 2), "float32"), (2, 0), (2, 2)).path
    "['x'] from (2, 0)"
    """
    return Leaf(f"{leaf.path} from {tuple(start)}", tuple(shape), leaf.dtype)


class Pieces:
    """An array of a checkpoint whose parts are read, and verified, when they are asked for.

    Args:
        path: the checkpoint.
        entries: all leaves of its index.
        number: which of them.

    Attributes:
        shape: shape of the values.
        dtype: type of the values.
    """

    def __init__(self, path: Path, entries: Sequence[Entry], number: int) -> None:
        self._path, self._entries, self._number = path, entries, number
        entry = entries[number]
        self.shape = entry.leaf.shape + entry.key_shape
        self.dtype = numpy_dtype(entry.leaf.dtype)

    def __getitem__(self, index: Any) -> Shaped[np.ndarray, "..."]:
        """The values in a box, `index` being a slice of each axis."""
        index = index if isinstance(index, tuple) else (index,)
        if index == (Ellipsis,):
            index = ()
        index += (slice(None),) * (len(self.shape) - len(index))
        bounds = [each.indices(length)[:2] for each, length in zip(index, self.shape, strict=True)]
        box = np.empty([stop - start for start, stop in bounds], self.dtype)
        num_filled = 0
        for shard in self._entries[self._number].shards:
            start = (*shard.start, *(0,) * (len(self.shape) - len(shard.start)))
            overlaps = [
                (max(low, begin), min(high, begin + length))
                for (low, high), begin, length in zip(bounds, start, shard.shape, strict=True)
            ]
            if any(low >= high for low, high in overlaps):
                continue
            part = self._read(shard)
            inner = tuple(
                slice(low - begin, high - begin)
                for (low, high), begin in zip(overlaps, start, strict=True)
            )
            outer = tuple(
                slice(low - first, high - first)
                for (low, high), (first, _) in zip(overlaps, bounds, strict=True)
            )
            box[outer] = part[inner]
            num_filled += math.prod(high - low for low, high in overlaps)
        if num_filled != box.size:
            raise ValueError(f"leaf {self._entries[self._number].leaf.path} has parts that miss")
        return box

    def _read(self, shard: Shard) -> Shaped[np.ndarray, "..."]:
        leaf = self._entries[self._number].leaf
        specs, number = [], -1
        for entry in self._entries:
            for each in entry.shards:
                if each.file == shard.file:
                    if each is shard:
                        number = len(specs)
                    name = part_leaf(entry.leaf, each.start, each.shape).path
                    specs.append(Spec(name, numpy_dtype(entry.leaf.dtype), each.shape))
        with open_regular(self._path / file_name(shard.file)) as file:
            part = read_array(file, specs, number)
        if leaf_sha256(part_leaf(leaf, shard.start, shard.shape), part) != shard.sha256:
            raise ValueError(f"leaf {leaf.path} from {shard.start} is not what was saved")
        return part


def shards_sha256(shards: Sequence[Shard]) -> str:
    """The hash of a leaf in parts, that of their descriptions.

    >>> shards_sha256([])[:8]
    '4f53cda1'
    """
    import hashlib

    return hashlib.sha256(json.dumps([list(each) for each in shards]).encode()).hexdigest()


def _start(index: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(each.start or 0 for each in index)
