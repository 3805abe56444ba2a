"""Named data sets as NumPy arrays, with checksums; splits, folds and standardization.

Pictures have shape `(n, height, width, channels)` and values in [0, 1]; tables `(n, features)`.
MNIST and Fashion-MNIST are looked for below the folder that the environment variable JAXNET_DATA
names (`mnist/`, `fashion-mnist/`), then in the user's cache, and are downloaded into the cache
otherwise; every file is checked against its SHA-256.
"""

import dataclasses
import difflib
import gzip
import hashlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

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
_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
_SHA256 = {
    "mnist": (
        "71524e2cd1ad2968737f7f2f2ff69cbfc32df8ccddff51593f7cb2d4e0eb5b64",
        "fe03b8bd7915f70bf5aa08be480aa413fbd85afcaa58b35d230d335f284fd88e",
        "5634745efa576a17e7d4cf5cd9d09123c75e6538e5114267c2d156edaf519341",
        "ae18e77e031ccde52407f794d123116439864147d33ac992975f85dd4dc42af6",
    ),
    "fashion-mnist": (
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    ),
}
_MIRRORS = {
    "mnist": "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A named data set.

    Attributes:
        name: its name on the command line.
        x: features `(n, features)` or pictures `(n, height, width, channels)`, float32.
        y: labels `(n,)`, int32, or targets `(n,)`, float32.
        feature_names: one for each feature; empty for pictures.
        class_names: one for each class; empty for a regression.
        num_official_test: so many last examples are the official test set; 0 where there is none.
        coefficients: the true slope of each feature, for generated data.
        intercept: the true intercept, for generated data.
        unit: what `y` measures, for a regression.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    feature_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    num_official_test: int = 0
    coefficients: tuple[float, ...] | None = None
    intercept: float | None = None
    unit: str = ""

    @property
    def is_image(self) -> bool:
        """Whether the examples are pictures."""
        return self.x.ndim == 4

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 for a regression."""
        return len(self.class_names)

    @property
    def sha256(self) -> str:
        """SHA-256 over dtype, shape and bytes of `x` and `y`."""
        digest = hashlib.sha256()
        for array in (self.x, self.y):
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def load(name: str, *, task: str) -> Dataset:
    """Load a data set by name.

    Args:
        name: one of `CLASSIFICATION` or `REGRESSION`.
        task: "classification" or "regression".

    Raises:
        ValueError: an unknown name, with the nearest suggested; a file that is not what it should
            be, with both hashes; a download that fails.

    >>> digits = load("digits", task="classification")
    >>> digits.x.shape, digits.num_classes
    ((1797, 8, 8, 1), 10)
    """
    loaders = {"classification": CLASSIFICATION, "regression": REGRESSION}[task]
    if name not in loaders:
        nearest = difflib.get_close_matches(name, loaders)
        hint = f"did you mean {', '.join(nearest)}? " if nearest else ""
        raise ValueError(f"unknown data set {name!r} for {task}; {hint}known: {', '.join(loaders)}")
    return loaders[name]()


def _digits() -> Dataset:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images / 16).astype(np.float32)[..., None]
    return Dataset("digits", x, bunch.target.astype(np.int32), class_names=_DIGITS)


def _breast_cancer() -> Dataset:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
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


def _mnist() -> Dataset:
    return _idx_dataset("mnist", "mnist", _DIGITS)


def _fashion_mnist() -> Dataset:
    return _idx_dataset("fashion_mnist", "fashion-mnist", _CLOTHES)


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

    bunch = load_diabetes(scaled=False)
    return Dataset(
        "diabetes",
        bunch.data.astype(np.float32),
        bunch.target.astype(np.float32),
        feature_names=tuple(bunch.feature_names),
        unit="disease progression after one year",
    )


CLASSIFICATION: dict[str, Callable[[], Dataset]] = {
    "digits": _digits,
    "breast_cancer": _breast_cancer,
    "wine": _wine,
    "iris": _iris,
    "mnist": _mnist,
    "fashion_mnist": _fashion_mnist,
}
REGRESSION: dict[str, Callable[[], Dataset]] = {
    "line": _line,
    "crop_yield": _crop_yield,
    "diabetes": _diabetes,
}


def _idx_dataset(name: str, folder: str, class_names: tuple[str, ...]) -> Dataset:
    arrays = [
        read_idx(_find(folder, f"{stem}-ubyte.gz", sha256))
        for stem, sha256 in zip(_FILES, _SHA256[folder], strict=True)
    ]
    x = np.concatenate([arrays[0], arrays[2]])[..., None]
    y = np.concatenate([arrays[1], arrays[3]])
    return Dataset(
        name,
        x.astype(np.float32) / np.float32(255),
        y.astype(np.int32),
        class_names=class_names,
        num_official_test=len(arrays[3]),
    )


def _find(folder: str, filename: str, sha256: str) -> Path:
    """The file in the user's folder, or else in the cache, downloaded where it is missing."""
    own = os.environ.get("JAXNET_DATA")
    path = Path(own or "", folder, filename)
    if own and path.exists():
        require_sha256(path, sha256)
        return path
    import pooch

    cache = Path(pooch.os_cache("jaxnet"), folder)
    if (cache / filename).exists():
        require_sha256(cache / filename, sha256)
        return cache / filename
    try:
        # It downloads to a temporary name, checks the hash and renames.
        pooch.retrieve(_MIRRORS[folder] + filename, sha256, fname=filename, path=cache)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{folder}/{filename} is not below {own or 'JAXNET_DATA, which is not set'}, and its "
            f"download failed ({type(error).__name__}); put the file there, or try again online"
        ) from error
    return cache / filename


def require_sha256(path: Path, sha256: str) -> None:
    """Refuse a file that is not the expected one.

    Raises:
        ValueError: the file has another hash; both are named.
    """
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path} is corrupt or truncated: its SHA-256 is {found}, expected {sha256}; "
            "delete it and fetch it again"
        )


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped IDX file of unsigned bytes, the format of MNIST (LeCun, Cortes, Burges).

    Two zero bytes, the type 8 and the number of axes, the length of each axis as a big-endian
    32-bit integer, then the bytes.

    Raises:
        ValueError: another format, or fewer or more bytes than the header promises.
    """
    with gzip.open(path, "rb") as file:
        magic = file.read(4)
        if len(magic) != 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 4:
            raise ValueError(f"{path} is no IDX file of unsigned bytes: it begins with {magic!r}")
        shape = tuple(int(n) for n in np.frombuffer(file.read(4 * magic[3]), ">u4"))
        size = math.prod(shape)
        content = file.read(size + 1)
    if len(content) != size:
        raise ValueError(f"{path} promises {size} bytes of shape {shape}, found {len(content)}")
    return np.frombuffer(content, np.uint8).reshape(shape)


class Split(NamedTuple):
    """Indices of the examples of each part; together they are all examples, each once."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split(dataset: Dataset, *, seed: int) -> Split:
    """Split into 64 % training, 16 % validation and 20 % test, by class where there are classes.

    An official test set is the test part, and 5 000 of the other examples validate.

    Args:
        dataset: the data.
        seed: decides the split.

    Raises:
        ValueError: a class with too few examples to be in every part.

    >>> parts = split(load("iris", task="classification"), seed=0)
    >>> [len(part) for part in parts]
    [96, 24, 30]
    """
    from sklearn.model_selection import train_test_split

    labels = dataset.y if dataset.num_classes else None
    if labels is not None and np.bincount(labels, minlength=dataset.num_classes).min() < 5:
        rarest = dataset.class_names[int(np.bincount(labels).argmin())]
        raise ValueError(
            f"class {rarest!r} of {dataset.name} has fewer than 5 examples, too few for training, "
            "validation and test parts; leave the class out or add examples"
        )

    def halve(indices: np.ndarray, size: float | int) -> list[np.ndarray]:
        stratify = None if labels is None else labels[indices]
        return train_test_split(indices, test_size=size, random_state=seed, stratify=stratify)

    if dataset.num_official_test:
        rest, test = np.split(np.arange(len(dataset.y)), [-dataset.num_official_test])
        train, validation = halve(rest, 5000)
    else:
        rest, test = halve(np.arange(len(dataset.y)), 0.2)
        train, validation = halve(rest, 0.2)
    return Split(np.sort(train), np.sort(validation), np.sort(test))


def folds(
    labels: np.ndarray, *, num_folds: int, num_repeats: int, seed: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Training and test indices of a repeated, stratified cross-validation.

    Raises:
        ValueError: fewer than two folds, more folds than the rarest class has examples, or no
            repeat.

    >>> trains, tests = folds(np.array([0, 1] * 6), num_folds=3, num_repeats=2, seed=0)
    >>> len(tests), len(trains[0]), len(tests[0])
    (6, 8, 4)
    """
    from sklearn.model_selection import RepeatedStratifiedKFold

    rarest = int(np.bincount(labels).min())
    if not 2 <= num_folds <= rarest:
        raise ValueError(
            f"cross_validate must lie between 2 and {rarest}, the number of examples of the rarest "
            f"class, found {num_folds}"
        )
    if num_repeats < 1:
        raise ValueError(f"repeats must be at least 1, found {num_repeats}")
    splitter = RepeatedStratifiedKFold(n_splits=num_folds, n_repeats=num_repeats, random_state=seed)
    trains, tests = zip(*splitter.split(np.zeros(len(labels)), labels), strict=True)
    return list(trains), list(tests)


class Standardization(NamedTuple):
    """What was fitted on the training part: `(x - mean) / scale`, float32."""

    mean: np.ndarray
    scale: np.ndarray


def fit_standardization(x: np.ndarray, *, per_feature: bool = True) -> Standardization:
    """Mean and standard deviation of features; a constant feature has scale 1.

    Args:
        x: training features `(n, ...)`.
        per_feature: one mean and scale for each feature, or one for all (pictures).

    >>> fitted = fit_standardization(np.array([[0.1, 1.0], [0.1, 3.0]], np.float32))
    >>> standardize(fitted, np.array([[0.1, 3.0]], np.float32)).tolist()
    [[0.0, 1.0]]
    """
    axis = 0 if per_feature else None
    low, high = x.min(axis=axis), x.max(axis=axis)
    constant = low == high
    mean = np.where(constant, low, x.mean(axis=axis, dtype=np.float64))
    scale = np.where(constant, 1.0, x.std(axis=axis, dtype=np.float64))
    return Standardization(mean.astype(np.float32), scale.astype(np.float32))


def standardize(fitted: Standardization, x: np.ndarray) -> np.ndarray:
    """Apply a fitted standardization.

    >>> fitted = Standardization(np.float32(1.0), np.float32(2.0))
    >>> standardize(fitted, np.array([5.0], np.float32)).tolist()
    [2.0]
    """
    return (x - fitted.mean) / fitted.scale
