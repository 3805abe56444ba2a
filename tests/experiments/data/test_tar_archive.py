"""Archives of emails: as the standard library reads them; hostile ones are rejected."""

import bz2
import io
import lzma
import tarfile

import pytest

from experiments.data.named.tar_archive import read_tar

LIMITS = {"max_bytes": 100_000, "max_member_bytes": 5_000, "max_members": 10}
FILES = {"a/one.txt": b"1" * 513, "a/two.txt": b"", "a/" + "x" * 120 + "/three.txt": b"3" * 512}


def pack(members, format=tarfile.USTAR_FORMAT):
    """A tar archive of names or `TarInfo` with contents."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as archive:
        for member, content in members:
            if isinstance(member, str):
                member = tarfile.TarInfo(member)
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def special(name, kind, **attributes):
    member = tarfile.TarInfo(name)
    member.type = kind
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    return member


@pytest.fixture
def read(tmp_path):
    def read(packed: bytes, **limits):
        path = tmp_path / "some.tar.xz"
        path.write_bytes(packed)
        return read_tar(path, **(LIMITS | limits))

    return read


@pytest.mark.parametrize("compress", [lzma.compress, bz2.compress])
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_files_are_those_of_the_standard_library(read, compress, format):
    files = dict(list(FILES.items())[: 3 if format == tarfile.USTAR_FORMAT else 2])
    folders = [(special(name, tarfile.DIRTYPE), b"") for name in ("./", "./a")]
    content = pack([*folders, *((f"./{name}", files[name]) for name in files)], format)
    assert read(compress(content)) == files
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        oracle = {
            member.name.removeprefix("./"): archive.extractfile(member).read()
            for member in archive
            if member.isreg()
        }
    assert oracle == files


@pytest.mark.parametrize(
    ("member", "match"),
    [
        ("/etc/passwd", "outside of the archive"),
        ("a/../../b", "outside of the archive"),
        ("..", "outside of the archive"),
        ("c:b", "characters that are not allowed"),
        ("a\\..\\b", "characters that are not allowed"),
        ("a\nb", "characters that are not allowed"),
        ("good/./one", "occurs twice"),
        (special("s", tarfile.SYMTYPE, linkname="/etc/passwd"), "a symbolic link"),
        (special("h", tarfile.LNKTYPE, linkname="good/one"), "a hard link"),
        (special("d", tarfile.CHRTYPE), "a device"),
        (special("d", tarfile.BLKTYPE), "a device"),
        (special("p", tarfile.FIFOTYPE), "a named pipe"),
        (special("g", tarfile.GNUTYPE_SPARSE), "a sparse file"),
        (special("x", tarfile.XHDTYPE), "of the type b'x'"),
        (special("f", tarfile.DIRTYPE, size=512), "declares 512 bytes, expected 0"),
    ],
)
def test_hostile_members_are_rejected(read, member, match):
    packed = lzma.compress(pack([("good/one", b"1"), (member, b"2" * 512)]))
    with pytest.raises(ValueError, match=match) as caught:
        read(packed)
    assert "some.tar.xz: " in str(caught.value) and "fetch the archive again" in str(caught.value)


def bomb():
    return pack([("a", bytes(90_000))])


@pytest.mark.parametrize(
    ("packed", "limits", "match"),
    [
        (lambda: lzma.compress(bytes(5_000_000)), {}, "more than 100000 bytes uncompressed"),
        (lambda: bz2.compress(bytes(5_000_000)), {}, "more than 100000 bytes uncompressed"),
        (lambda: lzma.compress(bomb()), {}, "declares 90000 bytes, more than 5000"),
        (lambda: lzma.compress(pack([(str(i), b"") for i in range(11)])), {}, "more than 10"),
        (lambda: lzma.compress(bomb()[:20_000]), {"max_member_bytes": 99_999}, "inside member"),
        (lambda: lzma.compress(pack([("a", b"1")])[:1024]), {}, "two blocks that end it"),
        (lambda: lzma.compress(pack([("a", b"1")]) + b"more"), {}, "after its end, at byte 1024"),
        (lambda: bz2.compress(bomb()) + b"more", {"max_member_bytes": 99_999}, "by other data"),
        (lambda: pack([("a", b"1")]), {}, "expected an archive of xz or bzip2"),
        (lambda: b"", {}, "expected an archive of xz or bzip2"),
        (lambda: b"\xfd7zXZ\0" + b"nonsense" * 9, {}, "corrupt"),
        (lambda: b"BZh9" + b"nonsense" * 9, {}, "corrupt"),
    ],
)
def test_bombs_and_damage_are_rejected(read, packed, limits, match):
    with pytest.raises(ValueError, match=match):
        read(packed(), **limits)


@pytest.mark.parametrize("compress", [lzma.compress, bz2.compress])
def test_truncated_and_flipped_archives_are_rejected(read, compress):
    content = pack(FILES.items())
    packed = compress(content)
    for length in range(6, len(packed) - 1, 41):
        with pytest.raises(ValueError, match="fetch the archive again"):
            read(packed[:length])
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 255
    with pytest.raises(ValueError, match=r"corrupt|truncated"):
        read(bytes(flipped))


def test_a_damaged_header_in_the_middle_is_not_the_end(read):
    content = bytearray(pack(FILES.items()))
    content[3 * 512] ^= 1
    with pytest.raises(ValueError, match="the header at byte 1536 has another checksum"):
        read(lzma.compress(bytes(content)))
    for size in (b"-0000000001\0", b"\x80" + bytes(10) + b"\1"):
        header = bytearray(pack([("a", b"1")]))
        header[124:136], header[148:156] = size, b" " * 8
        header[148:156] = b"%06o\0 " % sum(header[:512])
        with pytest.raises(ValueError, match="expected an octal number"):
            read(lzma.compress(bytes(header)))
