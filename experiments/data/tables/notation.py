"""Numbers as people write them: 1.234,56 €, 5 %, (3), １２, −1, 1 000, 1'000.

Unicode's compatible forms, signs of any kind, marks between thousands, currencies before or behind
and one unit behind all numbers of a column are understood. Whether a mark separates thousands or
decimals is read from all cells of a column together.
"""

import functools
import sys
import unicodedata
from typing import Literal, NamedTuple

import polars

from experiments.data.tables.cells import listed

Mark = Literal["point", "comma"]

_CODES = "USD|EUR|GBP|JPY|KRW|CNY|RMB|INR|CHF|SEK|NOK|DKK|PLN|CZK|HUF|RUB|TRY|BRL|MXN|CAD|AUD|NZD|"
_CODES += "HKD|SGD|TWD|THB|VND|IDR|ZAR|ILS"
_BEFORE = rf"[A-Z]{{0,3}}\p{{Sc}}|{_CODES}|Rs\.?|[Kk]r\.?|Fr\.?"
_PATTERN = (
    r"^(?P<open>\()?\s*(?P<sign>[+-])?\s*"
    rf"(?P<before>{_BEFORE})?\s*(?P<sign2>[+-])?\s*"
    r"(?P<number>[0-9][0-9.,' ]*|[.,][0-9]+)(?P<power>[eE][+-]?[0-9]+)?\s*"
    r"(?P<after>[\p{L}\p{Sc}%‰°µ][^0-9()]{0,11}[23]?)??\s*(?P<behind>-)?\s*(?P<close>\))?$"
)
_CURRENCY = rf"^(?i:{_BEFORE}|원|엔|円|元|₽|zł|kč|ft|lei|лв\.?|руб\.?|р\.)$"
# Currencies that are written without decimals, and those of countries with decimal points.
_WHOLE = ("원", "₩", "krw", "円", "엔", "¥", "jpy", "₫", "vnd", "đ")
_POINTED = ("$", "us$", "usd", "£", "gbp", "₹", "inr", "rs", "rs.")
_MULTIPLIERS = {
    *("k", "tsd", "thousand", "lakh", "m", "mm", "mn", "mio", "mil", "million", "millions"),
    *("cr", "crore", "b", "bn", "mrd", "bil", "billion", "billions", "t", "tn", "trillion"),
    *("천", "만", "억", "조", "千", "万", "亿", "億"),
}
_SPACED = r"^[0-9]{1,3}(?:[ '][0-9]{3})+(?:[.,][0-9]+)?$"
# From the first that fits: the decimal mark of a number, or that it may be either.
_KINDS = (
    ("none", r"^[0-9]+$"),
    ("comma", r"^[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+$|^[0-9]{1,3}(?:\.[0-9]{3}){2,}$"),
    ("point", r"^[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}\.[0-9]+$"),
    ("point", r"^[0-9]{1,3}(?:,[0-9]{2,3})+,[0-9]{3}$"),
    ("comma or thousands", r"^[1-9][0-9]{0,2},[0-9]{3}$"),
    ("point or thousands", r"^[1-9][0-9]{0,2}\.[0-9]{3}$"),
    ("comma", r"^[0-9]*,[0-9]+$|^[0-9]+,$"),
    ("point", r"^[0-9]*\.[0-9]+$|^[0-9]+\.$"),
)


class Notation(NamedTuple):
    """How the numbers of a column are written.

    Attributes:
        decimal: the decimal mark.
        unit: the currency or unit of every cell, `%` for per cent; "" for none.
        certain: whether some cell shows the decimal mark.
    """

    decimal: Mark = "point"
    unit: str = ""
    certain: bool = False


def read_numbers(
    column: polars.Series, *, given: Mark | None = None, saved: Notation | None = None
) -> tuple[polars.Series, Notation]:
    """Read the numbers of a column of text.

    Args:
        column: text; null is a missing cell.
        given: the decimal mark where no cell shows it; None leaves it open.
        saved: of the same column in another table, whose decimal mark holds where no cell shows
            another, and whose unit cells without a unit have; per cent has to be written.

    Returns:
        Float64, null where a cell is missing or not a number, and the notation.

    Raises:
        ValueError: at least half of the cells are numbers, and these have decimal points and
            commas, or either, or several units; or a unit differs from the saved one.

    >>> read_numbers(polars.Series("price", ["1.234,50 €", "− 3 €", "x"]))[0].to_list()
    [1234.5, -3.0, None]
    """
    cells = column.drop_nulls().unique(maintain_order=True)
    parts = _parts(cells)
    values = parts.filter(parts["kind"].is_not_null())
    is_mostly = 2 * column.is_in(values["cell"].implode()).sum() >= len(column.drop_nulls())
    try:
        unit = _unit(values, None if saved is None else saved.unit)
        mark, certain = _decimal_mark(values, unit, given, saved)
    except _NotOneNotationError as error:
        if saved is not None or (is_mostly and not isinstance(error, _NamesError)):
            leave = "" if saved else f", or leave the column out (--ignore {column.name})"
            raise ValueError(f"column {column.name!r} {error}{leave}") from None
        return polars.Series(column.name, [None] * len(column), polars.Float64), Notation()
    group, decimal = (",", ".") if mark == "point" else (".", ",")
    digits = values["number"].str.replace_all(group, "", literal=True)
    digits = digits.str.replace(decimal, ".", literal=True) + values["power"].fill_null("")
    found = digits.cast(polars.Float64, strict=False) * values["factor"]
    numbers = column.replace_strict(
        values["cell"], found, default=None, return_dtype=polars.Float64
    )
    return numbers, Notation(mark, unit, certain)


class _NotOneNotationError(ValueError):
    """The numbers of a column are not written in one way."""


class _NamesError(_NotOneNotationError):
    """The cells are names such as 3A and 3B, and not numbers."""


def _parts(cells: polars.Series) -> polars.DataFrame:
    """Number, power, unit, sign and kind of each cell; the kind is null where it is no number."""
    text = cells.str.normalize("NFKC").str.replace_all(r"[−–—‒‐‑﹣]", "-")
    text = text.str.replace_all("[’‘´`]", "'").str.replace_all("٫", ".").str.replace_all("٬", ",")
    text = text.str.replace_all(r"\s+", " ").str.strip_chars()
    text = text.str.replace(r"^'(.*)'$", "$1").str.strip_prefix("'")
    if text.str.contains(r"[^\x00-\x7f]").any():
        text = text.str.replace_many(_digits())
    parts = text.str.extract_groups(_PATTERN).struct.unnest()
    number = parts["number"].str.strip_chars()
    spaced = number.str.contains("[ ']")
    grouped = number.str.contains(_SPACED)
    number = number.str.replace_all("[ ']", "")
    kind = polars.lit(None, polars.String)
    for name, pattern in reversed(_KINDS):
        kind = (
            polars.when(polars.col("number").str.contains(pattern))
            .then(polars.lit(name))
            .otherwise(kind)
        )
    frame = parts.with_columns(
        number=number,
        spaced=spaced,
        grouped=grouped,
        cell=cells,
        unit=(parts["before"].fill_null("") + parts["after"].fill_null(""))
        .str.strip_chars()
        .str.to_lowercase(),
        factor=polars.when(
            (parts["sign"].fill_null("") == "-")
            ^ (parts["sign2"].fill_null("") == "-")
            ^ parts["behind"].is_not_null()
            ^ parts["open"].is_not_null()
        )
        .then(-1.0)
        .otherwise(1.0),
    ).with_columns(kind=kind)
    # Spaces between thousands, or a power: the other mark is the decimal mark.
    certain = frame["spaced"] | frame["power"].is_not_null()
    sure = frame["kind"].str.strip_suffix(" or thousands")
    kind = sure.zip_with(certain.fill_null(False), frame["kind"])
    whole = (frame["open"].is_null() == frame["close"].is_null()) & (~spaced | grouped)
    return frame.with_columns(kind=kind.set(~whole.fill_null(False), None))


@functools.cache
def _digits() -> dict[str, str]:
    """Every decimal digit of Unicode that is not one of ASCII."""
    characters = map(chr, range(0x80, sys.maxunicode + 1))
    return {c: str(unicodedata.decimal(c)) for c in characters if c.isdecimal()}


def _unit(values: polars.DataFrame, saved: str | None) -> str:
    """The unit of all cells; a currency may be missing in some of them."""
    units = values["unit"].unique().sort().to_list()
    given = [unit for unit in units if unit]
    if saved is not None:
        strange = [unit for unit in units if unit != saved and (unit or saved == "%")]
        if not saved and len(given) == 1 and polars.Series(given).str.contains(_CURRENCY).all():
            return ""
        if strange and not saved:
            raise _NotOneNotationError(
                f"holds the unit {given[0]!r}, and the training data have none; write it without"
            )
        if strange:
            found = f"the unit {strange[0]!r}" if strange[0] else "numbers without a unit"
            raise _NotOneNotationError(
                f"holds {found}, and the training data have {saved!r}; write it in this unit"
            )
        return saved
    if not given:
        return ""
    is_currency = polars.Series(given).str.contains(_CURRENCY).all()
    if len(given) == 1 and ("" not in units or is_currency):
        return given[0]
    if "%" in given or is_currency:
        shown = listed([values.filter(values["unit"] == unit)["cell"][0] for unit in units])
        raise _NotOneNotationError(f"has several units ({shown}); write all numbers in one")
    if _MULTIPLIERS.issuperset(given):
        shown = listed([values.filter(values["unit"] == unit)["cell"][0] for unit in units])
        raise _NotOneNotationError(
            f"has multipliers of numbers ({shown}); write all numbers in full, such as 5000 for "
            "5K, say that they are names with --categories"
        )
    raise _NamesError("has several units; write all numbers in one")


def _decimal_mark(
    values: polars.DataFrame, unit: str, given: Mark | None, saved: Notation | None
) -> tuple[Mark, bool]:
    """The decimal mark, and whether a cell shows it."""
    first: dict[str, str] = {}
    for kind, cell in values.select("kind", "cell").unique("kind", keep="first").rows():
        first[kind] = cell
    if "point" in first and "comma" in first:
        raise _NotOneNotationError(
            f"has decimal points and decimal commas ({first['point']!r} and {first['comma']!r}); "
            "write all numbers with one of them"
        )
    if "point" in first or "comma" in first:
        return ("point" if "point" in first else "comma"), True
    open_kinds = {"comma or thousands", "point or thousands"} & first.keys()
    if not open_kinds:
        return (given or (saved.decimal if saved else "point")), False
    if given is not None:
        return given, False
    if saved is not None:
        return saved.decimal, False
    if len(open_kinds) == 1:
        is_comma = "comma or thousands" in open_kinds
        if unit in _WHOLE:
            return ("point" if is_comma else "comma"), False
        if is_comma and unit in _POINTED:
            return "point", False
        if not is_comma and not polars.Series([unit]).str.contains(_CURRENCY).all():
            return "point", False
    shown = first[min(open_kinds)]
    raise _NotOneNotationError(
        f"holds {shown!r}, where the mark may separate thousands or decimals; say which is the "
        "decimal mark with --decimal point or --decimal comma"
    )
