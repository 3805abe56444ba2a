"""A packed data set: what is known of it without its examples, and what one pass over it finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.new_rows import restore_format
from experiments.data.scaling import Standardization, standardize
from jaxnet import streams
from jaxnet.training import fold_in_name

_EXAMPLES_AT_ONCE = 4096
# Of the examples that are evaluated, which stay in memory.
_MAX_BYTES = 1 << 26
_MAX_VALIDATION, _MAX_TEST = 5_000, 50_000
_TEST_FRACTION = 0.2


@dataclasses.dataclass(frozen=True, eq=False)
class PackedDataset(Dataset):
    """A data set whose examples are read while it is trained on; `x` and `y` hold none.

    Attributes:
        source: the examples.
    """

    source: streams.ArrayRecordSource | None = None

    @property
    def examples(self) -> streams.ArrayRecordSource:
        """The source of the examples."""
        assert self.source is not None
        return self.source

    @property
    def num_examples(self) -> int:
        """Number of examples."""
        return len(self.examples)

    @property
    def sha256(self) -> str:
        """SHA-256 of all examples, from the description of the data."""
        return self.examples.description.content_sha256


class Pass(NamedTuple):
    """What one pass over the examples finds.

    Attributes:
        inputs: mean and scale of the training examples.
        targets: mean and scale of the training targets of a regression; None for classes.
        class_counts: training examples of each class; none for a regression.
        validation: `x` and `y` of the validation part, as they are packed.
        test: `x` and `y` of the test part.
    """

    inputs: Standardization
    targets: Standardization | None
    class_counts: np.ndarray
    validation: dict[str, np.ndarray]
    test: dict[str, np.ndarray]


def is_packed(path: Path | None) -> bool:
    """Whether a path is that of packed examples: the folder, its description or one of its files.

    >>> is_packed(Path("table.csv"))
    False
    """
    if path is None:
        return False
    return (
        path.suffix == ".array_record"
        or path.name == "dataset.json"
        or (path.is_dir() and (path / "dataset.json").is_file())
    )


def load_packed(
    path: Path, *, task: Literal["classification", "regression"] = "classification"
) -> PackedDataset:
    """Open packed examples.

    Args:
        path: as for `is_packed`.
        task: what is predicted.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is damaged, or was packed for another task.
    """
    try:
        source = streams.array_record_source(path)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is not installed; install functional-jaxnet[streams]"
        ) from error
    columns, metadata = source.description.columns, source.description.metadata
    if "x" not in columns:
        raise ValueError(f"{path} has no column x, found {', '.join(columns)}; pack it again")
    class_names = tuple(str(name) for name in metadata.get("class_names", ()))
    if "y" not in columns or bool(class_names) != (task == "classification"):
        found = "labels" if "y" not in columns else "classes" if class_names else "targets"
        found = f"no {found}" if found == "labels" else f"{found}, for another experiment"
        remedy = "--label and --regression" if task == "regression" else "--label"
        raise ValueError(f"{path} holds {found}; pack the data again, with {remedy}")
    if columns["y"].shape:
        raise ValueError(f"{path}: y has shape {columns['y'].shape}, expected one number each")
    shape = columns["x"].shape
    fitted = restore_format(metadata.get("preprocessing"))
    if len(shape) not in (1, 3):
        raise ValueError(
            f"{path}: x has shape {shape}, expected features (n,) or images (height, width, "
            "channels)"
        )
    folder = path if path.is_dir() else path.absolute().parent
    names = fitted.feature_names if fitted is not None else ()
    if not names and len(shape) == 1:
        names = tuple(f"x{index}" for index in range(shape[0]))
    return PackedDataset(
        folder.absolute().name,
        np.zeros((0, *shape), np.float32),
        np.zeros(0, np.int32 if class_names else np.float32),
        feature_names=names,
        class_names=class_names,
        unit=str(metadata.get("unit") or ""),
        preprocessing=fitted,
        source=source,
    )


def split_packed(
    dataset: PackedDataset, *, seed: int, validation_fraction: float
) -> streams.SourceParts:
    """Training, validation and test parts by the numbers of the examples.

    The test part is 20 % of all, the validation part the fraction of the rest, and both at most
    50 000 and 5 000 examples, or 64 MB each, rounded to a thousandth of the data.
    """
    source = dataset.examples
    size = sum(column.num_bytes() for column in source.description.columns.values())
    most, length = max(100, _MAX_BYTES // max(1, size)), len(source)
    test = min(_TEST_FRACTION, max(min(most, _MAX_TEST) / length, 1e-3))
    validation = validation_fraction * (1 - test)
    if validation:
        validation = min(validation, max(min(most, _MAX_VALIDATION) / length, 1e-3))
    key = fold_in_name(jax.random.key(seed), "split")
    return streams.split_source(source, key, validation=validation, test=test)


class Moments:
    """Mean and standard deviation of numbers that come in pieces, in float64.

    Chan, Golub and LeVeque (1979), "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances": with `n` numbers of mean `m` and sum of squared deviations `s`, and `n'`, `m'`, `s'`
    of another piece, `s'' = s + s' + (m' - m)^2 n n' / (n + n')`.

    Args:
        axis: 0 for one mean and scale for each feature, None for one for all.

    >>> moments = Moments(0)
    >>> for piece in (np.array([[1.0], [2.0]]), np.array([[6.0]])):
    ...     moments.add(piece)
    >>> [round(float(value[0]), 3) for value in moments.result()]
    [3.0, 2.16]
    """

    def __init__(self, axis: int | None) -> None:
        self._axis, self._total = axis, 0
        self._mean = self._deviation = self._low = self._high = np.zeros(())

    def add(self, x: np.ndarray) -> None:
        """Add a piece, which must not be empty."""
        x, axis = np.asarray(x, np.float64), self._axis
        number, mean = x.size if axis is None else len(x), x.mean(axis=axis)
        total, difference = self._total + number, mean - self._mean
        deviation = ((x - mean) ** 2).sum(axis=axis) + difference**2 * (
            self._total * number / total
        )
        low, high = x.min(axis=axis), x.max(axis=axis)
        if self._total:
            low, high = np.minimum(low, self._low), np.maximum(high, self._high)
        self._mean = self._mean + difference * (number / total)
        self._deviation, self._low, self._high = self._deviation + deviation, low, high
        self._total = total

    def result(self) -> Standardization:
        """Mean and scale; what varies by no more than float32 rounds is constant."""
        scale, low, high = np.sqrt(self._deviation / self._total), self._low, self._high
        constant = high - low <= np.finfo(np.float32).eps * np.maximum(abs(low), abs(high))
        constant |= scale < np.finfo(np.float32).tiny
        return Standardization(
            np.where(constant, low, self._mean).astype(np.float32),
            np.where(constant, 1.0, scale).astype(np.float32),
        )


def pass_over(dataset: PackedDataset, parts: streams.SourceParts) -> Pass:
    """Mean and scale of the training examples, their classes, and the examples of the other parts.

    Args:
        dataset: the data.
        parts: of `split_packed`.

    Raises:
        ValueError: a number that is not finite, a label out of range, a class without an example.
    """
    inputs, targets = Moments(None if dataset.is_image else 0), Moments(None)
    counts = np.zeros(dataset.num_classes, np.int64)
    content: dict[str, list[dict[str, np.ndarray]]] = {"validation": [], "test": []}
    for pieces in _side_by_side(parts):
        for name, others in content.items():
            others.append(_checked(dataset, pieces[name]))
        piece = _checked(dataset, pieces["train"])
        inputs.add(unscaled(piece["x"]))
        if dataset.num_classes:
            counts += np.bincount(piece["y"], minlength=dataset.num_classes)
        else:
            targets.add(piece["y"])
    if dataset.num_classes and (counts == 0).any():
        name = dataset.class_names[int(np.argmin(counts))]
        raise ValueError(f"class {name!r} of {dataset.name} has no training example; add examples")
    joined = {
        name: {column: np.concatenate([p[column] for p in pieces]) for column in pieces[0]}
        for name, pieces in content.items()
    }
    return Pass(
        inputs.result(), None if dataset.num_classes else targets.result(), counts, **joined
    )


def unscaled(x: np.ndarray) -> np.ndarray:
    """Bytes as numbers in [0, 1], and all else as float32."""
    if x.dtype == np.uint8:
        return x.astype(np.float32) / np.float32(255)
    return x.astype(np.float32)


def scaler(inputs: Standardization, dtype: Any) -> Any:
    """A function that standardizes examples with any leading axes.

    For bytes it is a table of the 256 results, which are those of `standardize`.
    """
    if np.dtype(dtype) == np.uint8 and np.ndim(inputs.mean) == 0:
        table = standardize(inputs, unscaled(np.arange(256, dtype=np.uint8)))
        return lambda x: table[x]
    return lambda x: standardize(inputs, unscaled(x))


def _side_by_side(parts: streams.SourceParts) -> Iterator[dict[str, dict[str, np.ndarray]]]:
    """Pieces of all parts that lie at the same places of the files, which are read once."""
    num_pieces = -(-len(parts.train) // _EXAMPLES_AT_ONCE)
    for index in range(num_pieces):
        pieces = {}
        for name, part in parts._asdict().items():
            length = 0 if part is None else len(part)
            start, stop = (length * i // num_pieces for i in (index, index + 1))
            # Without a part there is nothing, of the types of the others.
            pieces[name] = (part or parts.train).read_range(start, stop)
        yield pieces


def _checked(dataset: PackedDataset, piece: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A piece whose numbers are finite and whose labels are classes."""
    labels = piece["y"]
    for name, values in piece.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"{dataset.name}: {name} holds nan or an infinite number; correct it")
    if not dataset.num_classes:
        return piece
    wrong = (labels < 0) | (labels >= dataset.num_classes)
    if wrong.any():
        raise ValueError(
            f"{dataset.name}: label {labels[wrong][0]}, expected 0 to {dataset.num_classes - 1}; "
            "pack the data again"
        )
    return piece
