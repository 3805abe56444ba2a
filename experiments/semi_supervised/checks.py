"""Checks of the options of experiments.semi_supervised, before anything is written."""

import jaxnet as jn
from experiments.data import Dataset
from experiments.semi_supervised.config import OF_IMAGES, Config


def check(config: Config, dataset: Dataset) -> None:
    """Check data, and that the options fit them.

    Args:
        config: the options.
        dataset: the data.

    Raises:
        ValueError: they do not.
    """
    if dataset.is_series:
        raise ValueError(
            f"dataset {dataset.name} is series, and experiments.semi_supervised takes images, "
            "tables and texts; use experiments.classification"
        )
    if dataset.is_image:
        jn.check_unit_interval(dataset.x)
    else:
        jn.check_data(dataset.inputs)
    if "ladder" in config.methods and config.precision != "float32":
        raise ValueError(
            f"precision {config.precision}: method ladder computes in float32; leave one of the "
            "two out (--methods)"
        )
    of_images = [name for name in config.methods if name in OF_IMAGES]
    if of_images and not dataset.is_image:
        raise ValueError(
            f"methods: {of_images[0]} moves images, and {dataset.name} holds none; leave it out"
        )
