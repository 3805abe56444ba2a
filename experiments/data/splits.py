"""Training, validation and test parts; folds for cross-validation."""

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Int

from experiments.data.dataset import Dataset

_MAX_VALIDATION = 5000
_NUM_SHOWN = 5


class Split(NamedTuple):
    """Sorted indices of the examples of each part, integers; each example is in one part."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split(
    dataset: Dataset, *, seed: int, validation_fraction: float = 0.2, test_fraction: float = 0.2
) -> Split:
    """Split at random: by default 64 % training, 16 % validation and 20 % test examples.

    With classes the split is stratified, and a class of three examples has one in each part. An
    official test set is the test part, and an official validation set the validation part, which
    else has at most 5 000 examples.

    Args:
        dataset: the data.
        seed: decides the split.
        validation_fraction: fraction of the examples outside the test part for validation; 0 puts
            all of them into the training part, those of an official validation set too.
        test_fraction: fraction of all examples for the test; unused where there is an official test
            set.

    Returns:
        Three arrays of indices into `dataset.x`.

    Raises:
        ValueError: a fraction is not between 0 and 1, the seed is out of range, or there are too
            few examples for every class to be in every part.

    >>> from experiments.data import load
    >>> [len(part) for part in split(load("digits"), seed=0)]
    [1149, 288, 360]
    """
    fractions = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    for name, fraction in fractions.items():
        if not (0 < fraction < 1 or (fraction == 0 and name == "validation_fraction")):
            raise ValueError(f"{name} must lie between 0 and 1, both excluded, found {fraction}")
    _require_seed(seed)
    _require_members(dataset)
    indices = np.arange(len(dataset.y))
    try:
        if dataset.num_official_test:
            rest, test = np.split(indices, [-dataset.num_official_test])
        else:
            rest, test = _divide(dataset, indices, math.ceil(test_fraction * len(indices)), seed)
        if validation_fraction == 0:
            train, validation = rest, rest[:0]
        elif dataset.num_official_validation:
            train, validation = np.split(rest, [-dataset.num_official_validation])
        else:
            num_validation = min(math.ceil(validation_fraction * len(rest)), _MAX_VALIDATION)
            train, validation = _divide(dataset, rest, num_validation, seed)
        parts = Split(np.sort(train), np.sort(validation), np.sort(test))
    except ValueError as error:
        if dataset.num_official_test or not dataset.num_classes:
            raise ValueError(
                f"the {len(indices)} examples of {dataset.name} cannot be split: {error}; add "
                "examples, or change the fractions"
            ) from error
        parts = None
    if parts is None or (_absent(dataset, parts) and not dataset.num_official_test):
        parts = _divide_classes(dataset, validation_fraction, test_fraction, seed)
    if absent := _absent(dataset, parts):
        part, name = absent
        raise ValueError(
            f"class {name!r} of {dataset.name} has too few examples: the {part} part of "
            f"{len(parts._asdict()[part])} has none, every part needs one; add examples, leave out "
            "the rare class, or change the fractions"
        )
    return parts


def _require_members(dataset: Dataset) -> None:
    """Raise where a class has not one example for each part."""
    counts = np.bincount(dataset.y, minlength=dataset.num_classes) if dataset.num_classes else []
    rare = [
        f"class {name!r} has {count} example{'' if count == 1 else 's'}"
        for name, count in zip(dataset.class_names, counts, strict=dataset.num_classes > 0)
        if count < 3
    ]
    if rare:
        more = ", ..." if len(rare) > _NUM_SHOWN else ""
        raise ValueError(
            f"{', '.join(rare[:_NUM_SHOWN])}{more} in {dataset.name}, and each class needs at "
            "least 3, one each for training, validation and test; add examples, join the class "
            "with another, or remove its rows"
        )


def _absent(dataset: Dataset, parts: Split) -> tuple[str, str] | None:
    """The first part and the name of a class that it has no example of."""
    for name, part in parts._asdict().items():
        if not len(part):
            continue
        missing = sorted(set(range(dataset.num_classes)) - set(dataset.y[part].tolist()))
        if missing:
            return name, dataset.class_names[missing[0]]
    return None


def _divide_classes(
    dataset: Dataset, validation_fraction: float, test_fraction: float, seed: int
) -> Split:
    """Split each class by itself, at least one example for each part."""
    rng = np.random.default_rng(seed)
    parts: list[list[int]] = [[], [], []]
    for label in range(dataset.num_classes):
        members = rng.permutation(np.flatnonzero(dataset.y == label))
        num_test = min(max(1, round(test_fraction * len(members))), len(members) - 2)
        rest = len(members) - num_test
        num_validation = min(max(1, round(validation_fraction * rest)), rest - 1)
        num_validation = num_validation if validation_fraction else 0
        train, validation, test = np.split(members, [rest - num_validation, rest])
        for part, chosen in zip(parts, (train, validation, test), strict=True):
            part.extend(chosen.tolist())
    return Split(*(np.sort(np.array(part, np.int64)) for part in parts))


def _divide(dataset: Dataset, indices: np.ndarray, size: int, seed: int) -> list[np.ndarray]:
    """All indices but `size`, and `size` of them; each class in proportion."""
    from sklearn.model_selection import train_test_split

    labels = dataset.y[indices] if dataset.num_classes else None
    parts = train_test_split(indices, test_size=size, random_state=seed, stratify=labels)
    return cast(list[np.ndarray], parts)


def folds(
    labels: Int[np.ndarray, " n"],
    *,
    num_folds: int,
    num_repeats: int,
    seed: int,
    groups: Sequence[str] | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Training and test indices of a repeated, stratified cross-validation.

    Args:
        labels: labels `(n,)`.
        num_folds: folds of each repeat; each example is a test example in one of them. With groups
            it may be 0: each group is a fold, in the order of their names.
        num_repeats: repeats, each with other folds, unless each group is a fold.
        seed: decides the folds.
        groups: the group of each example; a group is in one fold of a repeat.

    Returns:
        `num_folds * num_repeats` arrays of training indices, and as many of test indices.

    Raises:
        ValueError: there are fewer than two folds, more folds than groups or than the rarest class
            has examples, no repeats, or the seed is out of range.

    >>> trains, tests = folds(np.array([0, 1] * 6), num_folds=3, num_repeats=2, seed=0)
    >>> len(tests), len(trains[0]), len(tests[0])
    (6, 8, 4)
    """
    from sklearn.model_selection import RepeatedStratifiedKFold

    if num_repeats < 1:
        raise ValueError(f"num_repeats must be at least 1, found {num_repeats} (--repeats)")
    _require_seed(seed)
    if groups is not None:
        tests = _group_folds(labels, groups, num_folds, num_repeats, seed)
        return [np.setdiff1d(np.arange(len(labels)), test) for test in tests], tests
    classes, counts = np.unique(labels, return_counts=True)
    if num_folds < 2:
        raise ValueError(f"num_folds must be at least 2, found {num_folds}")
    if len(counts) == 0 or num_folds > counts.min():
        rarest = f"class {classes[counts.argmin()]} has {counts.min()}" if len(counts) else "none"
        raise ValueError(
            f"num_folds is {num_folds}, and every class needs this number of examples, "
            f"found: {rarest}; use fewer folds (--cross-validate)"
        )
    splitter = RepeatedStratifiedKFold(n_splits=num_folds, n_repeats=num_repeats, random_state=seed)
    trains, tests = zip(*splitter.split(np.zeros(len(labels)), labels), strict=True)
    return list(trains), list(tests)


def _group_folds(
    labels: np.ndarray, groups: Sequence[str], num_folds: int, num_repeats: int, seed: int
) -> list[np.ndarray]:
    """The test indices of folds that hold whole groups."""
    from sklearn.model_selection import StratifiedGroupKFold

    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < max(num_folds, 2):
        raise ValueError(
            f"{len(names)} groups cannot be divided into {num_folds or 'at least 2'} folds, found "
            f"{', '.join(map(str, names[:_NUM_SHOWN]))}; use fewer folds (--cross-validate), or "
            "leave --group out"
        )
    if num_folds == 0:
        return [np.flatnonzero(codes == index) for index in range(len(names))] * num_repeats
    tests = []
    for repeat in range(num_repeats):
        splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed + repeat)
        tests += [test for _, test in splitter.split(codes, labels, codes)]
    return tests


def _require_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must lie in [0, 2**32), found {seed}")
