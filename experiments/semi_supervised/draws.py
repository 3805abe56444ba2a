"""Which examples are held out, and whose labels are known in each draw."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from experiments.data import Dataset, split

UNLABELED = -1


class Parts(NamedTuple):
    """Indices of examples.

    Attributes:
        train: the training examples, sorted; methods see them all, without labels.
        held_out: the examples on which errors are measured, sorted; nothing is trained on them.
        labeled: for each draw the training examples whose labels are known, `(draws, labels)`.
    """

    train: np.ndarray
    held_out: np.ndarray
    labeled: np.ndarray


def divide(
    dataset: Dataset,
    *,
    test_size: int | None,
    labels_per_class: int | None,
    num_draws: int,
    seed: int,
    on_validation: bool = False,
) -> Parts:
    """Hold examples out, and draw the labels that are known.

    The test part is the official one where there is one, else a stratified part of the labelled
    examples that the seed decides. For settings that are to be chosen, the test part is left out
    of everything, and a validation part, as large as it, is held out of the rest instead.

    Args:
        dataset: the data; a label of `UNLABELED` is not known.
        test_size: examples of the test part; None is the official one, or a fifth.
        labels_per_class: labels that are known of each class in a draw; None is all.
        num_draws: number of draws.
        seed: of the parts and, with the number of a draw, of the draw.
        on_validation: whether to measure on a validation part, without any use of the test part.

    Returns:
        The parts.

    Raises:
        ValueError: a class has too few labels.

    >>> from experiments.data import load
    >>> digits = load("digits")
    >>> parts = divide(digits, test_size=500, labels_per_class=10, num_draws=3, seed=0)
    >>> len(parts.train), len(parts.held_out), parts.labeled.shape
    (1297, 500, (3, 100))
    >>> np.bincount(digits.y[parts.labeled[2]]).tolist() == [10] * 10
    True
    """
    known = np.flatnonzero(dataset.y != UNLABELED)
    _require_labels(dataset, known)
    rest, test = _hold_out(dataset, known, test_size, seed)
    held_out = test
    if on_validation:
        rest, held_out = _cut(dataset, rest, min(len(test), len(rest) // 4), seed)
    train = np.setdiff1d(np.arange(len(dataset.y)), np.union1d(test, held_out))
    return Parts(
        train,
        np.sort(held_out),
        _draw(dataset, np.sort(rest), labels_per_class, num_draws, seed),
    )


def _require_labels(dataset: Dataset, known: np.ndarray) -> None:
    counts = np.bincount(dataset.y[known], minlength=dataset.num_classes)
    if counts.min() < 2:
        name = dataset.class_names[int(counts.argmin())]
        raise ValueError(
            f"class {name!r} of {dataset.name} has {counts.min()} labels, and each class needs at "
            "least 2, one to learn from and one to be held out; add labels, or leave it out"
        )


def _hold_out(
    dataset: Dataset, known: np.ndarray, test_size: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labelled examples to learn from, and the test part."""
    if test_size is None and dataset.num_official_test:
        parts = split(dataset, seed=seed, validation_fraction=0)
        return parts.train, parts.test
    size = math.ceil(len(known) / 5) if test_size is None else test_size
    return _cut(dataset, known, size, seed)


def _cut(dataset: Dataset, rows: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """All rows but some, and these: each class in proportion."""
    from sklearn.model_selection import train_test_split

    size = max(size, dataset.num_classes)
    if size > len(rows) - dataset.num_classes:
        raise ValueError(
            f"test_size {size} leaves fewer than one of {len(rows)} labelled examples for each of "
            f"the {dataset.num_classes} classes; hold fewer out"
        )
    parts = train_test_split(rows, test_size=size, random_state=seed, stratify=dataset.y[rows])
    rest, held_out = map(np.asarray, parts)
    return rest, held_out


def _draw(
    dataset: Dataset, rows: np.ndarray, per_class: int | None, num_draws: int, seed: int
) -> Int[np.ndarray, "draws labels"]:
    if per_class is None:
        if num_draws > 1:
            raise ValueError(
                f"num_draws {num_draws} needs --labels-per-class: all labels are one draw"
            )
        return rows[None]
    labels = dataset.y[rows]
    counts = np.bincount(labels, minlength=dataset.num_classes)
    if counts.min() < per_class:
        name = dataset.class_names[int(counts.argmin())]
        raise ValueError(
            f"labels_per_class {per_class}: class {name!r} has {counts.min()} examples outside of "
            "the held-out part; use fewer"
        )
    members = [rows[labels == number] for number in range(dataset.num_classes)]
    drawn = []
    for draw in range(num_draws):
        rng = np.random.default_rng((seed, draw))
        chosen = [rng.choice(of_class, per_class, replace=False) for of_class in members]
        drawn.append(np.sort(np.concatenate(chosen)))
    return np.stack(drawn)
