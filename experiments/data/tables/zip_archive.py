"""The members of a zip archive, in memory, with bounds that hold before and while they are read."""

import zipfile
import zlib
from pathlib import Path

_ENCRYPTED = 0x1
# NumPy writes these two; the decompressors of the others do not bound their output.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What the standard library raises for damaged archives, at various depths; OSError for an offset
# before the beginning of the file.
DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    OSError,
)


def read_members(path: Path, *, max_bytes: int, suffix: str) -> dict[str, bytes]:
    """Read every member of a zip archive. Nothing is written to disk.

    Names and declared sizes are checked before anything is decompressed. A declared size may be
    wrong, so no more than this is decompressed, and the checksum reveals it.

    Args:
        path: the archive.
        max_bytes: the largest sum of the uncompressed sizes that the members declare.
        suffix: the end of the name of every member.

    Returns:
        The content of each member under its name, in the order of the archive.

    Raises:
        ValueError: the file is not a zip archive, or is corrupt; the name of a member is absolute,
            leads out of the archive, has another suffix or occurs twice; a member is encrypted or
            not compressed by deflate; the members are too large together, or have another size than
            declared.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.zip")
    ...     with zipfile.ZipFile(path, "w") as archive:
    ...         archive.writestr("a.txt", "content")
    ...     read_members(path, max_bytes=100, suffix=".txt")
    {'a.txt': b'content'}
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                _check_members(members, max_bytes, suffix)
                return {member.filename: _read(archive, member) for member in members}
        except DAMAGES as error:
            raise ValueError(
                f"the file is not an intact zip archive ({error or type(error).__name__}); "
                "write it again"
            ) from error


def _check_members(members: list[zipfile.ZipInfo], max_bytes: int, suffix: str) -> None:
    seen = set()
    for member in members:
        name = member.filename
        parts = name.replace("\\", "/").split("/")
        if ".." in parts or parts[0] == "" or ":" in parts[0]:
            raise ValueError(
                f"member {name!r} names a place outside of the archive; "
                "do not trust this file, write it again from the data"
            )
        if not name.endswith(suffix):
            raise ValueError(f"member {name!r} is not a *{suffix}; write the file again without it")
        if name in seen:
            raise ValueError(f"member {name!r} occurs twice; write the file again")
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
            raise ValueError(
                f"member {name!r} is encrypted or not compressed by deflate; write the file again"
            )
        seen.add(name)
    declared = sum(member.file_size for member in members)
    if declared > max_bytes:
        raise ValueError(
            f"its members declare {declared} bytes uncompressed, at most {max_bytes} are read; "
            "leave out arrays that are not needed, or split the file"
        )


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as file:
        # `read` stops at the declared size and compares the checksum there.
        content = file.read(member.file_size + 1)
    if len(content) != member.file_size:
        raise ValueError(
            f"member {member.filename!r} holds {len(content)} bytes and declares "
            f"{member.file_size}; write the file again"
        )
    return content
