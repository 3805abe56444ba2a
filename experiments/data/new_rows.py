"""Examples of users that a finished run predicts, read as the run read its own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.config import TableOptions
from experiments.data.dataset import NewRows
from experiments.data.format import Format


def format_content(fitted: Format | None) -> dict[str, Any] | None:
    """What `model.json` holds of a format; None of images, which have none."""
    return None if fitted is None else {"kind": fitted.kind} | json.loads(fitted.to_json())


def restore_format(content: dict[str, Any] | None) -> Any:
    """The format that `format_content` wrote.

    Args:
        content: of `model.json`.

    Raises:
        ValueError: an unknown kind, or `from_json` of the class rejects the rest.
    """
    if content is None:
        return None
    # Polars and others take a part of a second to import, and only their files need them.
    match content.get("kind"):
        case "table":
            from experiments.data.tables.preprocessing import Preprocessing as Fitted
        case "series":
            from experiments.data.series import SeriesFormat as Fitted
        case "texts":
            from experiments.data.texts.text_format import TextFormat as Fitted
        case "text_weights":
            from experiments.data.texts.text_weights import TextWeights as Fitted
        case "recordings":
            from experiments.data.recordings.recording_format import RecordingFormat as Fitted
        case kind:
            raise ValueError(f"kind {kind!r} of a format is unknown; use the version of the run")
    fields = {name: value for name, value in content.items() if name != "kind"}
    return Fitted.from_json(json.dumps(fields))


def read_rows(
    path: Path,
    fitted: Any,
    *,
    options: TableOptions | None = None,
    carry: Sequence[str] = (),
    resample: bool = False,
) -> NewRows:
    """Read new examples from the user's file or folder.

    Args:
        path: of the same kind as the data of the run.
        fitted: the format of the run, not of images.
        options: of a table: columns to ignore, the encoding, and more marks of missing cells.
        carry: columns of a table that are taken over as they are, such as an identifier.
        resample: whether recordings of another rate than that of the run are resampled.

    Returns:
        Inputs, and what goes with them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file that cannot be read or does not match.
    """
    if fitted.kind == "table":
        from experiments.data.tables.user_table import load_features

        return load_features(path, fitted, options=options, carry=carry)
    if fitted.kind == "texts":
        from experiments.data.texts.text_table import load_new_texts

        return load_new_texts(path, fitted, options=options, carry=carry)
    if fitted.kind == "text_weights":
        return fitted.load(path, options, carry)
    if fitted.kind == "recordings":
        return fitted.load(path, resample=resample)
    return fitted.load(path)
