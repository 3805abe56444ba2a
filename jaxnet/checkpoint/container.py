"""Named arrays in one file of the safetensors format, written and read array by array.

The format (https://github.com/huggingface/safetensors): eight bytes with the length of the header,
little-endian; a header of JSON with name, type, shape and byte range of every array; the bytes of
the arrays without gaps. The header is a function of names, types and shapes. A reader that knows
these compares the header with the expected bytes and never interprets what a file claims.

Types that the format lacks are stored as unsigned integers of the same size, complex128 as pairs
of float64.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from typing import NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Shaped, UInt8

# Types of the format by the names that it has for them.
DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "I8": np.dtype(np.int8),
    "I16": np.dtype(np.int16),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
    "U8": np.dtype(np.uint8),
    "U16": np.dtype(np.uint16),
    "U32": np.dtype(np.uint32),
    "U64": np.dtype(np.uint64),
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "C64": np.dtype(np.complex64),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Spec(NamedTuple):
    """Name, type and shape of an array in a file.

    Attributes:
        name: its name; no two arrays of a file have the same.
        dtype: its type.
        shape: its shape.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Size of the array in the file, in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def file_order(specs: Sequence[Spec]) -> list[int]:
    """Indices of the arrays in the order of the file: larger elements first, so all are aligned.

    >>> file_order([Spec("a", np.dtype("int8"), (3,)), Spec("b", np.dtype("float32"), (2,))])
    [1, 0]
    """
    return sorted(range(len(specs)), key=lambda index: -specs[index].dtype.itemsize)


def header(specs: Sequence[Spec], metadata: Mapping[str, str] | None = None) -> bytes:
    """All bytes of a file before the arrays.

    >>> header([Spec("a", np.dtype("int8"), (3,))])[8:].decode()
    '{"a":{"dtype":"I8","shape":[3],"data_offsets":[0,3]}}   '
    """
    content: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    start = 0
    for index in file_order(specs):
        spec = specs[index]
        name, shape = _stored(spec)
        end = start + spec.num_bytes
        content[spec.name] = {"dtype": name, "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def raw_bytes(array: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, " num_bytes"]:
    """The bytes of a contiguous array, without a copy.

    >>> raw_bytes(np.array([1, 2], np.int16)).tolist()
    [1, 0, 2, 0]
    """
    return array.reshape(-1).view(np.uint8)


def read_arrays(file: BufferedReader, specs: Sequence[Spec]) -> Iterator[tuple[int, np.ndarray]]:
    """Read a file that holds exactly these arrays.

    Args:
        file: the file, opened to read bytes.
        specs: names, types and shapes of all arrays.

    Yields:
        Index in `specs` and array, in the order of the file.

    Raises:
        ValueError: the file has another size or another header; no array has been read.
    """
    expected = header(specs)
    num_bytes = len(expected) + sum(spec.num_bytes for spec in specs)
    # Compared before any memory is allocated.
    if os.fstat(file.fileno()).st_size != num_bytes or file.read(len(expected)) != expected:
        raise ValueError("the file of the arrays holds other arrays than its index says")
    for index in file_order(specs):
        array = np.empty(specs[index].shape, specs[index].dtype)
        if file.readinto(raw_bytes(array).data) != array.nbytes:
            raise ValueError(f"array {specs[index].name} is truncated")
        yield index, array


def read_array(
    file: BufferedReader, specs: Sequence[Spec], number: int
) -> Shaped[np.ndarray, "..."]:
    """Read one array of a file that holds exactly these arrays.

    Args:
        file: the file, opened to read bytes.
        specs: names, types and shapes of all arrays.
        number: index of the array.

    Returns:
        The array.

    Raises:
        ValueError: the file has another size or another header, or is truncated.
    """
    expected = header(specs)
    num_bytes = len(expected) + sum(spec.num_bytes for spec in specs)
    if os.fstat(file.fileno()).st_size != num_bytes or file.read(len(expected)) != expected:
        raise ValueError("the file of the arrays holds other arrays than its index says")
    before = file_order(specs)
    before = before[: before.index(number)]
    file.seek(len(expected) + sum(specs[index].num_bytes for index in before))
    array = np.empty(specs[number].shape, specs[number].dtype)
    if file.readinto(raw_bytes(array).data) != array.nbytes:
        raise ValueError(f"array {specs[number].name} is truncated")
    return array


def _stored(spec: Spec) -> tuple[str, list[int]]:
    """Type and shape as the header states them."""
    if spec.dtype in _NAMES:
        return _NAMES[spec.dtype], list(spec.shape)
    if spec.dtype == np.complex128:
        return "F64", [*spec.shape, 2]
    return _NAMES[np.dtype(f"u{spec.dtype.itemsize}")], list(spec.shape)
