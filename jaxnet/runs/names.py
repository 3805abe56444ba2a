"""Names of run directories."""

import datetime
from pathlib import Path


def new_directory(name: str) -> Path:
    """Make a new directory `runs/NAME-TIME`; a number is appended where it exists.

    Args:
        name: what it begins with.

    Returns:
        Its path, relative to the working directory.

    Raises:
        ValueError: it cannot be made.

    >>> import contextlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    ...     new_directory("example").name.startswith("example-")
    True
    """
    base = Path("runs") / f"{name}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    candidate, number = base, 2
    while True:
        try:
            candidate.mkdir(parents=True)
            return candidate
        except FileExistsError:
            candidate, number = base.with_name(f"{base.name}-{number}"), number + 1
        except OSError as error:
            raise ValueError(f"{candidate} cannot be made: {error.strerror}") from error
