"""Banking77: questions of customers of a bank, labelled with 77 intents."""

import csv
import io
from pathlib import Path

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.named.download import fetch, read_pinned
from experiments.data.texts.text_format import TextFormat
from experiments.data.texts.text_table import text_dataset

_URL = (
    "https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/"
    "57ec275d8078af65b7731c2a98be812d844a6d6b/banking_data/train.csv"
)
SHA256 = "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b"
_MAX_BYTES = 2 << 20


def load_banking77(data_dir: Path | None = None) -> Dataset:
    """Load the 10 003 questions of the training file, of which folds are cut.

    Source: Casanueva, Temcinas, Gerz, Henderson, Vulic (2020), "Efficient Intent Detection with
    Dual Sentence Encoders"; CC BY 4.0, github.com/PolyAI-LDN/task-specific-datasets.

    Args:
        data_dir: folder that may hold `banking77/train.csv`.

    Returns:
        The questions in the order of the file; classes are intents, by name.

    Raises:
        ValueError: the file has another hash (both are named), or the download fails.
    """
    return fetch(
        "banking77",
        "train.csv",
        _URL,
        sha256=SHA256,
        read=read_banking77,
        max_bytes=_MAX_BYTES,
        data_dir=data_dir,
    )


def read_banking77(path: Path) -> Dataset:
    """Read the training file.

    Args:
        path: of `train.csv`, with the columns `text` and `category`.

    Returns:
        As `load_banking77`.

    Raises:
        ValueError: the file has another hash.
    """
    content = read_pinned(path, SHA256).decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    texts = tuple(row["text"].strip() for row in rows)
    class_names, labels = np.unique([row["category"] for row in rows], return_inverse=True)
    names = tuple(map(str, class_names))
    text_format = TextFormat(text="text", label="category", class_names=names)
    return text_dataset("banking77", texts, labels, text_format)
