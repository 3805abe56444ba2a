"""What recipes need to know about data: sizes and kinds, without the examples themselves."""

import math
from typing import NamedTuple

from experiments.data import Dataset
from experiments.data.named.registry import canonical_name


class Facts(NamedTuple):
    """Sizes and kinds of a data set.

    Attributes:
        num_examples: examples of all parts together.
        in_shape: shape of one example.
        num_classes: classes of the labels; 0 where there are none.
        name: name of a named data set; "" for a user's file, which has no recipe of its own.
        is_text: whether the features are weights of words.
        is_series: whether the examples are series of numbers.
        is_tokens: whether the examples are sequences of tokens.
        num_groups: finer classes than the labels; 0 where there are none.
    """

    num_examples: int
    in_shape: tuple[int, ...]
    num_classes: int = 0
    name: str = ""
    is_text: bool = False
    is_series: bool = False
    is_tokens: bool = False
    num_groups: int = 0

    @property
    def is_image(self) -> bool:
        """Whether the examples are images."""
        return len(self.in_shape) == 3

    @property
    def num_features(self) -> int:
        """Numbers in one example."""
        return math.prod(self.in_shape)


# Known in advance, so that `--help` neither reads nor downloads a data set.
_NAMED = {
    "digits": Facts(1797, (8, 8, 1), 10),
    "breast_cancer": Facts(569, (30,), 2),
    "wine": Facts(178, (13,), 3),
    "iris": Facts(150, (4,), 3),
    "mnist": Facts(70_000, (28, 28, 1), 10),
    "mnist_test": Facts(10_000, (28, 28, 1), 10),
    "fashion_mnist": Facts(70_000, (28, 28, 1), 10),
    "olivetti_faces": Facts(400, (64, 64, 1), 40),
    "emails": Facts(5841, (6224,), 2, is_text=True, num_groups=5),
    "banking77": Facts(10_003, (16_384,), 77, is_tokens=True),
    "clinc150": Facts(22_500, (16_384,), 150, is_tokens=True),
    "nsmc": Facts(50_000, (32_768,), 2, is_tokens=True),
    "fsdd": Facts(2500, (64, 32), 10, is_series=True),
    "ACSF1": Facts(200, (1460, 1), 10, is_series=True),
    "ArrowHead": Facts(211, (251, 1), 3, is_series=True),
    "BasicMotions": Facts(80, (100, 6), 4, is_series=True),
    "CBF": Facts(930, (128, 1), 3, is_series=True),
    "Coffee": Facts(56, (286, 1), 2, is_series=True),
    "GunPoint": Facts(200, (150, 1), 2, is_series=True),
    "ItalyPowerDemand": Facts(1096, (24, 1), 2, is_series=True),
    "JapaneseVowels": Facts(640, (29, 12), 9, is_series=True),
    "OSULeaf": Facts(442, (427, 1), 6, is_series=True),
    "PickupGestureWiimoteZ": Facts(100, (361, 1), 10, is_series=True),
    "Trace": Facts(200, (275, 1), 4, is_series=True),
    "line": Facts(200, (1,)),
    "crop_yield": Facts(400, (3,)),
    "diabetes": Facts(442, (10,)),
}


def facts_of(dataset: Dataset) -> Facts:
    """The facts of a data set that is loaded."""
    return Facts(
        dataset.num_examples,
        dataset.in_shape,
        dataset.num_classes,
        name=dataset.name if dataset.is_named else "",
        is_text=dataset.is_text,
        is_series=dataset.is_series,
        is_tokens=dataset.is_tokens,
        num_groups=len(dataset.group_names),
    )


def named_facts(name: str) -> Facts | None:
    """The facts of a named data set; None where they are not known in advance.

    >>> named_facts("digits").is_image, named_facts("wine").num_features
    (True, 13)
    """
    name = canonical_name(name)
    facts = _NAMED.get(name)
    return None if facts is None else facts._replace(name=name)


def batch_size_for(num_examples: int) -> int:
    """Batch size for a user's table: the larger the table, the larger its batches.

    Of a small one, whose training part is about two thirds, an epoch has at least two batches.

    >>> [batch_size_for(rows) for rows in (10, 20, 150, 5_000, 200_000)]
    [2, 4, 16, 64, 1024]
    """
    batch_size = 16
    while batch_size > 1 and batch_size * 4 > num_examples:
        batch_size //= 2
    while batch_size < 1024 and batch_size * 100 < num_examples:
        batch_size *= 2
    return batch_size


def is_large(facts: Facts) -> bool:
    """Whether a user's table is so large that few epochs and seeds are enough."""
    return facts.num_examples > 20_000
