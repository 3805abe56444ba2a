"""Files of labeled time series: the format .ts of the UEA and UCR archives, and rows of numbers.

A .ts file has comments (`#`), tags (`@classLabel true a b`), a line `@data`, and then a series on
each line: channels separated by colons, each of numbers separated by commas, and the class last.

Source: Bagnall et al. (2018), "The UEA multivariate time series classification archive, 2018".
"""

import math
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

_MISSING = frozenset(("?", "nan", ""))
_BOOLEANS = {"true": True, "false": False}
_MAX_SHOWN = 40
_LARGEST = float(np.finfo(np.float32).max)


class LabeledSeries(NamedTuple):
    """Series of any lengths with their classes.

    Attributes:
        values: one array `(time, channels)` for each series, float32.
        labels: `(n,)`, int32, indices into `class_names`.
        class_names: the classes, in the order of the file's tag.
        num_official_test: number of last series that are the official test set.
    """

    values: list[np.ndarray]
    labels: np.ndarray
    class_names: tuple[str, ...]
    num_official_test: int = 0


def read_ts(path: Path) -> LabeledSeries:
    """Read a .ts file of labeled series.

    Args:
        path: of the file.

    Returns:
        The series, with the classes that the tag `@classLabel` lists.

    Raises:
        ValueError: the file cannot be read, has no tag `@classLabel true` or no `@data`, has time
            stamps or targets instead of classes; or, with the line: a tag that contradicts the
            series, a value that is not a number, missing or infinite, channels of different
            lengths, another number of channels, a class that the tag does not list.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.ts")
    ...     _ = path.write_text("@classLabel true up down\\n@data\\n1,2:0,1:up\\n3:1:down\\n")
    ...     series = read_ts(path)
    >>> [array.shape for array in series.values], series.labels.tolist(), series.class_names
    ([(2, 2), (1, 2)], [0, 1], ('up', 'down'))
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: the file cannot be read ({error.strerror})") from error
    return parse_ts(content, str(path))


def parse_ts(content: bytes, name: str) -> LabeledSeries:
    """The series of a .ts file.

    Args:
        content: of the file.
        name: of the file, for messages.

    Returns:
        The series.

    Raises:
        ValueError: as `read_ts`.

    >>> parse_ts(b"@classLabel true 1 2\\n@data\\n1,?:1", "some.ts")
    Traceback (most recent call last):
        ...
    ValueError: some.ts, line 3: value 2 of channel 1 is missing ('?'); fill it, or leave the \
series out
    """
    lines = enumerate(_decode(content, name).splitlines(), 1)
    tags: dict[str, str] = {}
    for number, line in lines:
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        tag, _, value = line.partition(" ")
        if tag.lower() == "@data":
            break
        if not tag.startswith("@"):
            _reject(name, number, f"found {_shown(line)} before @data, expected a tag or a comment")
        tags[tag[1:].lower()] = value.strip()
    else:
        raise ValueError(f"{name}: there is no line @data, which the series follow")
    class_names = _class_names(tags, name)
    values, labels = [], []
    for number, line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        *channels, label = (part.strip() for part in line.split(":"))
        if label not in class_names:
            _reject(
                name,
                number,
                f"the class is {_shown(label)}, expected one of {', '.join(class_names)}, as "
                "@classLabel lists them, after the last colon",
            )
        series = _series(channels, name, number)
        _require_shape(series, values, tags, name, number)
        values.append(series)
        labels.append(class_names.index(label))
    if not values:
        raise ValueError(f"{name}: no series follows @data")
    return LabeledSeries(values, np.array(labels, np.int32), class_names)


def parse_rows(content: bytes, name: str) -> LabeledSeries:
    """The series of a text file of the UCR archive: on each line the class, then the values.

    Args:
        content: of the file; commas, tabs or blanks separate the numbers.
        name: of the file, for messages.

    Returns:
        Series of one channel; the classes are sorted.

    Raises:
        ValueError: a file without series; or, with the line, a class that is not a whole number, or
            a value that is not a number, missing or infinite.

    >>> series = parse_rows(b"2,0.5,1.5\\n-1,3,4", "some.txt")
    >>> series.labels.tolist(), series.class_names, series.values[0].tolist()
    ([1, 0], ('-1', '2'), [[0.5], [1.5]])
    """
    values: list[np.ndarray] = []
    labels: list[int] = []
    for number, line in enumerate(_decode(content, name).splitlines(), 1):
        label, *numbers = (line.split(",") if "," in line else line.split()) or [""]
        if not line.strip():
            continue
        try:
            class_number = float(label)
        except ValueError:
            class_number = math.nan
        if not class_number.is_integer():
            _reject(name, number, f"the class is {_shown(label)}, expected a whole number")
        labels.append(int(class_number))
        values.append(_series([",".join(numbers)], name, number))
    if not values:
        raise ValueError(f"{name}: the file holds no series")
    classes, indices = np.unique(labels, return_inverse=True)
    return LabeledSeries(values, indices.astype(np.int32), tuple(map(str, classes.tolist())))


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}: byte {error.start} is not UTF-8; save the file in this encoding"
        ) from error


def _class_names(tags: dict[str, str], name: str) -> tuple[str, ...]:
    """The classes of the tags, once nothing in them stands against labeled series."""
    if _BOOLEANS.get(tags.get("timestamps", "false").lower(), True):
        raise ValueError(
            f"{name}: @timeStamps is {tags['timestamps']}, and series with time stamps are not "
            "read; write their values at equal steps, with @timeStamps false"
        )
    if _BOOLEANS.get(tags.get("targetlabel", "false").split(" ")[0].lower(), True):
        raise ValueError(
            f"{name}: @targetLabel says that the series have targets, expected classes"
        )
    is_labeled, *class_names = tags.get("classlabel", "").split() or [""]
    if is_labeled.lower() != "true" or not class_names:
        raise ValueError(
            f"{name}: @classLabel is {_shown(tags.get('classlabel', 'missing'))}, expected true "
            "and the names of the classes"
        )
    if repeated := {label for label in class_names if class_names.count(label) > 1}:
        raise ValueError(f"{name}: @classLabel lists {', '.join(sorted(repeated))} twice")
    return tuple(class_names)


def _series(channels: list[str], name: str, number: int) -> np.ndarray:
    """A series `(time, channels)` from the texts of its channels."""
    if not channels:
        _reject(name, number, "there is no colon, expected channels and the class, as in 1,2,3:a")
    columns = [_numbers(text, index, name, number) for index, text in enumerate(channels, 1)]
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        _reject(
            name,
            number,
            f"the channels have {', '.join(str(len(column)) for column in columns)} steps, "
            "expected the same number",
        )
    return np.stack(columns, axis=1)


def _numbers(text: str, channel: int, name: str, number: int) -> np.ndarray:
    cells = [cell.strip() for cell in text.split(",")]
    try:
        with np.errstate(over="ignore"):
            values = np.array(cells, np.float64).astype(np.float32)
        if np.isfinite(values).all():
            return values
    except ValueError:
        pass
    for place, cell in enumerate(cells, 1):
        where = f"value {place} of channel {channel}"
        if cell.lower() in _MISSING:
            _reject(
                name,
                number,
                f"{where} is missing ({cell!r}); fill it, or leave the series out",
            )
        try:
            is_number = abs(float(cell)) <= _LARGEST
        except ValueError:
            _reject(name, number, f"{where} is {_shown(cell)}, expected a number")
        if not is_number:
            _reject(name, number, f"{where} is {_shown(cell)}, expected a finite number (float32)")
    raise AssertionError("unreachable: some value was rejected above")


def _require_shape(
    series: np.ndarray, values: list[np.ndarray], tags: dict[str, str], name: str, number: int
) -> None:
    """Raise where a series has another shape than the tags or the series before say."""
    time, num_channels = series.shape
    declared = tags.get("dimensions", tags.get("dimension"))
    if _BOOLEANS.get(tags.get("univariate", "").lower()):
        declared = "1"
    expected = declared or (str(values[0].shape[1]) if values else str(num_channels))
    if str(num_channels) != expected:
        _reject(
            name,
            number,
            f"the series has {num_channels} channels, expected {expected} as "
            f"{'the tags say' if declared else 'in the series before'}",
        )
    if not _BOOLEANS.get(tags.get("equallength", "").lower()):
        return
    expected = tags.get("serieslength") or str(len(values[0]) if values else time)
    if str(time) != expected:
        _reject(
            name, number, f"the series has {time} steps, expected {expected}; @equalLength is true"
        )


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "...")


def _reject(name: str, number: int, message: str) -> NoReturn:
    raise ValueError(f"{name}, line {number}: {message}")
