"""A user's table with a column of texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments.config import TableOptions
from experiments.data.dataset import Dataset, NewRows
from experiments.data.tables.cells import clean_name, describe, listed, naming, require_column
from experiments.data.texts.text_format import TextFormat, split_words

if TYPE_CHECKING:
    from experiments.data.tables.table import Table


def text_dataset(
    name: str, texts: Sequence[str], labels: np.ndarray, text_format: TextFormat
) -> Dataset:
    """Texts as a data set of tokens.

    Args:
        name: of the data set.
        texts: at least one.
        labels: the class of each text `(n,)`, an index into the class names of the format.
        text_format: how the texts become tokens.

    Returns:
        The data set; `titles` are the texts.

    >>> names = ("card", "pin")
    >>> fitted = TextFormat(class_names=names)
    >>> calls = text_dataset("calls", ["Where is my card?", "PIN"], np.arange(2), fitted)
    >>> calls.is_tokens, calls.x.shape, calls.num_tokens
    (True, (2, 31), 16384)
    """
    tokens = text_format.tokens(texts)
    return Dataset(
        name,
        np.asarray(tokens.values),
        labels.astype(np.int32),
        class_names=text_format.class_names,
        length=np.asarray(tokens.length),
        num_tokens=text_format.num_tokens,
        preprocessing=text_format,
        titles=tuple(texts),
    )


def load_texts(
    path: Path,
    *,
    text: str,
    label: str | None,
    options: TableOptions | None = None,
    text_format: TextFormat | None = None,
) -> Dataset:
    """Load the texts of a user's table, a row for each text.

    Args:
        path: a CSV or Parquet file, as for `read_table`.
        text: the column of the texts.
        label: the column to predict, text or whole numbers; None where there is nothing to predict.
        options: how the table is read; other columns than these two are not used.
        text_format: how texts become tokens; None is the default.

    Returns:
        The data set, named after the file; `preprocessing` is what prediction needs.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file cannot be read, a column does not exist, the texts are numbers, a text
            is missing or has no words, a label is missing, or there is one class.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "calls.csv")
    ...     _ = path.write_text("said,topic\\nWhere is my card?,card\\nI lost my PIN,pin\\n")
    ...     calls = load_texts(path, text="said", label="topic")
    >>> calls.titles, calls.y.tolist(), calls.class_names, calls.length.tolist()
    (('Where is my card?', 'I lost my PIN'), [0, 1], ('card', 'pin'), [31, 23])
    """
    # Polars takes a quarter of a second to import.
    from experiments.data.tables.inference import infer
    from experiments.data.tables.labels import encode_classes, find_classes, similar_classes
    from experiments.data.tables.table import DELIMITED, read_cells

    path = Path(path)
    options = TableOptions() if options is None else options
    text, label = clean_name(text), None if label is None else clean_name(label)
    used = [text] if label is None else [text, label]
    with naming(path):
        if len(set(used)) < len(used):
            raise ValueError(f"text and label are both column {text!r}; name two columns")
        for name in {clean_name(name) for name in options.ignore} & set(used):
            raise ValueError(f"ignore: column {name!r} is used; ignore other columns")
        table = read_cells(path, dataclasses.replace(options, ignore=()))
        require_column("text", text, table.frame.columns)
        cells = _read_texts(table, text, options.missing)
        class_names, labels, notes = (), np.zeros(len(cells), np.int32), list(table.notes)
        if label is not None:
            require_column("label", label, table.frame.columns)
            declares = path.suffix.lower() not in DELIMITED
            column = infer(table.frame[label], options, role="class", is_declared=declares).values
            class_names = find_classes(column)
            labels = encode_classes(column, class_names)
            notes += similar_classes(class_names)
        notes += _repeats(cells)
        others = [name for name in table.names if name not in (*used, *options.ignore)]
        notes += [f"columns other than text and label are not used: {listed(others)}"] * bool(
            others
        )
        fitted = dataclasses.replace(
            TextFormat() if text_format is None else text_format,
            text=text,
            label=label,
            class_names=class_names,
            encoding=None if (table.encoding or "utf").startswith("utf") else table.encoding,
            has_header=options.header != "none",
            missing=tuple(options.missing),
        )
        notes += fitted.notes(cells)
    dataset = text_dataset(path.stem, cells, labels, fitted)
    return dataclasses.replace(dataset, notes=tuple(f"{path.name}: {note}" for note in notes))


class NewTexts(NamedTuple):
    """New texts, to predict from.

    Attributes:
        texts: as they are in the file, without white space around them.
        carried: columns that the output takes over: name -> cells as they are in the file.
        notes: what the user should know, a sentence each.
    """

    texts: list[str]
    carried: dict[str, list[Any]]
    notes: list[str]


def read_new_texts(
    path: Path,
    text_format: TextFormat,
    *,
    options: TableOptions | None = None,
    carry: Sequence[str] = (),
) -> NewTexts:
    """Read new texts as those of the run were read.

    Args:
        path: a file as for `load_texts`; it may lack the label and have more columns.
        text_format: of the training data.
        options: the encoding, and more marks of missing cells of this file.
        carry: columns that are taken over as they are, such as an identifier.

    Returns:
        Texts, and what goes with them.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file cannot be read, there is no column of texts or to carry, the texts are
            numbers, or one is missing or has no words.
    """
    from experiments.data.tables.table import read_cells

    path = Path(path)
    given = TableOptions() if options is None else options
    header = "first" if text_format.has_header else "none"
    carry = [clean_name(name) for name in carry]
    with naming(path):
        read = dataclasses.replace(given, ignore=(), header=header)
        table = read_cells(path, read, likely=text_format.encoding)
        for name in carry:
            require_column("carry", name, table.frame.columns)
        require_column("text", text_format.text, table.frame.columns)
        cells = _read_texts(table, text_format.text, (*text_format.missing, *given.missing))
    carried = {name: table.frame[name].to_list() for name in carry}
    return NewTexts(cells, carried, [f"{path.name}: {note}" for note in table.notes])


def load_new_texts(
    path: Path,
    text_format: TextFormat,
    *,
    options: TableOptions | None = None,
    carry: Sequence[str] = (),
) -> NewRows:
    """Load the tokens of new texts, to predict from.

    Args:
        path: as for `read_new_texts`, and so are the others.
        text_format: of the training data.
        options: the encoding, and more marks of missing cells of this file.
        carry: columns that are taken over as they are.

    Returns:
        Tokens, and what goes with them.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: as `read_new_texts`.
    """
    texts, carried, notes = read_new_texts(path, text_format, options=options, carry=carry)
    notes += [f"{Path(path).name}: {note}" for note in text_format.notes(texts)]
    return NewRows(text_format.tokens(texts), carried, [""] * len(texts), notes)


def _read_texts(table: Table, name: str, missing: Sequence[str]) -> list[str]:
    """The texts of a column, none of them missing."""
    import polars

    from experiments.data.tables.cells import is_plain_number, mark_missing, texts

    column = table.frame[name]
    if column.dtype != polars.String:
        kind = "dates" if column.dtype.is_temporal() else "numbers"
        raise _not_texts(name, "Booleans" if column.dtype == polars.Boolean else kind)
    column = texts(column).fill_null("").str.strip_chars()
    column = mark_missing(column, missing).fill_null("")
    if is_plain_number(column.cast(polars.Float64, strict=False)).filter(column != "").all():
        raise _not_texts(name, "numbers")
    cells = column.to_list()
    is_empty = polars.Series([not text or not split_words(text) for text in cells])
    if is_empty.any():
        raise ValueError(
            f"column {name!r} has no text in {describe(column, is_empty)}; remove these rows or "
            "fill the texts in"
        )
    return cells


def _not_texts(name: str, kind: str) -> ValueError:
    return ValueError(
        f"text: column {name!r} holds {kind}, expected texts; name the column of the texts, or "
        "leave --text out to read a table of numbers and categories"
    )


def _repeats(cells: Sequence[str]) -> list[str]:
    """A note about texts that occur more than once."""
    repeated = len(cells) - len(set(cells))
    if not repeated:
        return []
    return [
        f"{repeated} of {len(cells)} texts repeat another one, so that training and test rows may "
        "share texts"
    ]
