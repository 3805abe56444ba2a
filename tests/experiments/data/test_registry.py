"""The named data sets: content, hashes, names, published results."""

import functools
import os
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from experiments.data import CLASSIFICATION, REGRESSION, Dataset, load
from experiments.data.named import idx

FOLDERS = {"mnist": "mnist", "fashion_mnist": "fashion-mnist"}
SHAPES = {
    "digits": (1797, 8, 8, 1),
    "breast_cancer": (569, 30),
    "wine": (178, 13),
    "iris": (150, 4),
    "line": (200, 1),
    "crop_yield": (400, 3),
    "diabetes": (442, 10),
}
# Of the copies that scikit-learn ships; generated data may change with NumPy's generators.
SHA256_BEGINS = {
    "digits": "c41d2a9c657b",
    "breast_cancer": "28e65171601e",
    "wine": "c790c77ef958",
    "iris": "99baaf1c522e",
    "mnist": "6cf8bdc9a88f",
    "fashion_mnist": "547073aebabd",
}


@functools.cache
def small(name: str) -> Dataset:
    return load(name)


@pytest.fixture(scope="module", params=FOLDERS)
def large(request) -> Dataset:
    """MNIST and Fashion-MNIST, where JAXNET_DATA holds them: tests download nothing."""
    place = Path(os.environ.get("JAXNET_DATA") or "missing", FOLDERS[request.param])
    files = idx.FILES[FOLDERS[request.param]]
    if not all((place / file.name).is_file() for file in files):
        pytest.skip(f"JAXNET_DATA names no folder that holds all files of {request.param}")
    return load(request.param)


@pytest.mark.parametrize("name", SHAPES)
def test_small_data_sets(name):
    dataset = small(name)
    assert (dataset.name, dataset.x.shape, dataset.x.dtype) == (name, SHAPES[name], np.float32)
    assert dataset.y.shape == (len(dataset.x),)
    assert np.isfinite(dataset.x).all() and np.isfinite(dataset.y).all()
    assert dataset.num_official_test == 0
    assert dataset.is_image == (name == "digits")
    assert len(dataset.feature_names) == (0 if dataset.is_image else dataset.x.shape[1])
    if name in CLASSIFICATION:
        assert dataset.y.dtype == np.int32
        assert np.unique(dataset.y).tolist() == list(range(dataset.num_classes))
    else:
        assert dataset.y.dtype == np.float32
        assert dataset.num_classes == 0 and dataset.unit


def test_digits_are_scaled_to_one():
    assert (small("digits").x.min(), small("digits").x.max()) == (0, 1)


def test_the_positive_class_of_breast_cancer_is_malignant():
    dataset = small("breast_cancer")
    assert dataset.class_names == ("benign", "malignant")
    assert np.bincount(dataset.y).tolist() == [357, 212]


def test_large_data_sets(large):
    assert large.x.shape == (70_000, 28, 28, 1) and large.x.dtype == np.float32
    assert (large.x.min(), large.x.max()) == (0, 1)
    assert large.y.dtype == np.int32
    assert np.bincount(large.y[-10_000:]).sum() == large.num_official_test == 10_000
    assert large.num_classes == len(set(large.class_names)) == 10
    assert large.sha256.startswith(SHA256_BEGINS[large.name])
    if large.name == "mnist":
        # The well-known first labels of both parts, and the size of the classes of the test set.
        assert large.y[:5].tolist() == [5, 0, 4, 1, 9]
        assert large.y[60_000:60_005].tolist() == [7, 2, 1, 0, 4]
        counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        assert np.bincount(large.y[60_000:]).tolist() == counts
    else:
        assert np.bincount(large.y).tolist() == [7000] * 10


@pytest.mark.parametrize("name", SHAPES)
def test_hashes_are_stable(name):
    assert load(name).sha256 == small(name).sha256
    assert small(name).sha256.startswith(SHA256_BEGINS.get(name, ""))


def test_the_hash_depends_on_values_shape_and_dtype_and_not_on_the_name():
    x, y = np.zeros((4, 1), np.float32), np.zeros(4, np.float32)
    others = (
        Dataset("a", x + 1, y),
        Dataset("a", x, y + 1),
        Dataset("a", x.T, y),
        Dataset("a", x.astype(np.float64), y),
        Dataset("a", x, y.astype(np.int32)),
    )
    assert len({Dataset("a", x, y).sha256, *(other.sha256 for other in others)}) == 6
    assert Dataset("a", x, y).sha256 == Dataset("b", x, y).sha256


@pytest.mark.parametrize("name", ["line", "crop_yield"])
def test_least_squares_recovers_the_coefficients_of_generated_data(name):
    dataset = small(name)
    x, y = dataset.x.astype(np.float64), dataset.y.astype(np.float64)
    model = LinearRegression().fit(x, y)
    noise = np.std(y - model.predict(x))
    # Four standard errors of each slope, from the noise and the spread of the inputs.
    errors = 4 * noise / (x.std(axis=0) * np.sqrt(len(x)))
    assert (abs(model.coef_ - dataset.coefficients) < errors).all()
    truth = x @ np.array(dataset.coefficients) + dataset.intercept
    assert abs(np.mean(y - truth)) < 4 * noise / np.sqrt(len(x))


@pytest.mark.parametrize(
    ("name", "task", "expected"),
    [
        ("fashoin_mnist", None, "did you mean fashion_mnist"),
        ("diabets", None, "did you mean diabetes"),
        ("iris", "regression", "'iris' is for classification; use experiments.classification"),
        ("xyz", None, "'xyz'; known: " + ", ".join(CLASSIFICATION + REGRESSION)),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name, task, expected):
    with pytest.raises(ValueError, match=re.escape(expected)) as caught:
        load(name, task=task)
    assert "known" in str(caught.value)


def test_an_unknown_task_is_rejected():
    with pytest.raises(ValueError, match="task must be"):
        load("iris", task="clustering")


def test_published_results_belong_to_named_data_sets(large):
    assert large.is_named and large.published["classification"]
    assert small("digits").is_named and not small("digits").published
    assert not Dataset("mnist", large.x[:1], large.y[:1]).is_named
