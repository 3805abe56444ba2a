"""CLINC150: requests to an assistant, labelled with 150 intents, and requests of none of them."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.named.download import Content, fetch, read_pinned
from experiments.data.texts.text_format import TextFormat
from experiments.data.texts.text_table import text_dataset

_URL = (
    "https://raw.githubusercontent.com/clinc/oos-eval/"
    "828f8093932c8fe6ca7936c3d2e52903b1c523de/data/data_full.json"
)
SHA256 = "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0"
_MAX_BYTES = 4 << 20


def load_clinc150(data_dir: Path | None = None) -> Dataset:
    """Load 22 500 requests: 15 000 for training, 3 000 for validation and 4 500 for the test.

    Source: Larson et al. (2019), "An Evaluation Dataset for Intent Classification and Out-of-Scope
    Prediction"; CC BY 3.0, github.com/clinc/oos-eval.

    Args:
        data_dir: folder that may hold `clinc150/data_full.json`.

    Returns:
        The requests of the three official parts in this order; classes are intents, by name.
        `out_of_scope` are the 1 000 requests of the test part that are of none of the intents;
        those of the training and validation parts are left out.

    Raises:
        ValueError: the file has another hash (both are named), or the download fails.
    """
    return _fetch(read_clinc150, data_dir)


def load_out_of_scope(data_dir: Path | None = None) -> tuple[str, ...]:
    """Load the 1 000 requests of the test part that are of none of the intents.

    Args:
        data_dir: as for `load_clinc150`.

    Returns:
        The texts behind `out_of_scope` of the data set.

    Raises:
        ValueError: as `load_clinc150`.
    """
    return _fetch(_read_out_of_scope, data_dir)


def _fetch(read: Callable[[Path], Content], data_dir: Path | None) -> Content:
    return fetch(
        "clinc150",
        "data_full.json",
        _URL,
        sha256=SHA256,
        read=read,
        max_bytes=_MAX_BYTES,
        data_dir=data_dir,
    )


def _read_out_of_scope(path: Path) -> tuple[str, ...]:
    parts = json.loads(read_pinned(path, SHA256))
    return tuple(text.strip() for text, _ in parts["oos_test"])


def read_clinc150(path: Path) -> Dataset:
    """Read the file.

    Args:
        path: of `data_full.json`.

    Returns:
        As `load_clinc150`.

    Raises:
        ValueError: the file has another hash.
    """
    parts = json.loads(read_pinned(path, SHA256))
    texts, intents = zip(*(parts["train"] + parts["val"] + parts["test"]), strict=True)
    class_names, labels = np.unique(intents, return_inverse=True)
    names = tuple(map(str, class_names))
    text_format = TextFormat(text="text", label="intent", class_names=names)
    dataset = text_dataset("clinc150", [text.strip() for text in texts], labels, text_format)
    return dataclasses.replace(
        dataset,
        num_official_validation=len(parts["val"]),
        num_official_test=len(parts["test"]),
        out_of_scope=text_format.tokens(_read_out_of_scope(path)),
    )
