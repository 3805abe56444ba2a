"""Text from data in figures: never mathematics, of bounded length, in fonts with its letters."""

import functools
import re
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any, cast

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

MAX_WIDTH = 28

_FIRST = "DejaVu Sans"
# Fonts of common systems that have letters of many scripts, before all others that are installed.
_PREFERRED = (
    "Noto Sans CJK",
    "Noto Sans KR",
    "Noto Sans JP",
    "Noto Sans SC",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "Hiragino Sans",
    "Yu Gothic",
    "PingFang",
    "Microsoft YaHei",
    "Noto Sans",
    "Arial Unicode MS",
)
_CJK = ("HANGUL", "CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH", "IDEOGRAPH")
# The paths of fonts whose letters are asked for, and scripts that were named as missing.
_reported: set[str] = set()


def display_text(text: object, max_width: int = MAX_WIDTH) -> str:
    """A name from data as figures show it: one line without control characters, of bounded width.

    Args:
        text: the name.
        max_width: letters of half width; a Korean, Chinese or Japanese one counts as two.

    Returns:
        The text, with an ellipsis where it was cut. Matplotlib leaves labels that begin with an
        underscore out of legends, so they get an invisible letter in front.

    >>> display_text("one\\tline"), display_text("a" * 40, 10), len(display_text("_a"))
    ('one line', 'aaaaaaaaa…', 3)
    """
    line = "".join(
        letter if unicodedata.category(letter) not in ("Cc", "Cs", "Co", "Cn") else " "
        for letter in unicodedata.normalize("NFC", str(text))
    )
    line = re.sub(r"\s+", " ", line).strip() or "(blank)"
    if display_width(line) > max_width:
        while display_width(line) > max_width - 1:
            line = line[:-1]
        line = line.rstrip() + "…"
    return f"\u200b{line}" if line.startswith("_") else line


def display_width(text: str) -> int:
    """Width of a text in letters of half width.

    >>> display_width("ab"), display_width("가나")
    (2, 4)
    """
    return sum(
        0
        if unicodedata.combining(letter) or unicodedata.category(letter) == "Cf"
        else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def prepare_text(figure: Figure) -> list[str]:
    """Show all texts of a figure as they are, in fonts that have their letters.

    Letters that no installed font has are named once on stderr, with a package of fonts.

    Args:
        figure: the figure.

    Returns:
        The families of the fonts, for texts that are made while the figure is drawn.
    """
    texts = [cast(Text, text) for text in figure.findobj(Text)]
    letters = frozenset("".join(text.get_text() for text in texts))
    families, missing = find_fonts(letters)
    for text in texts:
        text.set_parse_math(False)
        text.set_fontfamily(families)
    advice = advise_fonts(missing)
    if advice is not None and advice not in _reported:
        _reported.add(advice)
        print(advice, file=sys.stderr, flush=True)
    return families


def find_fonts(letters: frozenset[str]) -> tuple[list[str], frozenset[str]]:
    """Installed fonts that have some letters together.

    Args:
        letters: the letters.

    Returns:
        Families for Matplotlib, in the order in which they are asked, and letters that none has.

    >>> find_fonts(frozenset("abc"))
    (['DejaVu Sans'], frozenset())
    """
    ignored = {letter for letter in letters if unicodedata.category(letter) in ("Cc", "Cf", "Zs")}
    missing = letters - ignored - _letters_of(font_manager.findfont(_FIRST))
    families = [_FIRST]
    if missing:
        for entry in _installed():
            if more := missing & _letters_of(entry.fname):
                families.append(entry.name)
                missing -= more
            if not missing:
                break
    return families, frozenset(missing)


def advise_fonts(missing: Iterable[str]) -> str | None:
    """One line that names the scripts of letters without a font, and a package that has them.

    >>> advise_fonts("가")  # doctest: +ELLIPSIS
    'note: no installed font has the letters of Hangul, ...; install fonts-noto-cjk ...'
    >>> advise_fonts("") is None
    True
    """
    scripts = sorted({unicodedata.name(letter, "UNKNOWN").split()[0] for letter in missing})
    if not scripts:
        return None
    if any(script in _CJK for script in scripts):
        packages = "fonts-noto-cjk (Debian, Ubuntu), google-noto-sans-cjk-fonts (Fedora)"
    else:
        packages = "fonts-noto-core (Debian, Ubuntu), google-noto-sans-fonts (Fedora)"
    return (
        f"note: no installed font has the letters of {', '.join(map(str.capitalize, scripts))}, "
        f"which figures show as boxes; install {packages} or a Noto font for it"
    )


@functools.cache
def _letters_of(path: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        # A broken font has no letters.
        return frozenset()


@functools.cache
def _installed() -> list[Any]:
    """Upright fonts of regular weight: those that are preferred, then all others by name."""
    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    # Matplotlib keeps a list of fonts, which lacks those that were installed since.
    for path in set(font_manager.findSystemFonts()) - known:
        try:
            manager.addfont(path)
        except (OSError, RuntimeError, ValueError):
            continue

    def rank(entry: Any) -> tuple[int, str]:
        places = [i for i, name in enumerate(_PREFERRED) if entry.name.startswith(name)]
        return (min(places, default=len(_PREFERRED)), entry.name)

    upright = [entry for entry in manager.ttflist if entry.style == "normal"]
    return sorted((entry for entry in upright if entry.weight in (400, "normal")), key=rank)
