"""Pack a user's data into ArrayRecord files, which experiments read while they train.

    python -m experiments.pack table.csv packed --label species
    python -m experiments.pack table.parquet packed --label price --regression
    python -m experiments.pack images packed --size 64 64      # images/CLASS/*.png
    python -m experiments.pack arrays packed                   # arrays/x.npy, arrays/y.npy
    python -m experiments.classification --data packed

The data may be larger than memory: a table is read twice in pieces, images one by one. The folder
that is made holds `dataset.json` (columns, types, classes, how features are computed from a table,
the SHA-256 of each file and of all examples) and files `data-00000.array_record`. It has its name
once it is complete: a command that is interrupted leaves nothing and is run again.
"""

import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import pydantic
import tyro

from experiments.command import main
from experiments.config import Options, PositiveInt
from experiments.data.new_rows import format_content
from jaxnet import streams

_SECONDS_BETWEEN_LINES = 5.0
_EXAMPLES_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Options):
    """Pack a CSV or Parquet table, a folder of images or a folder of .npy files into ArrayRecord
    files, which experiments.classification and experiments.regression read while they train."""

    experiment: ClassVar[str] = "pack"

    input: tyro.conf.Positional[Path]
    """A CSV file (UTF-8, names of the columns in the first row), a Parquet file, a folder of images
    (FOLDER/CLASS/*.png or *.jpg), or a folder with x.npy and y.npy."""
    output: tyro.conf.Positional[Path]
    """The folder that is made."""
    label: str | None = None
    """Column of a table that is predicted."""
    regression: bool = False
    """The label, or y.npy, is a number to predict and not a class."""
    ignore: tuple[str, ...] = ()
    """Columns of a table that are left out."""
    size: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width that images are resized to; None is that of the first image, which all must
    have."""
    channels: Annotated[int, pydantic.Field(ge=1, le=4)] | None = None
    """Channels of images: 1 for gray, 3 for colors, 4 with transparency; None is that of the first
    image."""
    examples_per_record: PositiveInt | None = None
    """Examples in a record, which is read as a whole; None makes records of about 256 KB."""
    compression: Annotated[int, pydantic.Field(ge=0, le=22)] = 1
    """Level of the Zstandard compression of the records; 0 compresses nothing, which is read
    fastest."""


class _Content(NamedTuple):
    """Examples in pieces, and what is known of them."""

    batches: Iterator[dict[str, np.ndarray]]
    num_examples: int
    metadata: Mapping[str, Any]


def run(config: Config) -> streams.Description:
    """Pack the data.

    Returns:
        What `dataset.json` says.

    Raises:
        ValueError: data that cannot be read or packed, options of other data; nothing is left.
        OSError: a file that cannot be read or written.
    """
    path, out = config.input, config.output
    if out.exists():
        raise ValueError(f"output: {out} exists already; name another folder, or remove it")
    if not out.absolute().parent.is_dir():
        raise ValueError(f"output: there is no folder {out.absolute().parent}; make it first")
    if path.is_dir() and (path / "x.npy").is_file():
        content = _arrays(config)
    elif path.is_dir():
        content = _images(config)
    else:
        content = _table(config)
    try:
        description = streams.write_array_records(
            out,
            _watched(content),
            metadata=content.metadata,
            examples_per_record=config.examples_per_record,
            compression=config.compression,
        )
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is not installed; install functional-jaxnet[streams]"
        ) from error
    shapes = ", ".join(
        f"{name} {column.dtype} {column.shape}" for name, column in description.columns.items()
    )
    size = sum(shard.num_bytes for shard in description.shards) / 1e6
    print(
        f"packed {description.num_examples} examples ({shapes}) into {len(description.shards)} "
        f"files of {size:.1f} MB in {out}"
    )
    return description


def _watched(content: _Content) -> Iterator[dict[str, np.ndarray]]:
    done, last = 0, time.monotonic()
    for batch in content.batches:
        yield batch
        done += len(batch["x"])
        if time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f"{done} of {content.num_examples} examples", flush=True)


def _table(config: Config) -> _Content:
    from experiments.data.streams.table_pieces import table_pieces

    _require_none(config, "a table", "size", "channels")
    if config.regression and config.label is None:
        raise ValueError("regression needs --label, the column that is predicted; name it")
    pieces = table_pieces(
        config.input,
        label=config.label,
        is_regression=config.regression,
        ignore=config.ignore,
    )
    fitted = pieces.preprocessing
    metadata = {
        "kind": "table",
        "class_names": list(fitted.class_names),
        "unit": config.label if config.regression else "",
        "preprocessing": format_content(fitted),
    }
    return _Content(pieces.batches(), pieces.num_rows, metadata)


def _images(config: Config) -> _Content:
    _require_none(config, "images", "label", "regression", "ignore")
    source = streams.image_source(config.input, size=config.size, channels=config.channels)
    if len(source.class_names) == 1:
        raise ValueError(
            f"{config.input} has one class, {source.class_names[0]!r}; a classifier needs at least "
            "two subfolders of images"
        )
    metadata = {"kind": "images", "class_names": list(source.class_names)}
    return _Content(_pieces(source), len(source), metadata)


def _arrays(config: Config) -> _Content:
    _require_none(config, "arrays", "label", "ignore", "size", "channels")
    source = streams.npy_source(config.input)
    example = source.read_range(0, 1)
    extra = sorted(set(example) - {"x", "y"})
    if extra:
        raise ValueError(f"{config.input} holds {extra[0]}.npy, expected x.npy and y.npy alone")
    class_names: list[str] = []
    if "y" in example and not config.regression:
        class_names = _classes(source)
    metadata = {"kind": "arrays", "class_names": class_names}
    return _Content(_pieces(source), len(source), metadata)


def _classes(source: streams.Source) -> list[str]:
    """The names of classes that are numbers from 0."""
    counts = np.zeros(0, np.int64)
    for start in range(0, len(source), 1 << 16):
        labels = source.read_range(start, min(len(source), start + (1 << 16)))["y"]
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.min() < 0:
            raise ValueError(
                "y.npy must hold one class for each example, whole numbers from 0, found dtype "
                f"{labels.dtype} and shape {labels.shape}; for numbers to predict add --regression"
            )
        if labels.max() >= 1000:
            raise ValueError(f"y.npy holds {labels.max()}, at most 1000 classes are supported")
        counts = np.bincount(labels, minlength=len(counts)) + np.pad(
            counts, (0, max(0, int(labels.max()) + 1 - len(counts)))
        )
    if (counts == 0).any() or len(counts) < 2:
        absent = int(np.argmin(counts)) if len(counts) > 1 else 1
        raise ValueError(f"y.npy has no example of class {absent}; number the classes from 0")
    return [str(number) for number in range(len(counts))]


def _pieces(source: streams.Source) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(source), _EXAMPLES_AT_ONCE):
        yield source.read_range(start, min(len(source), start + _EXAMPLES_AT_ONCE))


def _require_none(config: Config, kind: str, *names: str) -> None:
    for name in names:
        if getattr(config, name) != Config.__dataclass_fields__[name].default:
            raise ValueError(f"{name} is not for {kind}, found {config.input}; leave it out")


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
