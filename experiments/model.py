"""The trained networks of a run, with all that prediction needs, as two files of its directory.

`model.json` describes inputs and outputs; `model.safetensors` holds the arrays, which other tools
read too: `params.*` with a leading axis for the networks, and the standardization of inputs and
targets.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.calibration import Calibration
from experiments.data import Dataset, Standardization
from experiments.data.format import Format
from experiments.data.new_rows import format_content, restore_format
from jaxnet.checkpoint import export_params, import_params, params_sha256
from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.records import add_hash, read_hashed_json

_JSON, _ARRAYS = "model.json", "model.safetensors"
# Of the targets of a regression, which float32 might not tell apart.
_STANDARDIZATION = {"mean": np.zeros((), np.float64), "scale": np.zeros((), np.float64)}


@dataclasses.dataclass(frozen=True, eq=False)
class SavedModel:
    """Trained networks, and what their inputs and outputs are.

    Attributes:
        in_shape: shape of one example.
        class_names: the classes in the order of the outputs; empty for a regression.
        unit: unit of the number that a regression predicts.
        threshold: with two classes, the least probability of the second for which the decision is
            that class, as the mean over the networks.
        preprocessing: from the columns of a table, or another file, to inputs; None for images.
        inputs: standardization of the features, or of the channels of series.
        targets: standardization of the targets of a regression.
        params: evaluation parameters, `(networks, ...)`.
        calibration: scales the probabilities, and has the coverage of sets or intervals; or None.
    """

    in_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    unit: str
    threshold: float | None
    preprocessing: Format | None
    inputs: Standardization
    targets: Standardization | None
    params: Any
    calibration: Calibration | None = None

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        inputs: Standardization,
        params: Any,
        *,
        targets: Standardization | None = None,
        threshold: float | None = None,
        calibration: Calibration | None = None,
    ) -> SavedModel:
        """The model of a run on a data set; a named table gets the columns of its features."""
        preprocessing = dataset.preprocessing
        if preprocessing is None and dataset.feature_names:
            # Polars takes a quarter of a second to import, and images do not need it.
            from experiments.data.tables.preprocessing import Number, Preprocessing

            columns = tuple(Number(name) for name in dataset.feature_names)
            label = "class" if dataset.class_names else "target"
            preprocessing = Preprocessing(columns, label, dataset.class_names)
        return cls(
            dataset.in_shape,
            dataset.class_names,
            dataset.unit,
            threshold,
            preprocessing,
            inputs,
            targets,
            params,
            calibration,
        )


def save_model(directory: RunDirectory, model: SavedModel) -> None:
    """Write `model.json` and `model.safetensors`.

    Args:
        directory: the run directory.
        model: the networks.

    Raises:
        OSError: they cannot be written.
    """
    arrays = {"params": model.params, "inputs": model.inputs._asdict()}
    if model.targets is not None:
        targets = model.targets._asdict()
        arrays["targets"] = {name: np.float64(value) for name, value in targets.items()}
    if directory.is_writer:
        export_params(directory.path / _ARRAYS, arrays)
    content = {
        "in_shape": list(model.in_shape),
        "class_names": list(model.class_names),
        "unit": model.unit,
        "threshold": model.threshold,
        "has_targets": model.targets is not None,
        "preprocessing": format_content(model.preprocessing),
    }
    if model.calibration is not None:
        content["calibration"] = model.calibration.content()
    directory.write_json(_JSON, add_hash(content))


def stacked_shapes(init: Callable[[jax.Array], Any], num_networks: int) -> Any:
    """Shapes and dtypes of what `init(key)` returns, stacked for some networks.

    >>> stacked_shapes(lambda key: {"bias": np.zeros(3, np.float32)}, 2)
    {'bias': ShapeDtypeStruct(shape=(2, 3), dtype=float32)}
    """
    of_one = jax.eval_shape(lambda: init(jax.random.key(0)))
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((num_networks, *leaf.shape), leaf.dtype), of_one
    )


def load_model(path: Path, params: Any) -> SavedModel:
    """Read the model of a run.

    Args:
        path: the run directory.
        params: from the input shape and the number of classes to parameters of the same structure,
            shapes and dtypes (or `jax.ShapeDtypeStruct`), stacked.

    Raises:
        ValueError: no model there, or one that is damaged or was changed.
    """
    content = read_hashed_json(path / _JSON)
    try:
        in_shape = tuple(int(length) for length in content["in_shape"])
        class_names = tuple(str(name) for name in content["class_names"])
        threshold, unit = content["threshold"], str(content["unit"])
        threshold = None if threshold is None else float(threshold)
        fitted, has_targets = content["preprocessing"], bool(content["has_targets"])
        calibration = Calibration.of_content(content.get("calibration"), len(class_names))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path / _JSON} is damaged ({error!r}); run the experiment again") from (
            error
        )
    # Just above 1 is the threshold that no probability reaches.
    if threshold is not None and not (
        len(class_names) == 2 and 0 <= threshold <= math.nextafter(1, 2) + 1e-6
    ):
        raise ValueError(
            f"{path / _JSON} is damaged: threshold {threshold} for {len(class_names)} classes, "
            "expected a probability for two classes; run the experiment again"
        )
    preprocessing = restore_format(fitted)
    kind = getattr(preprocessing, "kind", None)
    if kind == "table" and in_shape != (len(preprocessing.feature_names),):
        raise ValueError(
            f"{path / _JSON} is damaged: in_shape {in_shape} and "
            f"{len(preprocessing.feature_names)} features; run the experiment again"
        )
    # The features of a table, or the channels of a series; images and tokens have one scale.
    scaled = () if kind in (None, "texts") else in_shape[-1:]
    per_feature = np.zeros(scaled, np.float32)
    like = {
        "params": params(in_shape, len(class_names)),
        "inputs": {"mean": per_feature, "scale": per_feature},
    }
    if has_targets:
        like["targets"] = _STANDARDIZATION
    arrays = import_params(path / _ARRAYS, like=like)
    targets = arrays.get("targets")
    return SavedModel(
        in_shape,
        class_names,
        unit,
        threshold,
        preprocessing,
        Standardization(**arrays["inputs"]),
        None if targets is None else Standardization(**targets),
        arrays["params"],
        calibration,
    )


def num_parameters(params: Any) -> int:
    """Number of parameters of one network.

    Args:
        params: parameters, `(networks, ...)`.

    >>> num_parameters({"kernel": np.zeros((5, 3, 2)), "bias": np.zeros((5, 2))})
    8
    """
    return sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(params))


def stacked_sha256(params: Any) -> list[str]:
    """Hash the parameters of each network.

    Args:
        params: parameters, `(networks, ...)`.

    Returns:
        `jaxnet.checkpoint.params_sha256` of each network.
    """
    params = jax.device_get(params)
    num_networks = len(jax.tree.leaves(params)[0])
    return [
        params_sha256(jax.tree.map(lambda leaf, index=index: leaf[index], params))
        for index in range(num_networks)
    ]
