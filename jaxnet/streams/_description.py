"""`dataset.json`, which says what a folder of packed examples holds."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnet.streams.source import StreamError

FILE = "dataset.json"
_FORMAT = "jaxnet packed examples, version 1"


class Column(NamedTuple):
    """The values of one entry of the examples.

    Attributes:
        dtype: name of the NumPy dtype.
        shape: of the value of one example.
    """

    dtype: str
    shape: tuple[int, ...]

    def num_bytes(self) -> int:
        """Bytes of the value of one example."""
        return np.dtype(self.dtype).itemsize * math.prod(self.shape)


class Shard(NamedTuple):
    """One file.

    Attributes:
        file: its name in the folder.
        num_examples: examples in it.
        num_bytes: its size.
        sha256: of its bytes.
    """

    file: str
    num_examples: int
    num_bytes: int
    sha256: str


class Description(NamedTuple):
    """What a folder of packed examples holds.

    Attributes:
        columns: name -> column.
        examples_per_record: examples in each record but the last.
        shards: the files, in order.
        content_sha256: of all examples, whatever files and records they are in.
        metadata: what else is known of the data, such as the names of the classes.
    """

    columns: dict[str, Column]
    examples_per_record: int
    shards: tuple[Shard, ...]
    content_sha256: str
    metadata: dict[str, Any]

    @property
    def num_examples(self) -> int:
        """Number of all examples."""
        return sum(shard.num_examples for shard in self.shards)


def write_description(folder: Path, description: Description) -> None:
    """Write `dataset.json`.

    Args:
        folder: where it is written.
        description: its content.
    """
    content = {
        "format": _FORMAT,
        "num_examples": description.num_examples,
        "examples_per_record": description.examples_per_record,
        "columns": {name: column._asdict() for name, column in description.columns.items()},
        "shards": [shard._asdict() for shard in description.shards],
        "content_sha256": description.content_sha256,
        "metadata": description.metadata,
    }
    content["sha256"] = _hash(content)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8")


def read_description(folder: Path) -> Description:
    """Read and check `dataset.json`.

    Args:
        folder: of the packed examples.

    Returns:
        The description.

    Raises:
        StreamError: it is damaged or was changed, or a file is missing or has another size.
        FileNotFoundError: there is none.
    """
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no {FILE}: it is not a folder of packed examples; "
            "python -m experiments.pack makes one"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        recorded = content.pop("sha256")
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']!r}, expected {_FORMAT!r}")
        if recorded != _hash(content):
            raise ValueError("its content is not that of its SHA-256")
        description = _parsed(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StreamError(f"{path} is damaged ({error}); pack the data again") from error
    for shard in description.shards:
        file = folder / shard.file
        size = file.stat().st_size if file.is_file() else None
        if size != shard.num_bytes:
            found = "is missing" if size is None else f"has {size} bytes"
            raise StreamError(
                f"{file} {found}, expected {shard.num_bytes} bytes; copy it again, or pack the "
                "data again"
            )
    return description


def hash_file(path: Path) -> str:
    """The SHA-256 of the bytes of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parsed(content: dict[str, Any]) -> Description:
    columns = {
        str(name): Column(np.dtype(str(column["dtype"])).name, tuple(map(int, column["shape"])))
        for name, column in content["columns"].items()
    }
    shards = tuple(
        Shard(
            str(shard["file"]),
            int(shard["num_examples"]),
            int(shard["num_bytes"]),
            str(shard["sha256"]),
        )
        for shard in content["shards"]
    )
    per_record = int(content["examples_per_record"])
    if per_record < 1 or not columns or not shards:
        raise ValueError("no columns, no files, or no examples in a record")
    for column in columns.values():
        if np.dtype(column.dtype).kind not in "biuf" or min(column.shape, default=1) < 0:
            raise ValueError(f"{column}")
    for index, shard in enumerate(shards):
        if Path(shard.file).name != shard.file or shard.num_examples < 1:
            raise ValueError(f"{shard}")
        if shard.num_examples % per_record and index < len(shards) - 1:
            raise ValueError(f"{shard.file} ends inside a record")
    return Description(columns, per_record, shards, content["content_sha256"], content["metadata"])


def _hash(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
