"""The data sets by name."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.named.emails import FOLDERS, fetch_mails, term_weights, words_of
from experiments.data.named.faces import load_faces
from experiments.data.named.idx import FILES, fetch_idx

CLASSIFICATION = (
    "digits",
    "breast_cancer",
    "wine",
    "iris",
    "mnist",
    "fashion_mnist",
    "olivetti_faces",
    "emails",
)
REGRESSION = ("line", "crop_yield", "diabetes")

_DIGITS = tuple(str(digit) for digit in range(10))
_CLOTHES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "boot",
)


def load(
    name: str,
    *,
    task: Literal["classification", "regression"] | None = None,
    data_dir: Path | None = None,
) -> Dataset:
    """Load a data set by name.

    MNIST, Fashion-MNIST, the Olivetti faces and the mails of SpamAssassin are looked for in
    `mnist/`, `fashion-mnist/`, `olivetti-faces/` and `spamassassin/` below `data_dir`, then below
    the folder that the environment variable JAXNET_DATA names, then in the user's cache, and are
    downloaded into the cache otherwise. All others need no file and no network.

    Args:
        name: one of `CLASSIFICATION` or `REGRESSION`.
        task: accept only the data sets of this task; None accepts all.
        data_dir: the folder to look in first.

    Returns:
        The data set; pictures have values in [0, 1].

    Raises:
        ValueError: an unknown name, with the nearest suggested; a file that is not what it should
            be, with both hashes; a download that fails.

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
    known = tasks[task]
    if name not in known and name in tasks[None]:
        other = "regression" if task == "classification" else "classification"
        raise ValueError(
            f"data set {name!r} is for {other}; use experiments.{other}; for {task} are "
            f"known: {', '.join(known)}"
        )
    if name not in known:
        nearest = difflib.get_close_matches(name, known)
        hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
        purpose = f" for {task}" if task else ""
        raise ValueError(f"unknown data set {name!r}{purpose}; {hint}known: {', '.join(known)}")
    if name == "mnist":
        return _idx_dataset(name, "mnist", _DIGITS, data_dir)
    if name == "fashion_mnist":
        return _idx_dataset(name, "fashion-mnist", _CLOTHES, data_dir)
    if name == "emails":
        return _emails(data_dir)
    if name == "olivetti_faces":
        return load_faces(data_dir)
    return _SMALL[name]()


def _idx_dataset(
    name: str, folder: str, class_names: tuple[str, ...], data_dir: Path | None
) -> Dataset:
    arrays = [fetch_idx(folder, file, data_dir=data_dir) for file in FILES[folder]]
    pixels = np.concatenate([arrays[0], arrays[2]])[..., None]
    return Dataset(
        name,
        np.divide(pixels, np.float32(255), dtype=np.float32),
        np.concatenate([arrays[1], arrays[3]]).astype(np.int32),
        class_names=class_names,
        num_official_test=len(arrays[3]),
    )


def _emails(data_dir: Path | None) -> Dataset:
    """Spam or not. Of mails with the same words in the same order the first is kept.

    The others would be in training and test data at once. Of 6 046 mails they are 205, of which
    144 are spam.
    """
    from experiments.data.tables.preprocessing import Number, Preprocessing

    unique = {tuple(words_of(mail.text)): mail for mail in reversed(fetch_mails(data_dir))}
    mails = [*reversed(unique.values())]
    x, words = term_weights([*reversed(unique)])
    folders = tuple(FOLDERS)
    groups = np.array([folders.index(mail.folder) for mail in mails], np.int32)
    is_spam = np.array([folder.startswith("spam") for folder in folders])
    class_names = ("ham", "spam")
    return Dataset(
        "emails",
        x,
        is_spam[groups].astype(np.int32),
        feature_names=words,
        class_names=class_names,
        # A column may have any name, "class" too.
        preprocessing=Preprocessing(tuple(map(Number, words)), None, class_names),
        titles=tuple(mail.text.subject or "(no subject)" for mail in mails),
        groups=groups,
        group_names=folders,
    )


def _digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.utils import Bunch

    bunch = cast(Bunch, load_digits())
    x = (bunch.images / 16).astype(np.float32)[..., None]
    return Dataset("digits", x, bunch.target.astype(np.int32), class_names=_DIGITS)


def _breast_cancer() -> Dataset:
    from sklearn.datasets import load_breast_cancer
    from sklearn.utils import Bunch

    bunch = cast(Bunch, load_breast_cancer())
    # scikit-learn has malignant = 0; the positive class is the finding that one looks for.
    return Dataset(
        "breast_cancer",
        bunch.data.astype(np.float32),
        1 - bunch.target.astype(np.int32),
        feature_names=tuple(map(str, bunch.feature_names)),
        class_names=("benign", "malignant"),
    )


def _wine() -> Dataset:
    from sklearn.datasets import load_wine

    return _table("wine", load_wine())


def _iris() -> Dataset:
    from sklearn.datasets import load_iris

    return _table("iris", load_iris())


def _table(name: str, bunch) -> Dataset:
    return Dataset(
        name,
        bunch.data.astype(np.float32),
        bunch.target.astype(np.int32),
        feature_names=tuple(map(str, bunch.feature_names)),
        class_names=tuple(map(str, bunch.target_names)),
    )


def _line() -> Dataset:
    """`y = 3 x - 1` with noise of standard deviation 0.5."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, size=(200, 1))
    y = 3 * x[:, 0] - 1 + rng.normal(0, 0.5, size=200)
    return Dataset(
        "line",
        x.astype(np.float32),
        y.astype(np.float32),
        feature_names=("x",),
        coefficients=(3.0,),
        intercept=-1.0,
        unit="y",
    )


def _crop_yield() -> Dataset:
    """Yield of wheat in t/ha, linear in fertilizer, rain and sun, with noise of 0.3 t/ha."""
    rng = np.random.default_rng(1)
    fertilizer = rng.uniform(0, 200, size=400)
    rain = rng.normal(600, 100, size=400)
    sun = rng.normal(1600, 150, size=400)
    coefficients = (0.015, 0.004, 0.001)
    x = np.stack([fertilizer, rain, sun], axis=1)
    y = x @ np.array(coefficients) - 0.5 + rng.normal(0, 0.3, size=400)
    return Dataset(
        "crop_yield",
        x.astype(np.float32),
        y.astype(np.float32),
        feature_names=("fertilizer (kg/ha)", "rain (mm)", "sun (h)"),
        coefficients=coefficients,
        intercept=-0.5,
        unit="yield (t/ha)",
    )


def _diabetes() -> Dataset:
    from sklearn.datasets import load_diabetes
    from sklearn.utils import Bunch

    bunch = cast(Bunch, load_diabetes(scaled=False))
    return Dataset(
        "diabetes",
        bunch.data.astype(np.float32),
        bunch.target.astype(np.float32),
        feature_names=tuple(bunch.feature_names),
        unit="disease progression after one year",
    )


_SMALL: dict[str, Callable[[], Dataset]] = {
    "digits": _digits,
    "breast_cancer": _breast_cancer,
    "wine": _wine,
    "iris": _iris,
    "line": _line,
    "crop_yield": _crop_yield,
    "diabetes": _diabetes,
}
