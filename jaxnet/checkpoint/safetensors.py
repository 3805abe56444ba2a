"""Parameters as `safetensors` files, which other tools read.

A name in the file is the path of the leaf, joined by dots: `dense_0.kernel`. The file's metadata
hold a SHA-256 over all leaves, verified when it is read; files of other tools have none.
"""

import json
import os
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
from jaxtyping import PyTree, Shaped
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as serialize

from jaxnet.checkpoint.atomic import flush, remove, temporary_name, tidy, unwritable
from jaxnet.checkpoint.errors import CheckpointError, CorruptCheckpointError
from jaxnet.checkpoint.leaves import (
    Leaf,
    describe,
    differences,
    from_numpy,
    params_sha256,
    summarize,
    to_numpy,
    unavailable,
)
from jaxnet.typing import Params

_SHA256 = "jaxnet.sha256"
# The library itself writes all of these, and reads only those that NumPy has.
_DTYPES = {
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


def export_params(path: str | os.PathLike[str], params: PyTree[Any]) -> None:
    """Write parameters to a file; one of that name is replaced once the new one is whole.

    Args:
        path: the file, by custom `*.safetensors`.
        params: nested dicts of arrays, such as `state.params`.

    Raises:
        TypeError: a leaf that is no array of numbers; it is named.
        ValueError: two leaves of one name, or a type that the format lacks.
        OSError: it cannot be written.

    >>> import tempfile, jaxnet as jn
    >>> params = jn.mlp([2, 3]).init(jax.random.key(0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_params(f"{folder}/mlp.safetensors", params)
    ...     again = import_params(f"{folder}/mlp.safetensors", like=params)
    >>> params_sha256(again) == params_sha256(params)
    True
    """
    path = Path(path).absolute()
    supported = {dtype.name for dtype in _DTYPES.values()}
    arrays = {}
    for leaf, values in _named(params):
        if leaf.dtype not in supported:
            raise ValueError(
                f"params: leaf {leaf.path} is {leaf.dtype}, which safetensors lacks; "
                "use jaxnet.checkpoint.save"
            )
        arrays[leaf.path] = to_numpy(values)
    content = serialize(arrays, metadata={_SHA256: params_sha256(arrays)})
    tidy(path.parent)
    temporary = temporary_name(path)
    try:
        temporary.write_bytes(content)
        flush(temporary)
        # A file, unlike a folder, is replaced in one step.
        os.replace(temporary, path)
        flush(path.parent)
    except OSError as error:
        raise unwritable("file", path, error) from error
    finally:
        remove(temporary)


def import_params(path: str | os.PathLike[str], *, like: Params) -> Params:
    """Read parameters from a file, into the structure of others.

    Args:
        path: the file; from another tool it may hold the names in any order.
        like: parameters of the same names, shapes and dtypes; arrays or `jax.ShapeDtypeStruct`.

    Returns:
        The parameters: NumPy arrays where `like` has such, JAX arrays elsewhere.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptCheckpointError: it is no whole file, or not the one that was written.
        CheckpointError: it holds other names, shapes or dtypes; they are named.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_params(f"{folder}/a.safetensors", {"layer": {"bias": np.ones(2)}})
    ...     import_params(f"{folder}/a.safetensors", like={"layer": {"bias": np.zeros(2)}})
    {'layer': {'bias': array([1., 1.])}}
    """
    wanted = _named(like)
    if not Path(path).is_file():
        raise FileNotFoundError(f"path: there is no file {path}")
    arrays, sha256 = _read(Path(path))
    # The file holds names in an order of its own.
    found = {name: Leaf(name, array.shape, array.dtype.name) for name, array in arrays.items()}
    expected = [leaf for leaf, _ in wanted]
    ordered = [found.pop(leaf.path) for leaf in expected if leaf.path in found]
    if lines := differences(expected, [*ordered, *found.values()]):
        raise CheckpointError(
            f"{path} does not fit: {summarize(lines)}; import into parameters of its network"
        )
    if lines := unavailable(like):
        raise CheckpointError(
            f"{path} cannot be read exactly: {summarize(lines)}; set jax_enable_x64"
        )
    if sha256 is not None and sha256 != params_sha256(arrays):
        raise CorruptCheckpointError(
            f"{path} is corrupt: its arrays have SHA-256 {params_sha256(arrays)}, expected {sha256}"
        )
    values = [from_numpy(arrays[leaf.path], model) for leaf, model in wanted]
    return jax.tree.unflatten(jax.tree.structure(like), values)


def _read(path: Path) -> tuple[dict[str, Shaped[np.ndarray, "..."]], str | None]:
    """The arrays of a file by their names, and the SHA-256 that it claims, if it does."""
    content = path.read_bytes()
    try:
        parts = deserialize(content)
        # The library has found it whole: eight bytes of length, and then a header of JSON.
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, ValueError, RecursionError) as error:
        raise CorruptCheckpointError(f"{path} is no whole safetensors file ({error})") from error
    arrays = {}
    for name, part in parts:
        if part["dtype"] not in _DTYPES:
            raise CheckpointError(
                f"{path} does not fit: leaf {name} has type {part['dtype']}, "
                f"expected one of {', '.join(_DTYPES)}"
            )
        values = np.frombuffer(bytearray(part["data"]), _DTYPES[part["dtype"]])
        arrays[name] = values.reshape(part["shape"])
    return arrays, metadata.get(_SHA256)


def _named(params: PyTree[Any]) -> list[tuple[Leaf, Any]]:
    """Every leaf with its path joined by dots."""
    named = {}
    for leaf, (path, values) in zip(
        describe(params), jax.tree_util.tree_leaves_with_path(params), strict=True
    ):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if name in named:
            raise ValueError(f"params: more than one leaf would be called {name}")
        if name == "__metadata__":
            raise ValueError(f"params: no leaf can be called {name} in a safetensors file")
        named[name] = (leaf._replace(path=name), values)
    return list(named.values())
