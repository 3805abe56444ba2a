"""The networks of a run that tell users apart, as files."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.data.logs import Logs
from experiments.logs.config import Config
from experiments.logs.models import build_network
from experiments.model import stacked_shapes
from jaxnet.checkpoint import export_params, import_params
from jaxnet.runs import RunDirectory, read_hashed_json
from jaxnet.runs.records import add_hash

_JSON, _ARRAYS = "model.json", "model.safetensors"


class SavedUsers(NamedTuple):
    """Trained networks, and what their inputs and outputs are.

    Attributes:
        users: the users in the order of the outputs.
        vocabulary: the known events; event `i` has the token `i + 1`.
        threshold: the least score that is an alarm.
        params: evaluation parameters, `(networks, ...)`.
    """

    users: tuple[str, ...]
    vocabulary: tuple[str, ...]
    threshold: float
    params: Any


def save(
    directory: RunDirectory,
    config: Config,
    logs: Logs,
    tokens: np.ndarray,
    threshold: float,
    params: Any,
) -> None:
    """Write `model.json` and `model.safetensors`.

    Args:
        directory: the run directory.
        config: the options.
        logs: the logs of the run.
        tokens: of the events of its vocabulary, 0 for those that no network has seen.
        threshold: the least score that is an alarm.
        params: of all networks.

    Raises:
        OSError: they cannot be written.
    """
    content = {
        "users": logs.users,
        "vocabulary": [logs.vocabulary[event] for event in np.flatnonzero(tokens)],
        "block_size": config.block_size,
        "threshold": threshold,
    }
    if directory.is_writer:
        export_params(directory.path / _ARRAYS, {"params": params})
    directory.write_json(_JSON, add_hash(content))


def load(path: Path, config: Config) -> SavedUsers:
    """Read the networks of a run.

    Args:
        path: the run directory.
        config: its options.

    Raises:
        ValueError: no model there, or one that is damaged or was changed.
    """
    content = read_hashed_json(path / _JSON)
    try:
        users, vocabulary = (tuple(map(str, content[key])) for key in ("users", "vocabulary"))
        threshold, block_size = float(content["threshold"]), int(content["block_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path / _JSON} is damaged ({error!r}); run the experiment again"
        ) from error
    if block_size != config.block_size:
        raise ValueError(
            f"{path / _JSON} is damaged: block_size {block_size}, and {config.block_size} in "
            "config.json; run the experiment again"
        )
    network = build_network(config, len(vocabulary) + 1, len(users))
    like = {"params": stacked_shapes(network.init, config.num_seeds)}
    params = import_params(path / _ARRAYS, like=like)["params"]
    return SavedUsers(users, vocabulary, threshold, params)
