"""Examples in .npy files, read by their place in the file."""

import io
import math
import os
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxnet.streams.source import Examples, Source, StreamError


class _Array:
    """One .npy file whose first axis counts the examples."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: io.FileIO | None = None
        self._end: Any = None
        self._lock = threading.Lock()
        with open(path, "rb") as file:
            try:
                version = np.lib.format.read_magic(file)
                read_header = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                shape, is_fortran, dtype = read_header(file)
            except (ValueError, KeyError) as error:
                raise StreamError(f"{path} is not a .npy file of numbers: {error}") from error
            self._start = file.tell()
        if dtype.hasobject or not (np.issubdtype(dtype, np.number) or dtype == np.bool_):
            raise StreamError(f"{path} holds values of dtype {dtype}, expected numbers")
        if not shape or (is_fortran and len(shape) > 1):
            found = "in the order of Fortran" if shape else "a single number"
            raise StreamError(
                f"{path} holds {found}; save an array whose first axis counts the examples, "
                "numpy.ascontiguousarray(array)"
            )
        self.length = int(next(iter(shape)))
        self.shape, self.dtype = shape[1:], dtype
        self._size = dtype.itemsize * math.prod(self.shape)
        size, needed = path.stat().st_size, self._start + self._size * self.length
        if size < needed:
            raise StreamError(
                f"{path} is cut off: it has {size} bytes, and its {self.length} examples take "
                f"{needed}"
            )

    def read(self, indices: Int[np.ndarray, " n"]) -> np.ndarray:
        out = np.empty((len(indices), *self.shape), self.dtype)
        # In the order of the file.
        for row in np.argsort(indices, kind="stable"):
            self._read_at(int(indices[row]), out[row : row + 1])
        return out

    def read_range(self, start: int, stop: int) -> np.ndarray:
        out = np.empty((stop - start, *self.shape), self.dtype)
        self._read_at(start, out)
        return out

    def _read_at(self, start: int, out: np.ndarray) -> None:
        if not out.nbytes:
            return
        file = self._open()
        view, offset = out.reshape(-1).view(np.uint8).data, self._start + start * self._size
        while view.nbytes:
            if hasattr(os, "preadv"):
                number = os.preadv(file.fileno(), [view], offset)
            else:
                with self._lock:
                    file.seek(offset)
                    number = file.readinto(view) or 0
            if not number:
                last = (offset - self._start) // max(1, self._size)
                raise StreamError(f"{self.path} ends at example {last} of {self.length}")
            view, offset = view[number:], offset + number

    def _open(self) -> io.FileIO:
        with self._lock:
            if self._file is None:
                self._file = io.FileIO(self.path)
                self._end = weakref.finalize(self, self._file.close)
            return self._file

    def close(self) -> None:
        with self._lock:
            self._file = None
            if self._end is not None:
                self._end()


class _NpySource(Source):
    def __init__(self, arrays: dict[str, _Array]) -> None:
        self._arrays = arrays

    def __len__(self) -> int:
        return next(iter(self._arrays.values())).length

    def read(self, indices: Int[np.ndarray, " n"]) -> Examples:
        return {name: array.read(indices) for name, array in self._arrays.items()}

    def read_range(self, start: int, stop: int) -> Examples:
        return {name: array.read_range(start, stop) for name, array in self._arrays.items()}

    def close(self) -> None:
        for array in self._arrays.values():
            array.close()


def npy_source(files: str | Path | Mapping[str, Any]) -> Source:
    """Examples in .npy files of any size, as `numpy.save` and `numpy.lib.format.open_memmap` write.

    Only what is asked for is read, and nothing is mapped into memory or unpickled.

    Args:
        files: a folder whose files `NAME.npy` are the entries `NAME` of the examples; or a dict
            of names and paths.

    Returns:
        The source, without blocks: any examples can be read alone. On a disk, and for small
        examples, `index_shuffled(..., blocks=)` reads long pieces, which is many times as fast.

    Raises:
        StreamError: no files, a file that is cut off or holds no numbers, lengths that differ.
        FileNotFoundError: there is no such file or folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/x.npy", np.arange(12).reshape(6, 2))
    ...     source = npy_source(folder)
    ...     source.read(np.array([4, 0]))["x"].tolist()
    [[8, 9], [0, 1]]
    """
    if isinstance(files, Mapping):
        paths = {str(name): Path(path) for name, path in files.items()}
    else:
        folder = Path(files)
        if not folder.is_dir():
            raise FileNotFoundError(f"npy_source: there is no folder {folder}")
        paths = {path.stem: path for path in sorted(folder.glob("*.npy"))}
    if not paths:
        raise StreamError(f"npy_source: {files} holds no .npy files")
    arrays = {name: _Array(path) for name, path in paths.items()}
    lengths = {name: array.length for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        raise StreamError(
            "npy_source: files must hold the same number of examples, at least one, found "
            f"{lengths}"
        )
    return _NpySource(arrays)
