"""Parameters that other programs trained: renamed, transposed, all of them or some."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from jaxnet._checks import require_sizes
from jaxnet.typing import Params

Source = str | tuple[str, Callable[[np.ndarray], Any]] | None

# Leaf of jaxnet and Flax -> its names in PyTorch.
_TORCH = {
    "kernel": ("weight",),
    "scale": ("weight",),
    "embedding": ("weight",),
    "mean": ("running_mean",),
    "var": ("running_var",),
}
# PyTorch counts batches; nothing in JAX does.
_UNUSED = "num_batches_tracked"


def from_state_dict(
    state_dict: Mapping[str, Any] | str | os.PathLike[str],
    like: Params,
    names: Mapping[str, Source] | None = None,
    *,
    partial: bool = False,
) -> Params:
    """Parameters of a network from arrays with other names, such as a PyTorch state dict.

    A tensor `weight` of PyTorch becomes a `kernel` with its axes in the order of JAX: `(out, in)`
    to `(in, out)`, and `(out, in, height, width)` to `(height, width, in, out)`. An array that is
    called `kernel` keeps its axes. `weight` is also `scale` and `embedding`, `running_mean` and
    `running_var` are `mean` and `var`.

    Args:
        state_dict: name -> array, such as `module.state_dict()`; or a safetensors file.
        like: parameters of the same names and shapes as the result: arrays or, if `partial` is
            False, `jax.ShapeDtypeStruct`; also the pair `(params, extra)` of a `StatefulNetwork`.
        names: path in `like`, of a part or a leaf, joined by dots -> name in `state_dict`, of a
            module or a tensor: `{"dense_0": "encoder.fc1"}`. The longest path counts. A pair
            `(name, function)` gives the array to a function instead of the rule above, as for the
            first dense layer after `flatten`: `channels_last`. None keeps what `like` holds.
            Paths that are left out have the same names on both sides.
        partial: whether parameters without an array keep what `like` holds, and arrays without a
            parameter are left out. Shapes are checked in any case.

    Returns:
        The parameters, JAX arrays in the dtypes of `like`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file that is not complete; paths or names that do not exist; shapes that
            differ; parameters without an array, arrays without a parameter; all are named.

    >>> state_dict = {"fc.weight": np.ones((3, 2)), "fc.bias": np.zeros(3)}
    >>> like = {"dense_0": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}}
    >>> params = from_state_dict(state_dict, like, {"dense_0": "fc"})
    >>> params["dense_0"]["kernel"].shape
    (2, 3)
    """
    arrays = _read(state_dict) if isinstance(state_dict, (str, os.PathLike)) else dict(state_dict)
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    leaves = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in paths}
    names = dict(names or {})
    _require_names(names, leaves, arrays)
    problems, values, used = [], [], set()
    for path, leaf in leaves.items():
        name, convert = _find(path, names, arrays)
        if name is None:
            if not partial and not _is_kept(path, names):
                problems.append(f"{path} {leaf.shape} has no array")
            elif isinstance(leaf, jax.ShapeDtypeStruct):
                problems.append(f"{path} would keep its value, and `like` holds its shape alone")
            values.append(leaf)
            continue
        used.add(name)
        array = np.asarray(convert(np.asarray(arrays[name])))
        if array.shape != leaf.shape:
            problems.append(
                f"{path} has shape {leaf.shape}, and {name} {np.shape(arrays[name])}"
                + ("" if array.shape == np.shape(arrays[name]) else f", converted {array.shape}")
            )
        elif not np.can_cast(array.dtype, leaf.dtype, "same_kind"):
            problems.append(f"{path} is {leaf.dtype}, and {name} {array.dtype}")
        values.append(array)
    if not partial:
        left = (name for name in arrays if name not in used and not name.endswith(_UNUSED))
        problems += [f"{name} {np.shape(arrays[name])} has no parameter" for name in left]
    if not used:
        problems.append(f"no parameter has an array; the names are {_some(arrays)}")
    if problems:
        raise ValueError(
            f"from_state_dict: {_some(problems, '; ')}. Map names by names={{path: name}}, leave "
            "parameters as they are by names={path: None}, or pass partial=True"
        )
    pairs = zip(values, leaves.values(), strict=True)
    return jax.tree.unflatten(structure, [jnp.asarray(value, leaf.dtype) for value, leaf in pairs])


def channels_last(shape: Sequence[int]) -> Callable[[np.ndarray], Shaped[np.ndarray, "..."]]:
    """For `from_state_dict`: the first dense kernel after `flatten`, from a PyTorch weight.

    PyTorch flattens an image in the order channels, height, width, and jaxnet in the order height,
    width, channels: the same features in another order.

    Args:
        shape: height, width and channels of the image that is flattened.

    Returns:
        A function from a weight `(out, channels * height * width)` to a kernel
        `(height * width * channels, out)`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: other sizes than three of at least 1; (of the function) another shape.

    >>> weight = np.arange(4.0).reshape(1, 4)  # one output, two channels of 1x2 pixels
    >>> channels_last((1, 2, 2))(weight).ravel().tolist()
    [0.0, 2.0, 1.0, 3.0]
    """
    height, width, channels = require_sizes(
        "channels_last", "shape", shape, "be height, width and channels", length=3
    )

    def convert(weight: np.ndarray) -> Shaped[np.ndarray, "..."]:
        if weight.ndim != 2 or weight.shape[1] != channels * height * width:
            raise ValueError(
                f"channels_last: the weight has shape {weight.shape}, expected (out, "
                f"{channels * height * width}) for images of {(height, width, channels)}"
            )
        images = weight.reshape(-1, channels, height, width)
        return images.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])

    return convert


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"state_dict: there is no file {path}")
    # Only files need it.
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"state_dict: {path} is not a complete safetensors file ({error})"
        ) from error


def _require_names(
    names: Mapping[str, Source], leaves: Mapping[str, Any], arrays: Mapping[str, Any]
) -> None:
    """Raise for paths that no parameter has and names that no array has."""
    for path, source in names.items():
        name = source[0] if isinstance(source, tuple) else source
        for kind, wanted, known in (("like", path, leaves), ("state_dict", name, arrays)):
            if wanted is not None and not any(_is_below(each, wanted) for each in known):
                raise ValueError(
                    f"from_state_dict: names has {wanted!r}, which {kind} does not have; it has "
                    f"{_some(known)}"
                )


def _find(
    path: str, names: Mapping[str, Source], arrays: Mapping[str, Any]
) -> tuple[str | None, Callable[[np.ndarray], Any]]:
    """The name of the array of a parameter, if there is one, and how it is converted."""
    prefix = _prefix(path, names)
    source = names.get(prefix, prefix)
    if source is None:
        return None, _identity
    name, convert = source if isinstance(source, tuple) else (source, None)
    rest = path[len(prefix) :].lstrip(".")
    module = f"{name}.{rest}".strip(".")
    parent, _, leaf = module.rpartition(".")
    candidates = [module] if rest or name in arrays else []
    candidates += [f"{parent}.{other}".strip(".") for other in _TORCH.get(leaf, ())]
    for candidate in candidates:
        if candidate in arrays:
            is_kernel = path.rpartition(".")[2] == "kernel" and candidate.endswith("weight")
            return candidate, convert or (_to_kernel if is_kernel else _identity)
    return None, _identity


def _prefix(path: str, names: Mapping[str, Source]) -> str:
    """The longest path of `names` that a parameter is below, or "" for none."""
    return max((each for each in names if _is_below(path, each)), key=len, default="")


def _is_below(path: str, prefix: str) -> bool:
    return prefix in ("", path) or path.startswith(f"{prefix}.")


def _is_kept(path: str, names: Mapping[str, Source]) -> bool:
    return names.get(_prefix(path, names), "") is None


def _to_kernel(weight: np.ndarray) -> Shaped[np.ndarray, "..."]:
    # Outputs and inputs are the first two axes in PyTorch, and the last two in JAX.
    return np.moveaxis(weight, (1, 0), (-2, -1)) if weight.ndim > 1 else weight


def _identity(array: np.ndarray) -> Shaped[np.ndarray, "..."]:
    return array


def _some(items: Any, separator: str = ", ") -> str:
    items = [str(item) for item in items]
    more = f" and {len(items) - 8} more" if len(items) > 8 else ""
    return separator.join(items[:8]) + more
