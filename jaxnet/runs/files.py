"""Files that are whole under their own name, or not there."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name to write under, which becomes that of the file once all is written.

    Args:
        path: the file; one of that name is replaced.

    Raises:
        OSError: it cannot be written; nothing is left of it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder, "some.txt")) as temporary:
    ...         _ = temporary.write_text("content")
    ...     [each.name for each in Path(folder).iterdir()]
    ['some.txt']
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
