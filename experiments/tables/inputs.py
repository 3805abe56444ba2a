"""The tables of experiments.tables: scikit-learn's, generated ones, online shoppers, users' files.

Source of the online shoppers: Sakar, Polat, Katircioglu and Kastro (2019), "Real-time prediction of
online shoppers' purchasing intention", UCI Machine Learning Repository, 12 330 rows.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.classification import experiment as classification
from experiments.data import Dataset, load
from experiments.data.named.download import user_folders
from experiments.tables.config import Config

_SHOPPERS = Path("online-shoppers", "online_shoppers_intention.csv")


def _generated(name: str, **options: Any) -> Dataset:
    from sklearn.datasets import make_classification

    x, y = make_classification(random_state=0, **options)
    names = tuple(f"feature {index}" for index in range(x.shape[1]))
    classes = tuple(f"class {index}" for index in range(int(y.max()) + 1))
    return Dataset(
        name,
        x.astype(np.float32),
        y.astype(np.int32),
        feature_names=names,
        class_names=classes,
    )


def _bundled(name: str) -> Dataset:
    """A data set of scikit-learn as an unknown table: without a recipe of its own."""
    dataset = load(name)
    x = dataset.x.reshape(len(dataset.x), -1)
    names = tuple(f"feature {index}" for index in range(x.shape[1]))
    return dataclasses.replace(dataset, x=x, feature_names=names, is_named=False, published={})


# Few rows, many features without information, several clusters of a class, many classes, wrong
# labels of a rare class.
TABLES: dict[str, Callable[[], Dataset]] = {
    "iris": functools.partial(_bundled, "iris"),
    "wine": functools.partial(_bundled, "wine"),
    "breast_cancer": functools.partial(_bundled, "breast_cancer"),
    "digits": functools.partial(_bundled, "digits"),
    "sparse": functools.partial(
        _generated, "sparse", n_samples=600, n_features=150, n_informative=12, n_redundant=30
    ),
    "clusters": functools.partial(
        _generated,
        "clusters",
        n_samples=3000,
        n_features=20,
        n_informative=8,
        n_classes=4,
        n_clusters_per_class=4,
    ),
    "many_classes": functools.partial(
        _generated,
        "many_classes",
        n_samples=5000,
        n_features=16,
        n_informative=12,
        n_classes=26,
        n_clusters_per_class=2,
        class_sep=2.0,
    ),
    "noisy": functools.partial(
        _generated,
        "noisy",
        n_samples=1500,
        n_features=30,
        n_informative=6,
        weights=[0.8],
        flip_y=0.2,
    ),
}


def load_tables(config: Config) -> list[Dataset]:
    """The tables of a config.

    Args:
        config: the options.

    Returns:
        The data sets, in the order of `TABLES`, then the online shoppers, then the user's files.

    Raises:
        ValueError: an unknown name, another number of labels than of files, or a file that cannot
            be used.
        FileNotFoundError: there is no such file.
    """
    if len(config.data) != len(config.label):
        raise ValueError(
            f"label: {len(config.data)} files of --data need one --label each, found "
            f"{len(config.label)}"
        )
    shoppers = _find_shoppers(config.data_dir)
    known = [*TABLES, *(["online_shoppers"] if shoppers else [])]
    names = config.tables or ([] if config.data else known)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"tables: unknown table {unknown[0]!r}; known: {', '.join(known)}")
    loaded = [TABLES[name]() for name in names if name in TABLES]
    if shoppers is not None and "online_shoppers" in names:
        loaded.append(dataclasses.replace(_read(shoppers, "Revenue"), name="online_shoppers"))
    return loaded + [
        _read(path, label) for path, label in zip(config.data, config.label, strict=True)
    ]


def _read(path: Path, label: str) -> Dataset:
    return classification.load_data(classification.Config(data=path, label=label))


def _find_shoppers(data_dir: Path | None) -> Path | None:
    paths = [folder / _SHOPPERS for folder in user_folders(data_dir)]
    return next((path for path in paths if path.is_file()), None)
