"""Data sets that need no file: those that scikit-learn ships, and generated ones."""

from collections.abc import Callable
from typing import cast

import numpy as np

from experiments.data.dataset import Dataset


def load_digits() -> Dataset:
    """Handwritten digits, 1 797 images of 8 x 8 pixels, 10 classes."""
    from sklearn import datasets
    from sklearn.utils import Bunch

    bunch = cast(Bunch, datasets.load_digits())
    x = (bunch.images / 16).astype(np.float32)[..., None]
    class_names = tuple(str(digit) for digit in range(10))
    return Dataset("digits", x, bunch.target.astype(np.int32), class_names=class_names)


def load_breast_cancer() -> Dataset:
    """Benign and malignant tumors, 569 rows of 30 features."""
    from sklearn import datasets
    from sklearn.utils import Bunch

    bunch = cast(Bunch, datasets.load_breast_cancer())
    # scikit-learn has malignant = 0; the positive class is the finding that a test looks for.
    return Dataset(
        "breast_cancer",
        bunch.data.astype(np.float32),
        1 - bunch.target.astype(np.int32),
        feature_names=tuple(map(str, bunch.feature_names)),
        class_names=("benign", "malignant"),
    )


def load_wine() -> Dataset:
    """Wines of three growers, 178 rows of 13 features."""
    from sklearn import datasets

    return _table("wine", datasets.load_wine())


def load_iris() -> Dataset:
    """Three species of iris, 150 rows of 4 features."""
    from sklearn import datasets

    return _table("iris", datasets.load_iris())


def _table(name: str, bunch) -> Dataset:
    return Dataset(
        name,
        bunch.data.astype(np.float32),
        bunch.target.astype(np.int32),
        feature_names=tuple(map(str, bunch.feature_names)),
        class_names=tuple(map(str, bunch.target_names)),
    )


def load_diabetes() -> Dataset:
    """Progression of diabetes, 442 rows of 10 features."""
    from sklearn import datasets
    from sklearn.utils import Bunch

    bunch = cast(Bunch, datasets.load_diabetes(scaled=False))
    return Dataset(
        "diabetes",
        bunch.data.astype(np.float32),
        bunch.target.astype(np.float32),
        feature_names=tuple(bunch.feature_names),
        unit="disease progression after one year",
    )


def generate_line() -> Dataset:
    """200 points of `y = 3 x - 1` with noise of standard deviation 0.5."""
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


def generate_crop_yield() -> Dataset:
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


BUNDLED: dict[str, Callable[[], Dataset]] = {
    "digits": load_digits,
    "breast_cancer": load_breast_cancer,
    "wine": load_wine,
    "iris": load_iris,
    "line": generate_line,
    "crop_yield": generate_crop_yield,
    "diabetes": load_diabetes,
}
