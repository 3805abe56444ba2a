"""One checkpoint: Orbax writes the arrays, hashes guard every byte.

A checkpoint is a folder:

    arrays/          the leaves, as Orbax writes them, numbered in the order of the pytree
    checkpoint.json  path, shape, dtype and SHA-256 of every leaf
    SHA256SUMS       SHA-256 of every other file (`sha256sum --check` reads it)

It is written under a temporary name and renamed when it is whole, so a folder with its own name is
a whole one. Restoring verifies first the files, then the structure against `like`, then every leaf.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import PyTree, Shaped

from jaxnet.checkpoint.arrays import read_arrays, write_arrays
from jaxnet.checkpoint.atomic import (
    flush,
    publish,
    remove,
    require_space,
    temporary_name,
    tidy,
    unwritable,
)
from jaxnet.checkpoint.errors import CheckpointError
from jaxnet.checkpoint.index import (
    Entry,
    Index,
    corrupt_if_unreadable,
    read_index,
    verify_files,
    write_index,
)
from jaxnet.checkpoint.leaves import (
    containers,
    describe,
    differences,
    from_numpy,
    is_key,
    leaf_sha256,
    summarize,
    to_numpy,
    unavailable,
)

_ARRAYS = "arrays"
_DESCRIPTION_BYTES = 500

State = TypeVar("State", bound=PyTree[Any])


def save(path: str | os.PathLike[str], state: PyTree[Any]) -> None:
    """Write a pytree of arrays, all of it or nothing.

    Args:
        path: the folder to make; the folder that it lies in must exist.
        state: any pytree of arrays; typed PRNG keys are arrays.

    Raises:
        TypeError: a leaf that is no array of numbers; it is named.
        FileExistsError: the path exists already.
        OSError: it cannot be written; nothing is left of it.

    >>> import tempfile
    >>> state = {"weights": jax.numpy.arange(3.0), "key": jax.random.key(0)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/first", state)
    ...     restored = restore(f"{folder}/first", like=state)
    >>> restored["weights"].tolist(), bool(restored["key"] == state["key"])
    ([0.0, 1.0, 2.0], True)
    """
    path = Path(path).absolute()
    if os.path.lexists(path):
        raise FileExistsError(f"path: {path} exists already; a checkpoint needs a name of its own")
    write(path, state)


def restore(path: str | os.PathLike[str], *, like: State) -> State:
    """Read a checkpoint into a pytree that equals `like` in structure, shapes and dtypes.

    Args:
        path: the folder that `save` made.
        like: a pytree of arrays, or of `jax.ShapeDtypeStruct`; NumPy arrays are restored as such,
            all else as JAX arrays, on the devices that `like` was put on. What a pytree knows
            besides its arrays, such as a static field, is that of `like`.

    Returns:
        The state, bit for bit as it was saved.

    Raises:
        FileNotFoundError: nothing of that name.
        CorruptCheckpointError: a byte that was not saved, or one that is missing.
        CheckpointError: another structure, shape or dtype; the leaves are named.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/first", {"bias": np.zeros(2)})
    ...     try:
    ...         restore(f"{folder}/first", like={"bias": np.zeros(3)})
    ...     except ValueError as error:
    ...         print(str(error).partition("does not fit: ")[2])
    leaf ['bias']: expected float64 (3,), found float64 (2,); restore with the network and the optimizer that it was saved with
    """  # noqa: E501
    path = Path(path).absolute()
    tidy(path.parent)
    if not path.is_dir():
        raise FileNotFoundError(f"path: there is no checkpoint {path}")
    verify_files(path)
    index = read_index(path)
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
    values = _read_values(path, index.entries, models)
    restored = [
        from_numpy(array, model, weak_type=entry.weak_type)
        for array, model, entry in zip(values, models, index.entries, strict=True)
    ]
    return jax.tree.unflatten(treedef, restored)


def write(
    path: Path, state: PyTree[Any], *, metric: float | None = None, replace: bool = False
) -> None:
    """What `save` does, with a number to remember and leave to replace one of that name.

    Raises:
        TypeError: a leaf that is no array of numbers; it is named.
        OSError: it cannot be written; nothing is left of it, and one of that name is as it was.
    """
    described, leaves = describe(state), jax.tree.leaves(state)
    arrays = [to_numpy(leaf) for leaf in leaves]
    entries = [
        Entry(leaf, bool(getattr(values, "weak_type", False)), leaf_sha256(leaf, array))
        for leaf, values, array in zip(described, leaves, arrays, strict=True)
    ]
    index = Index(entries, containers(state), metric)
    named = {_name(number): array for number, array in enumerate(arrays) if array.size}
    tidy(path.parent)
    temporary = temporary_name(path)
    try:
        remove(temporary)
        temporary.mkdir()
        if named:
            require_space(temporary, _num_bytes(named.values()))
            write_arrays(temporary / _ARRAYS, named)
        write_index(temporary, index)
        for each in [*temporary.rglob("*"), temporary]:
            flush(each)
        publish(temporary, path, replace=replace)
    except Exception as error:
        raise unwritable("checkpoint", path, error) from error
    finally:
        remove(temporary)


def _num_bytes(arrays: Iterable[np.ndarray]) -> int:
    """About what the arrays take on disk: Orbax describes each, at some length."""
    return sum(array.nbytes + _DESCRIPTION_BYTES for array in arrays)


def _read_values(
    path: Path, entries: list[Entry], models: list[Any]
) -> list[Shaped[np.ndarray, "..."]]:
    """The leaves as they were saved, in their order."""
    described = [
        jax.eval_shape(jax.random.key_data, model) if is_key(model) else model for model in models
    ]
    shapes = [(tuple(each.shape), np.dtype(each.dtype)) for each in described]
    named = {_name(number): each for number, each in enumerate(shapes) if 0 not in each[0]}
    with corrupt_if_unreadable(path):
        arrays = read_arrays(path / _ARRAYS, named) if named else {}
        values = [
            arrays[_name(number)] if 0 not in shape else np.zeros(shape, dtype)
            for number, (shape, dtype) in enumerate(shapes)
        ]
        for entry, array in zip(entries, values, strict=True):
            if leaf_sha256(entry.leaf, array) != entry.sha256:
                raise ValueError(f"leaf {entry.leaf.path} is not what was saved")
    return values


def _name(number: int) -> str:
    return f"{number:05d}"
