"""The data set that every experiment takes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from experiments.data.tables.preprocessing import Preprocessing


# Arrays have no single truth value, so two data sets are compared by `sha256`, not by `==`.
@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Examples with labels or targets, and what their numbers mean.

    Attributes:
        name: what it is called in reports and run directories: the name on the command line, or
            the stem of the user's file.
        x: features `(n, features)` or images `(n, height, width, channels)`, float32.
        y: labels `(n,)`, int32, or targets `(n,)`, float32, or float64 where float32 cannot tell
            them apart.
        feature_names: one for each feature, with its unit; the words of texts; empty for images.
        class_names: one for each class; empty for a regression.
        num_official_test: number of last examples that are the official test set; 0 where there is
            none.
        coefficients: the true slope of each feature, for generated data.
        intercept: the true intercept, for generated data.
        unit: what `y` measures, for a regression.
        preprocessing: how `x` was computed from the columns of a table.
        titles: one for each example of a data set of texts, for display; empty otherwise.
        groups: finer classes `(n,)`, int32, where there are any; nothing is trained on them.
        group_names: one for each of `groups`.
        is_named: whether `experiments.data.load` knows it by its name, which recipes and published
            results belong to; False for the user's data, whatever their file is called.
        published: experiment -> published results on this data set.
        notes: what a user should know of how a file was read, a sentence each.
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
    preprocessing: Preprocessing | None = None
    titles: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    group_names: tuple[str, ...] = ()
    is_named: bool = False
    published: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether the features are weights of words, 0 where a text does not contain the word."""
        return bool(self.titles)

    @property
    def is_image(self) -> bool:
        """Whether the examples are images."""
        return self.x.ndim == 4

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 for a regression."""
        return len(self.class_names)

    @property
    def sha256(self) -> str:
        """SHA-256 over dtype, shape and bytes of `x` and `y`.

        >>> x, y = np.zeros((2, 1), np.float32), np.zeros(2, np.float32)
        >>> Dataset("a name", x, y).sha256 == Dataset("another", x, y).sha256
        True
        >>> Dataset("a name", x, y).sha256 == Dataset("a name", x + 1, y).sha256
        False
        """
        digest = hashlib.sha256()
        for array in (self.x, self.y):
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        return digest.hexdigest()
