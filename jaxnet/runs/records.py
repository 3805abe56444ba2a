"""The files of a run directory that programs read again: JSON objects and lines of metrics."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import ArrayLike


def metrics_record(
    epoch: int, step: int, parts: Mapping[str, Mapping[str, ArrayLike]]
) -> dict[str, Any]:
    """A line of `metrics.jsonl`: the metrics of one epoch.

    Args:
        epoch: number of the epoch, counted from 1.
        step: steps taken by its end.
        parts: part ("train", "validation") -> metric -> a scalar, or `(runs,)` for a batch of
            runs.

    Returns:
        A dict of numbers and lists, ready for JSON.

    >>> metrics_record(1, 28, {"train": {"loss": np.array([0.5, 0.25])}})
    {'epoch': 1, 'step': 28, 'train': {'loss': [0.5, 0.25]}}
    """
    return {"epoch": epoch, "step": step} | {
        part: {name: np.asarray(values).tolist() for name, values in metrics.items()}
        for part, metrics in parts.items()
    }


def read_log(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read the records of a `metrics.jsonl`; an incomplete last line is left out.

    Args:
        path: the file.

    Returns:
        One dict for each line, in order.

    Raises:
        ValueError: another line that is not a JSON object.
        OSError: the file cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "metrics.jsonl")
    ...     _ = path.write_text('{"epoch": 1}\\n{"epo')
    ...     read_log(path)
    [{'epoch': 1}]
    """
    lines = Path(path).read_text(encoding="utf-8", errors="replace").split("\n")
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line) if line else None
            if record is not None and not isinstance(record, dict):
                raise ValueError("not a JSON object")
        except ValueError as error:
            if number == len(lines):
                break
            raise ValueError(f"{path}, line {number}: {error}; delete the line") from error
        if record is not None:
            records.append(record)
    return records


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object from a file of a run directory.

    Args:
        path: the file, such as `RUN/config.json`.

    Returns:
        The object.

    Raises:
        ValueError: the file does not exist, cannot be read, or holds something else.

    >>> read_json("missing/config.json")
    Traceback (most recent call last):
    ...
    ValueError: missing/config.json does not exist; is missing the directory of a run?
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; is {path.parent} the directory of a run?") from (
            error
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {type(content).__name__}, expected a JSON object")
    return content


HASH = "content_sha256"


def add_hash(content: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with a hash of its own content, which `read_hashed_json` checks.

    Args:
        content: name -> a value that JSON can hold.

    >>> sorted(add_hash({"rate": 0.1}))
    ['content_sha256', 'rate']
    """
    values = {name: value for name, value in content.items() if name != HASH}
    # As it is read again: tuples become lists, and keys text.
    text = json.dumps(values, default=str, ensure_ascii=False)
    canonical = json.dumps(json.loads(text), sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
    return values | {HASH: digest}


def read_hashed_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object that was written with `add_hash`.

    Args:
        path: the file, such as `RUN/config.json`.

    Returns:
        The object, without the hash.

    Raises:
        ValueError: as `read_json`; the file has no hash, or the content is another.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "config.json")
    ...     _ = path.write_text(json.dumps(add_hash({"rate": 0.1})))
    ...     content = read_hashed_json(path)
    ...     _ = path.write_text(path.read_text().replace("0.1", "0.2"))
    ...     read_hashed_json(path)
    Traceback (most recent call last):
    ...
    ValueError: ...config.json has been changed since it was written: ...
    """
    content = read_json(path)
    recorded = content.pop(HASH, None)
    if recorded != add_hash(content)[HASH]:
        problem = "has no hash" if recorded is None else "has been changed since it was written"
        raise ValueError(
            f"{path} {problem}: its content and {HASH} do not match; restore the file, or start a "
            "new run with the options that you want"
        )
    return content


def json_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run as JSON holds them: tuples become lists, paths strings.

    Args:
        config: option -> value. Values are numbers, strings, booleans, None, paths, NumPy scalars
            or arrays, and lists, tuples and dicts of these.

    Returns:
        The same options, equal to what `read_json` reads after they were written.

    Raises:
        TypeError: a value that JSON cannot hold; the option is named.

    >>> json_values({"hidden_dims": (64, 32), "rate": np.float32(0.5), "data": Path("a.csv")})
    {'hidden_dims': [64, 32], 'rate': 0.5, 'data': 'a.csv'}
    """
    return {name: json.loads(_dump(name, value)) for name, value in config.items()}


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of nested dicts, with names joined by dots.

    Args:
        config: option -> value.

    >>> flatten({"seed": 0, "method": {"name": "dec", "num_epochs": 50}})
    {'seed': 0, 'method.name': 'dec', 'method.num_epochs': 50}
    """
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= {f"{name}.{inner}": leaf for inner, leaf in flatten(value).items()}
        else:
            flat[name] = value
    return flat


def _dump(name: str, value: Any) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        raise TypeError(
            f"config: option {name!r} holds a {type(value).__name__}, which config.json cannot "
            "hold; give numbers, strings, booleans, None, paths, or lists and dicts of these"
        )

    return json.dumps(value, default=plain)
