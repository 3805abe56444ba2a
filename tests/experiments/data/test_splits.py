"""Splits and folds."""

import dataclasses

import numpy as np
import pytest

from experiments.data import Dataset, folds, load, split


def labelled(counts: list[int], num_official_test: int = 0) -> Dataset:
    """A data set with these numbers of examples of each class."""
    y = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    names = tuple(f"class {label}" for label in range(len(counts)))
    x = np.zeros((len(y), 1), np.float32)
    return Dataset("some", x, y, class_names=names, num_official_test=num_official_test)


def alternating(**sizes: int) -> Dataset:
    """A data set of 100 examples of two classes in turn."""
    return dataclasses.replace(labelled([50, 50]), y=np.arange(100, dtype=np.int32) % 2, **sizes)


def assert_partition(parts, num_examples: int) -> None:
    together = np.concatenate(parts)
    assert np.sort(together).tolist() == list(range(num_examples))


@pytest.mark.parametrize("name", ["digits", "iris", "line", "diabetes"])
def test_a_split_contains_each_example_once_and_is_fixed_by_the_seed(name):
    dataset = load(name)
    parts = split(dataset, seed=3)
    assert_partition(parts, len(dataset.y))
    fractions = np.array([len(part) for part in parts]) / len(dataset.y)
    np.testing.assert_allclose(fractions, [0.64, 0.16, 0.2], atol=0.01)
    for part, again, other in zip(
        parts, split(dataset, seed=3), split(dataset, seed=4), strict=True
    ):
        np.testing.assert_array_equal(part, again)
        assert not np.array_equal(part, other)


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "iris"])
def test_each_part_has_the_classes_in_proportion(name):
    dataset = load(name)
    fractions = np.bincount(dataset.y) / len(dataset.y)
    for part in split(dataset, seed=0):
        counts = np.bincount(dataset.y[part], minlength=dataset.num_classes)
        assert (abs(counts - fractions * len(part)) < 2).all()


def test_the_fractions_are_respected():
    parts = split(load("line"), seed=0, validation_fraction=0.5, test_fraction=0.1)
    assert [len(part) for part in parts] == [90, 90, 20]


def test_the_official_test_set_is_the_test_part():
    # The sizes of MNIST.
    dataset = labelled([7_000] * 10, num_official_test=10_000)
    order = np.random.default_rng(0).permutation(60_000)
    y = np.concatenate([dataset.y[::7].repeat(6)[order], dataset.y[::7]])
    dataset = Dataset("some", dataset.x, y, class_names=dataset.class_names,
                      num_official_test=10_000)  # fmt: skip
    parts = split(dataset, seed=1)
    assert [len(part) for part in parts] == [55_000, 5_000, 10_000]
    assert_partition(parts, 70_000)
    assert parts.test.tolist() == list(range(60_000, 70_000))
    fractions = np.bincount(y[:60_000]) / 60_000
    assert (abs(np.bincount(y[parts.validation]) - 5_000 * fractions) < 2).all()


@pytest.mark.parametrize("rare", [0, 1, 2])
def test_a_class_too_rare_for_every_part_is_rejected(rare):
    message = rf"class 'class 2' has {rare} examples? in some, .* at least 3, .*; add examples"
    with pytest.raises(ValueError, match=message):
        split(labelled([50, 50, rare]), seed=0)


@pytest.mark.parametrize("counts", [[15, 3], [3, 3], [50, 3, 50], [4, 3, 5], [3] * 10])
def test_a_class_of_three_has_one_in_each_part(counts):
    dataset = labelled(counts)
    for seed in range(5):
        parts = split(dataset, seed=seed)
        assert_partition(parts, sum(counts))
        for part in parts:
            in_part = np.bincount(dataset.y[part], minlength=len(counts))
            assert (in_part >= 1).all()
            assert all(n == 1 for n, count in zip(in_part, counts, strict=True) if count == 3)
    again = split(dataset, seed=0)
    assert all(map(np.array_equal, again, split(dataset, seed=0)))


def test_an_official_test_set_without_a_class_is_rejected():
    with pytest.raises(
        ValueError, match=r"class 'class 0' of some .* the test part of 10 has none"
    ):
        split(labelled([50, 50], num_official_test=10), seed=0)


def test_without_a_validation_fraction_all_other_examples_train():
    parts = split(alternating(num_official_test=50), seed=0, validation_fraction=0)
    assert [len(part) for part in parts] == [50, 0, 50]


def test_an_official_validation_set_lies_before_the_test_set():
    parts = split(alternating(num_official_test=30, num_official_validation=20), seed=0)
    np.testing.assert_array_equal(parts.validation, np.arange(50, 70))
    np.testing.assert_array_equal(parts.test, np.arange(70, 100))


@pytest.mark.parametrize(
    ("name", "fraction"),
    [
        ("test_fraction", 0.0),
        *(
            (name, fraction)
            for name in ("validation_fraction", "test_fraction")
            for fraction in (1.0, -0.1, float("nan"))
        ),
    ],
)
def test_a_bad_fraction_is_rejected(name, fraction):
    with pytest.raises(ValueError, match=f"{name} must lie between 0 and 1"):
        split(load("iris"), seed=0, **{name: fraction})


def test_folds_are_stratified_and_contain_each_example_once_in_each_repeat():
    labels = load("wine").y
    trains, tests = folds(labels, num_folds=5, num_repeats=3, seed=0)
    assert len(trains) == len(tests) == 15
    for train, test in zip(trains, tests, strict=True):
        assert_partition((train, test), len(labels))
        assert (abs(np.bincount(labels[test]) - np.bincount(labels) / 5) <= 1).all()
    for repeat in range(3):
        assert_partition(tests[5 * repeat : 5 * repeat + 5], len(labels))
    assert not np.array_equal(tests[0], tests[5])
    again = folds(labels, num_folds=5, num_repeats=3, seed=0)[1]
    assert all(map(np.array_equal, tests, again))


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
def test_impossible_folds_are_rejected(labels, change, match):
    arguments = {"num_folds": 3, "num_repeats": 1, "seed": 0} | change
    with pytest.raises(ValueError, match=match):
        folds(np.array(labels, np.int32), **arguments)


def test_a_group_is_in_one_fold():
    generator = np.random.default_rng(0)
    labels, groups = generator.integers(2, size=60), generator.integers(6, size=60).astype(str)
    trains, tests = folds(labels, num_folds=3, num_repeats=2, seed=0, groups=groups)
    for train, test in zip(trains, tests, strict=True):
        assert not {*groups[train]} & {*groups[test]}
    assert sorted(np.concatenate(tests[:3])) == list(range(60))
    assert [list(test) for test in tests[:3]] != [list(test) for test in tests[3:]]


def test_each_group_is_left_out_once():
    groups = ["b", "a", "c", "a", "b", "c"]
    labels = np.array([0, 1, 0, 1, 1, 0])
    trains, tests = folds(labels, num_folds=0, num_repeats=2, seed=0, groups=groups)
    assert [test.tolist() for test in tests] == [[1, 3], [0, 4], [2, 5]] * 2
    assert trains[0].tolist() == [0, 2, 4, 5]


@pytest.mark.parametrize("num_folds", [0, 4])
def test_too_few_groups_are_rejected(num_folds):
    groups = ["a"] * 6 if num_folds == 0 else ["a", "b", "c"] * 2
    with pytest.raises(ValueError, match=r"groups cannot be divided into .* found a"):
        folds(np.arange(6) % 2, num_folds=num_folds, num_repeats=1, seed=0, groups=groups)
