"""The networks of a run that recommend, and the data that they need, as files."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.data.interactions import Interactions
from jaxnet.checkpoint import export_params, import_params
from jaxnet.runs import RunDirectory, read_hashed_json
from jaxnet.runs.records import add_hash

_PARAMS, _DATA, _JSON = "model.safetensors", "interactions.safetensors", "model.json"


def save(directory: RunDirectory, interactions: Interactions, params: Any) -> None:
    """Write `model.json`, `interactions.safetensors` and, where something is trained, the networks.

    Args:
        directory: the run directory.
        interactions: the data of the run, all of them.
        params: of the networks that are trained on all data, stacked.

    Raises:
        OSError: they cannot be written.
    """
    ratings = interactions.ratings
    if directory.is_writer:
        arrays = {"pairs": interactions.pairs} | ({} if ratings is None else {"ratings": ratings})
        export_params(directory.path / _DATA, arrays)
        if jax.tree.leaves(params):
            export_params(directory.path / _PARAMS, {"params": params})
    content = {
        "name": interactions.name,
        "num_interactions": len(interactions.pairs),
        "has_ratings": ratings is not None,
        "users": list(interactions.users),
        "items": list(interactions.items),
        "titles": list(interactions.titles),
    }
    directory.write_json(_JSON, add_hash(content))


def load_interactions(path: Path) -> Interactions:
    """The data of a run, without times.

    Args:
        path: the run directory.

    Raises:
        ValueError: no model there, or one that is damaged or was changed.
    """
    content = read_hashed_json(path / _JSON)
    try:
        num_rows, has_ratings = int(content["num_interactions"]), bool(content["has_ratings"])
        name = str(content["name"])
        users, items, titles = (
            tuple(map(str, content[key])) for key in ("users", "items", "titles")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path / _JSON} is damaged ({error!r}); run the experiment again"
        ) from error
    like: dict[str, np.ndarray] = {"pairs": np.zeros((num_rows, 2), np.int32)}
    if has_ratings:
        like["ratings"] = np.zeros(num_rows, np.float32)
    arrays = import_params(path / _DATA, like=like)
    return Interactions(name, users, items, arrays["pairs"], arrays.get("ratings"), titles=titles)


def load_params(path: Path, like: Any) -> Any:
    """The parameters of the networks of a run, stacked.

    Args:
        path: the run directory.
        like: their structure, shapes and dtypes.

    Raises:
        ValueError: other parameters, or a damaged file.
    """
    return import_params(path / _PARAMS, like={"params": like})["params"]
