"""The named data sets: loaded by name, with the results that others published on them."""

import dataclasses
import difflib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from experiments.data.dataset import Dataset
from experiments.data.named import timeseries
from experiments.data.named.banking77 import load_banking77
from experiments.data.named.bundled import BUNDLED
from experiments.data.named.clinc150 import load_clinc150
from experiments.data.named.emails import load_emails
from experiments.data.named.faces import load_faces
from experiments.data.named.fsdd import load_fsdd
from experiments.data.named.idx import load_idx
from experiments.data.named.nsmc import load_nsmc
from experiments.data.series import series_dataset

CLASSIFICATION = (
    "digits",
    "breast_cancer",
    "wine",
    "iris",
    "mnist",
    "fashion_mnist",
    "olivetti_faces",
    "emails",
    "banking77",
    "clinc150",
    "nsmc",
    "fsdd",
    *timeseries.NAMES,
)
REGRESSION = ("line", "crop_yield", "diabetes")


def _load_series(name: str, data_dir: Path | None) -> Dataset:
    return series_dataset(name, timeseries.load_timeseries(name, data_dir))


_FROM_FILES: dict[str, Callable[[Path | None], Dataset]] = {
    "mnist": functools.partial(load_idx, "mnist"),
    "fashion_mnist": functools.partial(load_idx, "fashion_mnist"),
    "olivetti_faces": load_faces,
    "emails": load_emails,
    "banking77": load_banking77,
    "clinc150": load_clinc150,
    "nsmc": load_nsmc,
    "fsdd": load_fsdd,
    **{name: functools.partial(_load_series, name) for name in timeseries.NAMES},
}
# InceptionTime, Ismail Fawaz et al. (2020), on the official test sets.
_INCEPTION_TIME = {
    "ACSF1": 0.910,
    "ArrowHead": 0.863,
    "GunPoint": 1.000,
    "ItalyPowerDemand": 0.966,
    "OSULeaf": 0.921,
}
# Data set -> experiment -> results.
_PUBLISHED: dict[str, dict[str, str]] = {
    "mnist": {
        "classification": (
            "test error 1.6 % for an mlp of 800 units (Simard, Steinkraus, Platt 2003), 0.95 % "
            "with dropout (Srivastava et al. 2014)"
        ),
        "reconstruction": (
            "squared error 3.00 for 784-1000-500-250-30 pretrained with RBMs, 13.87 for 30 "
            "principal components (Hinton, Salakhutdinov 2006)"
        ),
    },
    "fashion_mnist": {
        "classification": (
            "test accuracy 0.871 for an mlp of 100 units, 0.897 for SVC (Xiao, Rasul, Vollgraf "
            "2017, Table 3); 0.925 for a small cnn (their list of benchmarks)"
        ),
    },
    **{
        name: {
            "classification": f"test accuracy {accuracy:.3f} for InceptionTime (Ismail Fawaz et "
            "al. 2020)"
        }
        for name, accuracy in _INCEPTION_TIME.items()
    },
}


def canonical_name(name: str) -> str:
    """The name of a data set; those of series may be written in any case and with underscores.

    >>> canonical_name("japanese_vowels"), canonical_name("digits")
    ('JapaneseVowels', 'digits')
    """
    return timeseries.timeseries_name(name) or name


def load(
    name: str,
    *,
    task: Literal["classification", "regression"] | None = None,
    data_dir: Path | None = None,
) -> Dataset:
    """Load a data set by name.

    MNIST, Fashion-MNIST, the Olivetti faces, the emails of SpamAssassin and the series of the UCR
    and UEA archives are looked for in `mnist/`, `fashion-mnist/`, `olivetti-faces/`,
    `spamassassin/` and `timeseries/` below `data_dir`, then below the folder that the environment
    variable JAXNET_DATA names, then in the user's cache, and are downloaded into the cache
    otherwise. All others need no file and no network.

    Args:
        name: one of `CLASSIFICATION` or `REGRESSION`.
        task: accept only the data sets of this task; None accepts all.
        data_dir: the folder to look in first.

    Returns:
        The data set; images have values in [0, 1].

    Raises:
        ValueError: the name is unknown (the nearest is suggested), a file has other content than
            the published one, or a download fails.

    >>> digits = load("digits")
    >>> digits.x.shape, digits.num_classes
    ((1797, 8, 8, 1), 10)
    >>> line = load("line")
    >>> line.x.shape, line.coefficients, line.intercept
    ((200, 1), (3.0,), -1.0)
    """
    tasks = {
        None: CLASSIFICATION + REGRESSION,
        "classification": CLASSIFICATION,
        "regression": REGRESSION,
    }
    if task not in tasks:
        raise ValueError(f"task must be 'classification' or 'regression', found {task!r}")
    name, known = canonical_name(name), tasks[task]
    if name not in known and name in tasks[None]:
        other = "regression" if task == "classification" else "classification"
        raise ValueError(
            f"data set {name!r} is for {other}; use experiments.{other}; known for {task}: "
            f"{', '.join(known)}"
        )
    if name not in known:
        nearest = difflib.get_close_matches(name, known)
        hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
        purpose = f" for {task}" if task else ""
        raise ValueError(f"unknown data set {name!r}{purpose}; {hint}known: {', '.join(known)}")
    dataset = BUNDLED[name]() if name in BUNDLED else _FROM_FILES[name](data_dir)
    return dataclasses.replace(dataset, is_named=True, published=_PUBLISHED.get(name, {}))
