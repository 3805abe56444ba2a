"""Data sets: content, splits, folds, standardization."""

import functools
import os
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from experiments.data import (
    CLASSIFICATION,
    REGRESSION,
    Dataset,
    fit_standardization,
    folds,
    load,
    split,
    standardize,
)
from experiments.data.named import idx

SMALL_CLASSIFICATION = ("digits", "breast_cancer", "wine", "iris")
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


# --- content


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


def test_the_hash_sees_values_shape_and_dtype_and_not_the_name():
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
    assert "known: " in str(caught.value)


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="task must be"):
        load("iris", task="clustering")


# --- splits and folds


def assert_partition(parts, num_examples: int) -> None:
    together = np.concatenate(parts)
    assert np.sort(together).tolist() == list(range(num_examples))


@pytest.mark.parametrize("name", SHAPES)
def test_a_split_holds_each_example_once_and_is_fixed_by_the_seed(name):
    dataset = small(name)
    parts = split(dataset, seed=3)
    assert_partition(parts, len(dataset.y))
    shares = np.array([len(part) for part in parts]) / len(dataset.y)
    np.testing.assert_allclose(shares, [0.64, 0.16, 0.2], atol=0.01)
    for part, again, other in zip(
        parts, split(dataset, seed=3), split(dataset, seed=4), strict=True
    ):
        np.testing.assert_array_equal(part, again)
        assert not np.array_equal(part, other)


@pytest.mark.parametrize("name", SMALL_CLASSIFICATION)
def test_each_part_has_the_classes_in_proportion(name):
    dataset = small(name)
    shares = np.bincount(dataset.y) / len(dataset.y)
    for part in split(dataset, seed=0):
        counts = np.bincount(dataset.y[part], minlength=dataset.num_classes)
        assert (abs(counts - shares * len(part)) < 2).all()


def test_the_fractions_are_respected():
    parts = split(small("line"), seed=0, validation_fraction=0.5, test_fraction=0.1)
    assert [len(part) for part in parts] == [90, 90, 20]


def test_the_official_test_set_is_the_test_part(large):
    parts = split(large, seed=1)
    assert [len(part) for part in parts] == [55_000, 5_000, 10_000]
    assert_partition(parts, 70_000)
    assert parts.test.tolist() == list(range(60_000, 70_000))
    shares = np.bincount(large.y[:60_000]) / 60_000
    assert (abs(np.bincount(large.y[parts.validation]) - 5_000 * shares) < 2).all()


def labelled(counts: list[int], num_official_test: int = 0) -> Dataset:
    y = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    names = tuple(f"class {label}" for label in range(len(counts)))
    x = np.zeros((len(y), 1), np.float32)
    return Dataset("some", x, y, class_names=names, num_official_test=num_official_test)


@pytest.mark.parametrize("rare", [0, 1, 2])
def test_a_class_too_rare_for_every_part_is_refused(rare):
    with pytest.raises(ValueError, match=r"some .*add examples, leave the rare class out"):
        split(labelled([50, 50, rare]), seed=0)


def test_an_official_test_set_without_a_class_is_refused():
    with pytest.raises(
        ValueError, match=r"class 'class 0' of some .* the test part of 10 has none"
    ):
        split(labelled([50, 50], num_official_test=10), seed=0)


@pytest.mark.parametrize("name", ["validation_fraction", "test_fraction"])
@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_bad_fraction_is_refused(name, fraction):
    with pytest.raises(ValueError, match=f"{name} must lie between 0 and 1"):
        split(small("iris"), seed=0, **{name: fraction})


def test_folds_are_stratified_and_each_example_tests_once_in_each_repeat():
    labels = small("wine").y
    trains, tests = folds(labels, num_folds=5, num_repeats=3, seed=0)
    assert len(trains) == len(tests) == 15
    for train, test in zip(trains, tests, strict=True):
        assert_partition((train, test), len(labels))
        assert (abs(np.bincount(labels[test]) - np.bincount(labels) / 5) <= 1).all()
    for repeat in range(3):
        assert_partition(tests[5 * repeat : 5 * repeat + 5], len(labels))
    assert not np.array_equal(tests[0], tests[5])
    again = folds(labels, num_folds=5, num_repeats=3, seed=0)[1]
    assert all(np.array_equal(one, other) for one, other in zip(tests, again, strict=True))


@pytest.mark.parametrize(
    ("labels", "change", "match"),
    [
        ([0, 1] * 6, {"num_folds": 1}, "num_folds must be at least 2, found 1"),
        ([0, 1] * 6, {"num_folds": 7}, "num_folds is 7.*class 0 has 6"),
        ([0, 0, 2, 2, 2], {}, "num_folds is 3.*class 0 has 2"),
        ([], {}, "found: none"),
        ([0, 1] * 6, {"num_repeats": 0}, "num_repeats must be at least 1, found 0"),
        ([0, 1] * 6, {"seed": -1}, "seed must lie in"),
    ],
)
def test_impossible_folds_are_refused(labels, change, match):
    arguments = {"num_folds": 3, "num_repeats": 1, "seed": 0} | change
    with pytest.raises(ValueError, match=match):
        folds(np.array(labels, np.int32), **arguments)


# --- standardization


def test_standardization_has_zero_mean_and_unit_variance():
    x = small("wine").x
    values = standardize(fit_standardization(x), x)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values.mean(axis=0, dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=0, dtype=np.float64), 1, rtol=1e-5)


def test_pictures_have_one_mean_and_scale():
    x = small("digits").x
    fitted = fit_standardization(x, per_feature=False)
    assert fitted.mean.shape == fitted.scale.shape == ()
    np.testing.assert_allclose(fitted.mean, x.astype(np.float64).mean(), rtol=1e-6)
    np.testing.assert_allclose(fitted.scale, x.astype(np.float64).std(), rtol=1e-6)
    assert fit_standardization(x).mean.shape == (8, 8, 1)


@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3, 1e-30, 3e38, 12345.678])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("per_feature", [True, False])
def test_a_constant_feature_becomes_exactly_zero(value, dtype, per_feature):
    x = np.full((1001, 2), value, dtype)
    values = standardize(fit_standardization(x, per_feature=per_feature), x)
    assert (values == 0).all()


def test_a_feature_that_varies_by_rounding_only_is_not_blown_up():
    x = np.full((100, 1), 0.1, np.float32)
    x[::2] = np.nextafter(np.float32(0.1), np.float32(1))
    fitted = fit_standardization(x)
    assert fitted.scale == 1 and abs(standardize(fitted, x)).max() < 1e-7


def test_a_deviation_below_float32_is_no_division_by_zero():
    x = np.array([[0.0], [1e-45]], np.float32)
    assert np.isfinite(standardize(fit_standardization(x), x)).all()


def test_the_mean_is_computed_in_float64():
    # Summed in float32, so many small deviations from a large mean would be lost.
    x = (1000 + np.random.default_rng(0).normal(size=(100_000, 1))).astype(np.float32)
    fitted = fit_standardization(x)
    exact = x.astype(np.float64)
    np.testing.assert_array_equal(fitted.mean, exact.mean(axis=0).astype(np.float32))
    np.testing.assert_allclose(fitted.scale, exact.std(axis=0), rtol=1e-6)


def test_no_values_are_refused():
    with pytest.raises(ValueError, match=r"x has shape \(0, 3\)"):
        fit_standardization(np.zeros((0, 3), np.float32))
