"""The data of experiments.semi_supervised: named, or a user's file with some empty labels."""

from experiments.data import Dataset
from experiments.prepare import load_labelled
from experiments.semi_supervised.config import Config


def load_data(config: Config) -> Dataset:
    """The data set of a config.

    Raises:
        ValueError: there is no such data set, or its data cannot be used.
        FileNotFoundError: there is no such file.
    """
    return load_labelled(config, task="classification")
