"""The arrays of an NPZ file as columns. Nothing is unpickled.

`numpy.load` would trust the shape in a header, whose array may be larger than memory.
"""

import io
import math
from collections.abc import Collection
from pathlib import Path

import numpy as np

from experiments.data.tables.zip_archive import read_members

_KINDS = "biufU"  # Boolean, signed and unsigned integers, floats, text


def read_npz(
    path: Path, *, max_bytes: int, ignore: Collection[str] = ()
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read the columns of an NPZ file.

    An array `(n,)` is a column under its own name, as is `(n, 1)` unless it is called `x`; an array
    `x` of the shape `(n, k)` gives the columns `x_0` to `x_{k-1}`.

    Args:
        path: the file.
        max_bytes: the largest sum of the sizes that the arrays declare.
        ignore: columns or arrays that are left out; these may have any type and shape.

    Returns:
        Arrays `(n,)` of numbers, Booleans or text by column name, and the names of all columns and
        arrays.

    Raises:
        ValueError: `read_members` rejects the archive; an array has the type object or another that
            is not a column, a header that does not fit the size of its data, or not one or two
            axes; arrays have different lengths, or two columns have one name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.npz")
    ...     np.savez(path, x=np.ones((3, 2)), y=np.arange(3))
    ...     columns, names = read_npz(path, max_bytes=10_000, ignore=["x_0"])
    >>> list(columns), names
    (['x_1', 'y'], ['x', 'y', 'x_0', 'x_1'])
    """
    members = read_members(path, max_bytes=max_bytes, suffix=".npy")
    names = [member.removesuffix(".npy") for member in members]
    arrays = {
        name: parse_npy(name, content)
        for name, content in zip(names, members.values(), strict=True)
        if name not in ignore
    }
    columns: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if array.ndim == 1:
            new = {name: array}
        elif array.ndim == 2 and array.shape[1] == 1 and name != "x":
            # Labels as Keras and MedMNIST write them.
            new = {name: array[:, 0]}
        elif array.ndim == 2:
            new = {f"{name}_{i}": array[:, i] for i in range(array.shape[1])}
        else:
            raise ValueError(
                f"array {name!r} has shape {array.shape}, expected (n,) or (n, k): one row for "
                "each example (images are read from x, x_train or train_images, but "
                f"not by a regression); reshape it, or leave it out with --ignore {name}"
            )
        if repeated := sorted(columns.keys() & new.keys()):
            raise ValueError(f"two arrays give the column {repeated[0]!r}; rename one of them")
        columns |= new
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{name!r} {len(array)}" for name, array in arrays.items())
        raise ValueError(
            f"the arrays differ in length: {lengths}; each needs one row for each example, leave "
            "out others with --ignore NAME"
        )
    names = list(dict.fromkeys([*names, *columns]))
    return {name: columns[name] for name in columns if name not in ignore}, names


def parse_npy(name: str, content: bytes) -> np.ndarray:
    """The array of a file in the NPY format, whose header must fit the content.

    Args:
        name: the name of the array, for messages.
        content: the uncompressed file.

    Returns:
        The array, of the type that was stored.

    Raises:
        ValueError: the format is another, the type is not that of a column of a table, or there are
            fewer or more bytes than the shape needs.

    >>> file = io.BytesIO()
    >>> np.save(file, np.arange(3))
    >>> parse_npy("a", file.getvalue()).tolist()
    [0, 1, 2]
    """
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        # Later versions differ only for types with named fields, which are rejected.
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"version {version} of the format")
    except Exception as error:  # Also SyntaxError, TypeError, struct.error: the header is text.
        raise ValueError(
            f"array {name!r} has a header that cannot be read ({error}); save it with numpy.savez"
        ) from error
    if dtype.kind not in _KINDS:
        raise ValueError(
            f"array {name!r} has the type {dtype}, expected numbers, Booleans or text"
            f"{' (objects are not unpickled)' if dtype.hasobject else ''}; convert it, for "
            f"example by {name}.astype(float) or {name}.astype(str), or leave it out with "
            f"--ignore {name}"
        )
    num_bytes = len(content) - file.tell()
    needed = math.prod(shape) * dtype.itemsize
    if min(shape, default=1) < 0 or needed != num_bytes:
        raise ValueError(
            f"array {name!r} declares the shape {shape} of {dtype}, {needed} bytes, and holds "
            f"{num_bytes}; save it again with numpy.savez"
        )
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)
