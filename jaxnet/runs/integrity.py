"""Whether the files of a finished run still belong together."""

import hashlib
import os
from pathlib import Path
from typing import Any

from jaxnet.runs.records import read_hashed_json

# What decides a result or a prediction. Checkpoints have hashes of their own; reports and figures
# are for people.
_PATTERNS = ("config.json", "training.json", "metrics.jsonl", "model.json")
_TABLES = ("clusters.csv", "trials.csv")
_NOT_RESULTS = {"checkpoints", "figures", "tensorboard"}


def file_hashes(path: str | os.PathLike[str]) -> dict[str, str]:
    """SHA-256 of the files of a run that decide its result, those of its stages included.

    Args:
        path: the run directory.

    Returns:
        Hashes by the path of a file in the directory.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "metrics.jsonl").write_text("")
    ...     _ = Path(folder, "notes.txt").write_text("")
    ...     list(file_hashes(folder))
    ['metrics.jsonl']
    """
    root = Path(path)
    names = sorted(
        file.relative_to(root)
        for file in root.rglob("*")
        if (file.name in (*_PATTERNS, *_TABLES) or file.suffix == ".safetensors")
        and not _NOT_RESULTS & set(file.relative_to(root).parts)
        and not file.name.startswith(".")
    )
    return {name.as_posix(): _sha256(root / name) for name in names}


def verify_run(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Check that a finished run has the files with which it was finished.

    Args:
        path: the run directory.

    Returns:
        The content of `summary.json`.

    Raises:
        ValueError: the run is not finished; a file is missing or has another content, which is
            named.
        OSError: a file cannot be read.

    >>> import tempfile
    >>> from jaxnet.runs import RunDirectory
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     options = {"config": {"rate": 0.1}, "data_sha256": "abc"}
    ...     with RunDirectory.open(f"{folder}/run", name="example", **options) as directory:
    ...         _ = directory.write_summary({"loss": 0.5})
    ...     verify_run(f"{folder}/run")["loss"]
    0.5
    """
    root = Path(path)
    summary = read_hashed_json(root / "summary.json")
    recorded = summary.get("files_sha256")
    if not isinstance(recorded, dict):
        raise ValueError(
            f"{root / 'summary.json'} holds no hashes of the files of the run; run it again"
        )
    for name, sha256 in recorded.items():
        file = root / name
        if not file.is_file():
            raise ValueError(f"{file} is missing; restore the file, or run the experiment again")
        if _sha256(file) != sha256:
            raise ValueError(
                f"{file} has been changed since the run was finished; restore the file, or run the "
                "experiment again"
            )
    return summary


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
