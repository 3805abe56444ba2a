"""Named arrays in a folder, by Orbax: the only file that knows it."""

import contextlib
import glob
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import Shaped

_Shapes = Mapping[str, tuple[tuple[int, ...], np.dtype]]


def write_arrays(folder: Path, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> None:
    """Make a folder that holds arrays.

    Args:
        folder: the folder to make.
        arrays: at least one; none without elements, which Orbax refuses.

    Raises:
        Exception: of many types, where it cannot be written.
    """
    stored = {name: array.view(_stored(array.dtype)) for name, array in arrays.items()}
    with _plain(folder) as plain, _checkpointer() as checkpointer:
        checkpointer.save(plain, args=ocp.args.PyTreeSave(stored))
        # Orbax has been seen to write what it cannot read, and to say so in its log only.
        _check(checkpointer, plain, {name: (a.shape, a.dtype) for name, a in stored.items()})


def read_arrays(folder: Path, like: _Shapes) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read the arrays of a folder.

    Args:
        folder: a folder that `write_arrays` made.
        like: shape and dtype of each.

    Raises:
        ValueError: it holds other arrays.
        Exception: of many types, where it cannot be read.
    """
    expected = {name: (shape, _stored(dtype)) for name, (shape, dtype) in like.items()}
    with _plain(folder) as plain, _checkpointer() as checkpointer:
        # What a forged folder says of itself must not decide how much memory is asked for.
        _check(checkpointer, plain, expected)
        arrays = checkpointer.restore(plain, args=ocp.args.PyTreeRestore())
    return {name: np.asarray(arrays[name]).view(dtype) for name, (_, dtype) in like.items()}


def _check(checkpointer: ocp.Checkpointer, folder: Path, expected: _Shapes) -> None:
    metadata = checkpointer.metadata(folder).item_metadata
    if metadata is None:
        raise ValueError("Orbax finds no arrays")
    if {name: (tuple(a.shape), a.dtype) for name, a in metadata.tree.items()} != dict(expected):
        raise ValueError("other arrays than those of its index")


@contextlib.contextmanager
def _plain(folder: Path) -> Iterator[Path]:
    """The same folder by a path without patterns, for which Orbax would search."""
    if glob.escape(str(folder)) == str(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory() as elsewhere:
        link = Path(elsewhere, "folder")
        link.symlink_to(folder.parent, target_is_directory=True)
        yield link / folder.name


def _stored(dtype: np.dtype) -> np.dtype:
    """NumPy's own numbers are stored as they are, those that it was taught as their bits."""
    return dtype if dtype.isbuiltin == 1 else np.dtype(f"u{dtype.itemsize}")


def _checkpointer() -> ocp.Checkpointer:
    # Trained weights hardly compress, and compression takes longer than writing them.
    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_compression=False))
