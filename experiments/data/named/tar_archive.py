"""The members of a tar.xz or tar.bz2 archive, in memory, with a bound on their decompressed size.

The headers are read here and not by the standard library's `tarfile`, which takes a damaged header
in the middle for the end of the archive, and accepts sparse members, which declare any size, links
and extended headers: only a hostile archive of plain files has these.
"""

import bz2
import lzma
from pathlib import Path

_BLOCK = 512
_PIECE = 1 << 20
# An xz header may ask for a dictionary of 4 GiB.
_XZ_MEMORY = 256 << 20
_REGULAR, _FOLDER = (b"0", b"\0"), b"5"
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a named pipe",
    b"S": "a sparse file",
}
_NAME, _SIZE, _CHECKSUM, _PREFIX = (slice(0, 100), slice(124, 136), slice(148, 156),
                                    slice(345, 500))  # fmt: skip


def read_tar(
    path: Path, *, max_bytes: int, max_member_bytes: int, max_members: int
) -> dict[str, bytes]:
    """Read every regular file of a tar archive. Nothing is written to disk.

    Args:
        path: the archive, compressed by xz or bzip2, in the format ustar or GNU, or POSIX without
            extended headers.
        max_bytes: the largest decompressed size, headers included.
        max_member_bytes: the largest size of a member.
        max_members: the largest number of members, folders included.

    Returns:
        The content of each file under its name, in the order of the archive; names are without
        "./", and folders are left out.

    Raises:
        ValueError: the archive has another compression or is truncated, corrupt or too large; a
            name is absolute, leads out of the archive, occurs twice or has unprintable characters;
            a member is neither a regular file nor a folder.

    >>> import io, tarfile, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.tar.xz")
    ...     with tarfile.open(path, "w:xz", format=tarfile.USTAR_FORMAT) as archive:
    ...         member = tarfile.TarInfo("./a/b.txt")
    ...         member.size = 7
    ...         archive.addfile(member, io.BytesIO(b"content"))
    ...     read_tar(path, max_bytes=1 << 20, max_member_bytes=100, max_members=10)
    {'a/b.txt': b'content'}
    """
    try:
        content = _decompress(path, max_bytes)
        return _members(content, max_member_bytes, max_members)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; fetch the archive again, from its authors") from error


def _decompress(path: Path, limit: int) -> bytes:
    """The tar archive; memory is bounded by `limit` and one piece of the compressed file."""
    content = bytearray()
    with path.open("rb") as file:
        piece = file.read(_PIECE)
        if piece.startswith(b"\xfd7zXZ\0"):
            decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        elif piece.startswith(b"BZh"):
            decompressor = bz2.BZ2Decompressor()
        else:
            raise ValueError(f"it begins with {piece[:6]!r}, expected an archive of xz or bzip2")
        try:
            while not decompressor.eof:
                content += decompressor.decompress(piece, limit + 1 - len(content))
                if len(content) > limit:
                    raise ValueError(f"it holds more than {limit} bytes uncompressed")
                piece = file.read(_PIECE) if decompressor.needs_input else b""
                if decompressor.needs_input and not piece:
                    raise ValueError("it is truncated: the compressed data end too early")
        except (lzma.LZMAError, OSError, EOFError) as error:
            raise ValueError(f"it is corrupt ({error})") from error
        if decompressor.unused_data or file.read(1):
            raise ValueError("it is followed by other data")
    return bytes(content)


def _members(content: bytes, max_member_bytes: int, max_members: int) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    names: set[str] = set()
    offset = 0
    while any(header := content[offset : offset + _BLOCK]):
        if len(names) == max_members:
            raise ValueError(f"it has more than {max_members} members")
        name, size, is_file = _parse_header(header, offset)
        if name in names:
            raise ValueError(f"member {name!r} occurs twice")
        if size > max_member_bytes:
            raise ValueError(f"member {name!r} declares {size} bytes, more than {max_member_bytes}")
        start = offset + _BLOCK
        if start + size > len(content):
            raise ValueError(f"it is truncated inside member {name!r}")
        names.add(name)
        if is_file:
            members[name] = content[start : start + size]
        offset = start + -(-size // _BLOCK) * _BLOCK
    # Two blocks of zeros end an archive, and the last record is filled up with zeros.
    if len(content) - offset < 2 * _BLOCK:
        raise ValueError("it is truncated: the two blocks that end it are missing")
    if any(content[offset:]):
        raise ValueError(f"it is corrupt: after its end, at byte {offset}, there are other data")
    return members


def _parse_header(header: bytes, offset: int) -> tuple[str, int, bool]:
    """Name, size, and whether it is a regular file; the checksum counts its own field as blanks."""
    checksum = sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" ")
    if len(header) < _BLOCK or checksum != _octal(header[_CHECKSUM]):
        raise ValueError(f"it is corrupt: the header at byte {offset} has another checksum")
    prefix = header[_PREFIX] if header[257:263] == b"ustar\0" else b""
    name = b"/".join(filter(None, (_text(prefix), _text(header[_NAME]))))
    kind = header[156:157]
    if kind not in (*_REGULAR, _FOLDER):
        raise ValueError(
            f"member {name!r} is {_KINDS.get(kind, f'of the type {kind!r}')}, expected regular "
            "files and folders only"
        )
    size = _octal(header[_SIZE])
    if kind == _FOLDER and size:
        raise ValueError(f"folder {name!r} declares {size} bytes, expected 0")
    return _checked_name(name), size, kind != _FOLDER


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _octal(field: bytes) -> int:
    digits = field.strip(b"\0 ")
    if digits.strip(b"01234567"):
        raise ValueError(f"it is corrupt: a header holds {field!r}, expected an octal number")
    return int(digits or b"0", 8)


def _checked_name(raw: bytes) -> str:
    name = raw.decode("utf-8", "backslashreplace")
    # A backslash separates folders on Windows, where a colon names a drive.
    if not name.isprintable() or "\\" in name or ":" in name:
        raise ValueError(f"member {name!r} has a name with characters that are not allowed")
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or not name:
        raise ValueError(f"member {name!r} names a place outside of the archive, or none")
    return "/".join(part for part in parts if part not in ("", ".")) or "."
