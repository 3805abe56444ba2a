"""The encoding of a text file: by its byte order mark, as UTF-8, or by the letters it holds."""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 1 << 20
_MAX_LETTERS = 100_000
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16, whose mark is the beginning of that of UTF-32.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_REMEDY = "name its encoding with --encoding, or export the file as CSV (UTF-8)"


def find_encoding(
    path: Path, *, given: str | None = None, likely: str | None = None
) -> tuple[str, str]:
    """The encoding in which a whole file can be read.

    UTF-8 and UTF-16 are certain. Otherwise the encoding is the one whose letters fit together:
    Korean (cp949), Japanese (cp932, euc_jp), Chinese (gb18030, big5), Cyrillic (cp1251), else
    Western European (cp1252, of which Latin-1 is a part).

    Args:
        path: the file.
        given: the name of its encoding; None detects it.
        likely: the encoding of a similar file, for one that is not UTF-8 or UTF-16.

    Returns:
        The encoding, and a note that names it; the note is empty where there is no doubt.

    Raises:
        ValueError: the encoding that is given is unknown or does not fit, or the file is binary.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.csv")
    ...     _ = path.write_bytes("나이,등급\\n20,상\\n".encode("cp949"))
    ...     find_encoding(path)[0]
    'cp949'
    """
    with path.open("rb") as file:
        start = file.read(_BLOCK)
    if given is not None:
        return _given(path, given, start), ""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            _require(path, encoding)
            return encoding, ""
    if (wide := _wide(start)) is not None and _letters(path, wide) is not None:
        return wide, ""
    _reject_binary(path)
    if _letters(path, "utf-8") is not None:
        return "utf-8", ""
    encoding = likely if likely and _letters(path, likely) is not None else _most_likely(path)
    return encoding, (
        f"it is not UTF-8, and read in the encoding {encoding}, which fits its letters best; if "
        "they look wrong, name another with --encoding"
    )


def _given(path: Path, encoding: str, start: bytes) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ValueError(
            f"encoding {encoding!r} is unknown; use for example utf-8, cp949, latin-1 or utf-16"
        ) from None
    # With the mark, which is no part of the first name.
    name = "utf-8-sig" if name == "utf-8" and start.startswith(codecs.BOM_UTF8) else name
    if "\0" in _require(path, name):
        raise ValueError(f"in the encoding {encoding} it holds zero bytes, so it has another one")
    return name


def _wide(start: bytes) -> str | None:
    """UTF-16 without a mark: of text that is mostly ASCII, every other byte is zero."""
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) * 4 < len(start) or min(even, odd):
        return None
    return "utf-16-be" if even else "utf-16-le"


def _reject_binary(path: Path) -> None:
    line = 1
    for block in _blocks(path):
        if b"\0" in block:
            line += block.count(b"\n", 0, block.index(b"\0"))
            raise ValueError(
                f"line {line} holds a zero byte, so this is a binary file, expected text; "
                "export it as CSV (UTF-8)"
            )
        line += block.count(b"\n")


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _require(path: Path, encoding: str) -> str:
    """The characters outside of ASCII, of a file that must have this encoding."""
    line, decoder = 1, codecs.getincrementaldecoder(encoding)()
    letters = ""
    for block in (*_blocks(path), b""):
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as error:
            start = getattr(error, "start", 0)
            bad = block[start : start + 1].hex() or "at its end"
            line += block.count(b"\n", 0, start)
            raise ValueError(
                f"line {line} is not text in {encoding} (byte 0x{bad}); {_REMEDY}"
            ) from None
        line += block.count(b"\n")
        if not text.isascii() and len(letters) < _MAX_LETTERS:
            letters += re.sub(r"[\x01-\x7f]+", " ", text)
        elif "\0" in text:
            letters += "\0"
    return letters


def _letters(path: Path, encoding: str) -> str | None:
    try:
        return _require(path, encoding)
    except ValueError:
        return None


def _words(letters: str) -> list[str]:
    """The letters and ideographs."""
    return re.findall(r"[^\W\d_]", letters)


def _most_likely(path: Path) -> str:
    """The first encoding whose letters are those of a language."""
    if _common(path, "cp949") >= 0.8:
        return "cp949"
    for encoding in ("cp932", "euc_jp"):
        letters = _letters(path, encoding) or ""
        if len(_words(letters)) <= 5 * len(kana := re.findall("[ぁ-ヿ]", letters)) and kana:
            return encoding
    chinese = {name: _common(path, name) for name in ("gb18030", "big5")}
    best = max(chinese, key=lambda name: chinese[name])
    if chinese[best] >= 0.8:
        return best
    if _is_cyrillic(path):
        return "cp1251"
    return "cp1252" if _letters(path, "cp1252") is not None else "latin-1"


# Encoding -> the one without rare letters, and the first bytes of common ones: Hangul syllables,
# and the more frequent half of the ideographs.
_COMMON = {
    "cp949": ("cp949", 0xB0, 0xC8),
    "gb18030": ("gb2312", 0xB0, 0xD7),
    "big5": ("big5", 0xA4, 0xC6),
}


def _common(path: Path, encoding: str) -> float:
    """The fraction of the letters that are common ones of an encoding."""
    letters = _words(_letters(path, encoding) or "")
    narrow, first, last = _COMMON[encoding]
    codes = [letter.encode(narrow, "ignore") for letter in letters]
    # The second byte of rare syllables is lower.
    least = 0x40 if encoding == "big5" else 0xA1
    common = [c for c in codes if len(c) == 2 and first <= c[0] <= last and c[1] >= least]
    return len(common) / max(1, len(codes))


def _is_cyrillic(path: Path) -> bool:
    """Whether words have no ASCII letters: in Western text, an accent is one letter of a word."""
    if _letters(path, "cp1251") is None:
        return False
    with path.open("rb") as file:
        text = file.read(_BLOCK).decode("cp1251", "replace")
    words = re.findall(r"[A-Za-zА-яЁё]*[А-яЁё][A-Za-zА-яЁё]*", text)
    whole = [word for word in words if len(word) > 1 and not re.search("[A-Za-z]", word)]
    return 2 * len(whole) > len(words)
