"""The data of experiments.semi_supervised: named, or a user's file with some empty labels."""

import dataclasses

import numpy as np

from experiments.data import Dataset, holds_images, holds_series, load_table
from experiments.prepare import load_labelled
from experiments.semi_supervised.config import Config
from experiments.semi_supervised.draws import UNLABELED


def load_data(config: Config) -> Dataset:
    """The data set of a config.

    Raises:
        ValueError: there is no such data set, or its data cannot be used.
        FileNotFoundError: there is no such file.
    """
    path = config.data
    if path is None or path.is_dir() or config.text is not None or config.label is None:
        return load_labelled(config, task="classification")
    if holds_series(path) or holds_images(path):
        return load_labelled(config, task="classification")
    dataset = load_table(
        path,
        label=config.label,
        task="classification",
        seed=config.seed,
        options=config,
        allows_missing=True,
    )
    number = int(np.sum(dataset.y == UNLABELED))
    note = f"{number} of {len(dataset.y)} rows have no {config.label}; they are learned from too"
    return dataclasses.replace(dataset, notes=(*dataset.notes, note)) if number else dataset
