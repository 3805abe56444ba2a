"""One checkpoint: a file of arrays, and hashes that guard every byte.

A checkpoint is a directory:

    arrays.safetensors  the leaves by their paths
    checkpoint.json     path, shape, dtype and SHA-256 of every leaf
    SHA256SUMS          SHA-256 of every other file (`sha256sum --check` reads it)

It is written under a temporary name and renamed when it is complete, so a directory under its final
name is complete. Restoring verifies first the files, then the structure against `like`, then every
leaf.
"""

import os
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import PyTree, Shaped

from jaxnet._files import atomic_directory, reserve, tidy
from jaxnet._global_arrays import is_key
from jaxnet.checkpoint.container import Spec, file_order, header, raw_bytes, read_arrays
from jaxnet.checkpoint.errors import CheckpointError, unwritable
from jaxnet.checkpoint.index import (
    Entry,
    Index,
    corrupt_if_unreadable,
    open_regular,
    read_index,
    verify_files,
    write_index,
)
from jaxnet.checkpoint.leaves import (
    containers,
    describe,
    differences,
    first_repeated,
    from_numpy,
    leaf_sha256,
    numpy_dtype,
    require_whole,
    summarize,
    to_numpy,
    unavailable,
)
from jaxnet.checkpoint.shards import Pieces, shards_sha256

ARRAYS = "arrays.safetensors"

State = TypeVar("State", bound=PyTree[Any])


def save(path: str | os.PathLike[str], state: PyTree[Any]) -> None:
    """Write a pytree of arrays, all of it or nothing.

    In a program of several processes arrays must be replicated; call it on process 0, or with
    another path on each. All processes call `restore`, also for what they wrote together
    (`jaxnet.checkpoint.BackgroundSaver`).

    Args:
        path: the directory to make; its parent must exist.
        state: a pytree of arrays of any shapes; typed PRNG keys are arrays.

    Raises:
        TypeError: a leaf is not an array of numbers; it is named.
        ValueError: two leaves have the same path; a leaf is sharded over several processes.
        FileExistsError: the path exists.
        OSError: it cannot be written; nothing of it remains.

    >>> import tempfile
    >>> state = {"weights": jax.numpy.arange(3.0), "key": jax.random.key(0)}
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     save(f"{directory}/first", state)
    ...     restored = restore(f"{directory}/first", like=state)
    >>> restored["weights"].tolist(), bool(restored["key"] == state["key"])
    ([0.0, 1.0, 2.0], True)
    """
    path = Path(path).absolute()
    if os.path.lexists(path):
        raise FileExistsError(f"path: {path} exists already; give the checkpoint another name")
    write(path, state)


def restore(path: str | os.PathLike[str], *, like: State) -> State:
    """Read a checkpoint into a pytree that equals `like` in structure, shapes and dtypes.

    Args:
        path: a directory that `save` made.
        like: a pytree of arrays, or of `jax.ShapeDtypeStruct`. A NumPy array is restored as a NumPy
            array, everything else as a JAX array on the devices of the array in `like`. Whatever
            a pytree has besides arrays, such as a static field, is taken from `like`.

    Returns:
        The state, bitwise identical to the one that was saved.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        CorruptCheckpointError: a byte differs from what was saved, or is missing.
        CheckpointError: another structure, shape or dtype, where leaves are named; another format.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     save(f"{directory}/first", {"bias": np.zeros(2)})
    ...     try:
    ...         restore(f"{directory}/first", like={"bias": np.zeros(3)})
    ...     except ValueError as error:
    ...         print(str(error).partition("does not fit: ")[2])
    leaf ['bias']: expected float64 (3,), found float64 (2,); restore with the network and the optimizer that it was saved with
    """  # noqa: E501
    path = Path(path).absolute()
    index = _verified_index(path)
    found = [*(entry.leaf for entry in index.entries), *index.containers]
    if lines := differences([*describe(like), *containers(like)], found):
        raise CheckpointError(
            f"checkpoint {path} does not fit: {summarize(lines)}; "
            "restore with the network and the optimizer that it was saved with"
        )
    if lines := unavailable(like):
        raise CheckpointError(
            f"checkpoint {path} cannot be restored exactly: {summarize(lines)}; "
            "set jax_enable_x64, as it was when it was saved"
        )
    models, treedef = jax.tree.flatten(like)
    values = _read_values(path, index)
    with corrupt_if_unreadable(path):
        for entry, array, model in zip(index.entries, values, models, strict=True):
            if array.shape != _values_shape(model):
                raise ValueError(f"leaf {entry.leaf.path} has keys of another size")
        # Here the parts are read that the devices of this process need.
        restored = [
            from_numpy(array, model, weak_type=entry.weak_type)
            for entry, array, model in zip(index.entries, values, models, strict=True)
        ]
    return jax.tree.unflatten(treedef, restored)


def read(path: str | os.PathLike[str]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read the arrays of a checkpoint by name, where its structure or shapes are not known.

    Args:
        path: a directory that `save` made.

    Returns:
        For the path of every leaf, as JAX writes it (`jax.tree_util.keystr`), its values, bitwise
        identical to those that were saved; for typed PRNG keys their data (`jax.random.key_data`).

    Raises:
        FileNotFoundError: there is no such checkpoint.
        CorruptCheckpointError: a byte differs from what was saved, or is missing.
        CheckpointError: another format.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     save(f"{directory}/first", {"bias": np.zeros(2), "step": np.int32(3)})
    ...     read(f"{directory}/first")
    {"['bias']": array([0., 0.]), "['step']": array(3, dtype=int32)}
    """
    path = Path(path).absolute()
    index = _verified_index(path)
    values = _read_values(path, index)
    with corrupt_if_unreadable(path):
        return {
            entry.leaf.path: array if isinstance(array, np.ndarray) else array[...]
            for entry, array in zip(index.entries, values, strict=True)
        }


def write(
    path: Path, state: PyTree[Any], *, metric: float | None = None, replace: bool = False
) -> None:
    """Write a checkpoint as `save` does, with a metric, and optionally in place of another one.

    Args:
        path: the directory to make; its parent must exist.
        state: a pytree of arrays.
        metric: a number to store with it.
        replace: whether a checkpoint of that name is replaced.

    Raises:
        TypeError: a leaf is not an array of numbers; it is named.
        ValueError: two leaves have the same path.
        OSError: it cannot be written; nothing of it remains, and one of that name is unchanged.
    """
    require_whole("save", state)
    described, leaves = describe(state), jax.tree.leaves(state)
    specs = [
        Spec(leaf.path, numpy_dtype(leaf.dtype), _values_shape(values))
        for leaf, values in zip(described, leaves, strict=True)
    ]
    if (repeated := first_repeated([spec.name for spec in specs])) is not None:
        raise ValueError(f"state: two leaves have the path {repeated}; give their nodes other keys")
    prefix = header(specs)
    entries: dict[int, Entry] = {}
    try:
        with atomic_directory(path, replace=replace) as temporary:
            with open(temporary / ARRAYS, "wb") as file:
                reserve(file, len(prefix) + sum(spec.num_bytes for spec in specs))
                file.write(prefix)
                # The leaves are copied from their devices one after the other.
                for number in file_order(specs):
                    leaf, array = described[number], to_numpy(leaves[number])
                    file.write(raw_bytes(array).data)
                    entries[number] = Entry(
                        leaf,
                        array.shape[len(leaf.shape) :],
                        bool(getattr(leaves[number], "weak_type", False)),
                        leaf_sha256(leaf, array),
                    )
            ordered = [entries[number] for number in range(len(leaves))]
            write_index(temporary, Index(ordered, containers(state), metric))
    except OSError as error:
        raise unwritable("checkpoint", path, error) from error


def _verified_index(path: Path) -> Index:
    """The index of a checkpoint whose files are all as they were saved."""
    tidy(path.parent)
    if not path.is_dir():
        raise FileNotFoundError(f"path: there is no checkpoint {path}")
    verify_files(path)
    return read_index(path)


def _read_values(path: Path, index: Index) -> list[Any]:
    """The values of the leaves in their order, each verified by its hash.

    Leaves in parts are `Pieces`, which read and verify what they are asked for.
    """
    values: dict[int, Any] = {}
    with corrupt_if_unreadable(path):
        for number, entry in enumerate(index.entries):
            if entry.shards:
                if shards_sha256(entry.shards) != entry.sha256:
                    raise ValueError(f"leaf {entry.leaf.path} has other parts than were saved")
                values[number] = Pieces(path, index.entries, number)
        whole = [number for number in range(len(index.entries)) if number not in values]
        specs = [
            Spec(entry.leaf.path, numpy_dtype(entry.leaf.dtype), entry.leaf.shape + entry.key_shape)
            for entry in (index.entries[number] for number in whole)
        ]
        with open_regular(path / ARRAYS) as file:
            for position, array in read_arrays(file, specs):
                entry = index.entries[whole[position]]
                if leaf_sha256(entry.leaf, array) != entry.sha256:
                    raise ValueError(f"leaf {entry.leaf.path} is not what was saved")
                values[whole[position]] = array
    return [values[number] for number in range(len(index.entries))]


def _values_shape(leaf: Any) -> tuple[int, ...]:
    """Shape of what `to_numpy` gives for a leaf."""
    return jax.eval_shape(jax.random.key_data, leaf).shape if is_key(leaf) else tuple(leaf.shape)
