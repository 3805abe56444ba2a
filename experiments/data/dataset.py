"""The data set that every experiment takes, and new examples to predict."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from experiments.data.format import Format
from jaxnet.typing import Sequences

# What networks take: one array, or sequences of different lengths.
Inputs = np.ndarray | Sequences
InputsT = TypeVar("InputsT", bound=Inputs)


def take(x: InputsT, rows: np.ndarray) -> InputsT:
    """Some examples of an array or of sequences.

    >>> take(Sequences(np.ones((3, 2)), np.array([1, 2, 1])), np.array([0, 1])).length.tolist()
    [1, 2]
    """
    return jax.tree.map(lambda leaf: leaf[rows], x)


# Arrays have no single truth value, so two data sets are compared by `sha256`, not by `==`.
@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Examples with labels or targets, and what their numbers mean.

    Attributes:
        name: what it is called in reports and run directories: the name on the command line, or
            the stem of the user's file.
        x: features `(n, features)`, images `(n, height, width, channels)`, or the padded steps of
            sequences: series `(n, time, channels)`, float32, or tokens `(n, time)`, int32.
        y: labels `(n,)`, int32, or targets `(n,)`, float32, or float64 where float32 cannot tell
            them apart.
        feature_names: one for each feature, with its unit; the words of texts; empty for images.
        class_names: one for each class; empty for a regression.
        length: number of steps of each sequence `(n,)`, int32; None for other examples.
        num_tokens: number of different tokens, which are integers in [0, num_tokens).
        num_official_test: number of last examples that are the official test set; 0 where there is
            none.
        num_official_validation: number of examples before these that are the official validation
            set; 0 where there is none.
        coefficients: the true slope of each feature, for generated data.
        intercept: the true intercept, for generated data.
        unit: what `y` measures, for a regression.
        preprocessing: how `x` was computed from a file, and is computed from new ones.
        titles: one for each example of a data set of texts, for display; empty otherwise.
        groups: finer classes `(n,)`, int32, where there are any; nothing is trained on them.
        group_names: one for each of `groups`.
        groupings: what examples can be grouped by for a cross-validation, such as the speaker:
            name -> the group of each example.
        out_of_scope: examples of none of the classes, on which their detection is evaluated.
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
    length: np.ndarray | None = None
    num_tokens: int = 0
    num_official_test: int = 0
    num_official_validation: int = 0
    coefficients: tuple[float, ...] | None = None
    intercept: float | None = None
    unit: str = ""
    preprocessing: Format | None = None
    titles: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    group_names: tuple[str, ...] = ()
    groupings: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    out_of_scope: Inputs | None = None
    is_named: bool = False
    published: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def num_examples(self) -> int:
        """Number of examples."""
        return len(self.x)

    @property
    def inputs(self) -> Inputs:
        """The examples as networks take them: `x`, or sequences."""
        return self.x if self.length is None else Sequences(self.x, self.length)

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of one example, padding included; of tokens, the number of different ones."""
        return (self.num_tokens,) if self.is_tokens else self.x.shape[1:]

    @property
    def is_text(self) -> bool:
        """Whether the features are weights of words, 0 where a text does not contain the word."""
        return bool(self.titles) and self.length is None

    @property
    def is_series(self) -> bool:
        """Whether the examples are series of numbers, such as recordings."""
        return self.length is not None and not self.is_tokens

    @property
    def is_tokens(self) -> bool:
        """Whether the examples are sequences of tokens, such as the words of texts."""
        return self.length is not None and self.x.ndim == 2

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
        """SHA-256 over dtype, shape and bytes of `x`, `y` and, where there is one, `length`.

        >>> x, y = np.zeros((2, 1), np.float32), np.zeros(2, np.float32)
        >>> Dataset("a name", x, y).sha256 == Dataset("another", x, y).sha256
        True
        >>> Dataset("a name", x, y).sha256 == Dataset("a name", x + 1, y).sha256
        False
        """
        digest = hashlib.sha256()
        for array in (self.x, self.y, *(() if self.length is None else (self.length,))):
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        return digest.hexdigest()


class NewRows(NamedTuple):
    """New examples to predict.

    Attributes:
        x: what `Dataset.inputs` is for the data of the run.
        carried: columns that the output takes over: name -> cells as they are in the file.
        row_notes: for each example what was filled or unknown in it; "" for most.
        notes: what the user should know, a sentence each.
    """

    x: Inputs
    carried: dict[str, list[Any]]
    row_notes: list[str]
    notes: list[str]

    @property
    def num_rows(self) -> int:
        """Number of examples."""
        return len(self.x.length if isinstance(self.x, Sequences) else self.x)
