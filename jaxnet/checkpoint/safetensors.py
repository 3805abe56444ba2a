"""Parameters as `safetensors` files, which other tools read.

A name in the file is the path of the leaf, joined by dots: `dense_0.kernel`. The metadata of the
file hold a SHA-256 of all leaves, which is verified when the file is read; files of other tools
have none.
"""

import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree, Shaped
from safetensors import SafetensorError, deserialize

from jaxnet._files import atomic_write, reserve
from jaxnet.checkpoint.container import DTYPES, Spec, file_order, header, raw_bytes
from jaxnet.checkpoint.errors import CheckpointError, CorruptCheckpointError, unwritable
from jaxnet.checkpoint.leaves import (
    Leaf,
    describe,
    differences,
    from_numpy,
    params_sha256,
    require_whole,
    summarize,
    to_numpy,
    unavailable,
)
from jaxnet.typing import Params

_SHA256 = "jaxnet.sha256"


def export_params(path: str | os.PathLike[str], params: PyTree[Any]) -> None:
    """Write parameters to a file; an existing one is replaced once the new one is complete.

    Args:
        path: the file, by convention `*.safetensors`.
        params: nested dicts of arrays of any shapes, such as `state.params`.

    Raises:
        TypeError: a leaf is not an array of numbers; it is named.
        ValueError: two leaves have the same name, a leaf has a type that the format lacks, or is
            sharded over several processes.
        OSError: it cannot be written; an existing file is unchanged.

    >>> import tempfile, jaxnet as jn
    >>> params = jn.mlp([2, 3]).init(jax.random.key(0))
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     export_params(f"{directory}/mlp.safetensors", params)
    ...     imported = import_params(f"{directory}/mlp.safetensors", like=params)
    >>> params_sha256(imported) == params_sha256(params)
    True
    """
    path = Path(path).absolute()
    require_whole("export_params", params)
    supported = {dtype.name for dtype in DTYPES.values()}
    arrays = {}
    for leaf, values in _named(params):
        if leaf.dtype not in supported:
            raise ValueError(
                f"params: leaf {leaf.path} is {leaf.dtype}, which safetensors lacks; "
                "use jaxnet.checkpoint.save"
            )
        arrays[leaf.path] = to_numpy(values)
    specs = [Spec(name, array.dtype, array.shape) for name, array in arrays.items()]
    prefix = header(specs, {_SHA256: params_sha256(arrays)})
    try:
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            reserve(file, len(prefix) + sum(spec.num_bytes for spec in specs))
            file.write(prefix)
            for number in file_order(specs):
                file.write(raw_bytes(arrays[specs[number].name]).data)
    except OSError as error:
        raise unwritable("file", path, error) from error


def import_params(path: str | os.PathLike[str], *, like: Params) -> Params:
    """Read parameters from a file into the structure of other parameters.

    Args:
        path: the file, also of another tool; it may hold the names in any order.
        like: parameters of the same names, shapes and dtypes; arrays or `jax.ShapeDtypeStruct`.

    Returns:
        The parameters: NumPy arrays where `like` has NumPy arrays, JAX arrays elsewhere.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptCheckpointError: the file is incomplete, or differs from what was written.
        CheckpointError: it holds other names, shapes or dtypes; they are named.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     export_params(f"{directory}/a.safetensors", {"layer": {"bias": np.ones(2)}})
    ...     import_params(f"{directory}/a.safetensors", like={"layer": {"bias": np.zeros(2)}})
    {'layer': {'bias': array([1., 1.])}}
    """
    models = _named(like)
    if not Path(path).is_file():
        raise FileNotFoundError(f"path: there is no file {path}")
    arrays, sha256 = _read(Path(path))
    # The order of the names in the file does not matter.
    found = {name: Leaf(name, array.shape, array.dtype.name) for name, array in arrays.items()}
    expected = [leaf for leaf, _ in models]
    ordered = [found.pop(leaf.path) for leaf in expected if leaf.path in found]
    if lines := differences(expected, [*ordered, *found.values()]):
        raise CheckpointError(
            f"{path} does not fit: {summarize(lines)}; import it into the parameters of its network"
        )
    if lines := unavailable(like):
        raise CheckpointError(
            f"{path} cannot be read exactly: {summarize(lines)}; set jax_enable_x64"
        )
    if sha256 is not None and sha256 != params_sha256(arrays):
        raise CorruptCheckpointError(
            f"{path} is corrupt: its arrays have SHA-256 {params_sha256(arrays)}, expected {sha256}"
        )
    values = [from_numpy(arrays[leaf.path], model) for leaf, model in models]
    return jax.tree.unflatten(jax.tree.structure(like), values)


def _read(path: Path) -> tuple[dict[str, Shaped[np.ndarray, "..."]], str | None]:
    """The arrays of a file by their names, and the SHA-256 that its metadata state, if any."""
    content = path.read_bytes()
    try:
        parts = deserialize(content)
        # The library has verified the layout: eight bytes of length, then a header of JSON.
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, ValueError, RecursionError) as error:
        raise CorruptCheckpointError(
            f"{path} is not a complete safetensors file ({error})"
        ) from error
    arrays = {}
    for name, part in parts:
        if part["dtype"] not in DTYPES:
            raise CheckpointError(
                f"{path} does not fit: leaf {name} has type {part['dtype']}, "
                f"expected one of {', '.join(DTYPES)}"
            )
        values = np.frombuffer(bytearray(part["data"]), DTYPES[part["dtype"]])
        arrays[name] = values.reshape(part["shape"])
    return arrays, metadata.get(_SHA256)


def _named(params: PyTree[Any]) -> list[tuple[Leaf, Any]]:
    """Every leaf with its path joined by dots.

    Raises:
        ValueError: two leaves have the same name, or one has a name that the format reserves.
    """
    named = {}
    for leaf, (path, values) in zip(
        describe(params), jax.tree_util.tree_leaves_with_path(params), strict=True
    ):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if name in named:
            raise ValueError(f"params: two leaves would be named {name}; rename one")
        if name == "__metadata__":
            raise ValueError(f"params: safetensors reserves the name {name} of a leaf; rename it")
        named[name] = (leaf._replace(path=name), values)
    return list(named.values())
