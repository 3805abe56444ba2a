"""Numbers and dates as people write them, against their values worked out by hand."""

import datetime
import math
import re

import numpy as np
import polars
import pytest

from experiments.config import TableOptions
from experiments.data.tables.dates import cyclic_features, read_dates, to_numbers
from experiments.data.tables.inference import infer
from experiments.data.tables.notation import Notation, read_numbers


def column(*cells):
    return polars.Series("a", list(cells), dtype=polars.String)


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["$ 0.50", "$1,234.50", "-$3", "$-4", "($5.00)", "(6)"], [0.5, 1234.5, -3, -4, -5, -6]),
        (["1,000원", "18,000원", "7원"], [1000, 18000, 7]),
        (["₩1,000", "₩ 2,000"], [1000, 2000]),
        (["1.234,56 €", "3 €", "-1 €"], [1234.56, 3, -1]),
        (["EUR 1.234,50", "EUR 2"], [1234.5, 2]),
        (["R$ 1.234.567", "R$ 5"], [1234567, 5]),
        (["CHF 1'234.50", "CHF 2’000"], [1234.5, 2000]),
        (["₹1,23,456", "₹ 5"], [123456, 5]),
        (["12 kr", "kr 5"], [12, 5]),
        (["−1", "–2", "＋3", "4-"], [-1, -2, 3, -4]),
        (["１０", "１１．５"], [10, 11.5]),
        (["٣", "٤٫٥"], [3, 4.5]),
        (["1\u00a0000", "1\u202f234,5", "950", "1\u2009000\u2009000"], [1000, 1234.5, 950, 1e6]),
        (["1 000", "12 500"], [1000, 12500]),
        (["0%", "1.5 %", "20％", "-3%"], [0, 1.5, 20, -3]),
        (["'0'", "'1.5'"], [0, 1.5]),
        (["1,5", "1234,25", "7"], [1.5, 1234.25, 7]),
        (["1,234", "950", "1,234,567"], [1234, 950, 1234567]),
        (["0,500", "1,234"], [0.5, 1.234]),
        (["1.234", "1.234,5"], [1234, 1234.5]),
        (["5 kg", "12.5kg"], [5, 12.5]),
        (["20 °C", "-3 °C"], [20, -3]),
        (["10 km/h", "5 km/h"], [10, 5]),
        (["50 m²", "60 m²"], [50, 60]),
        (["1,5e-3", "2e3"], [0.0015, 2000]),
    ],
)
def test_numbers_in_another_notation(cells, numbers):
    for order in (slice(None), slice(None, None, -1)):
        reading = infer(column(*cells[order], None), TableOptions())
        values = reading.values.cast(polars.Float64).to_list()
        np.testing.assert_allclose(values[:-1], numbers[order], rtol=1e-15)
        assert values[-1] is None and len(reading.notes) == 1
        quoted = reading.notes[0].startswith("the single quotation marks")
        assert quoted or reading.notes[0].startswith("read as numbers: ")
    # New rows in the same notation, one at a time, and as plain numbers.
    for cell, number in zip(cells, numbers, strict=True):
        assert read_numbers(column(cell), saved=reading.notation)[0].item() == pytest.approx(number)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,234", "2,345"], "'1,234', where the mark may separate thousands or decimals"),
        (["€1.234", "€5.678"], "say which is the decimal mark with --decimal point or"),
        (["1,234", "1.235"], "--decimal point or --decimal comma"),
        (["1.5", "1,5"], "has decimal points and decimal commas ('1.5' and '1,5')"),
        (["5%", "6", "7%"], "has several units"),
        (["$5", "€6"], "has several units ('$5', '€6')"),
        (["5K", "3M", "200"], "has multipliers of numbers ('200', '5K', '3M'); write all numbers"),
        (["10:30", "25:15:00"], "times of 24 hours or more, which are durations"),
        (["1,5", "2,5", "x"], "holds text in a column of numbers: 1 cell of 3 (row 3: 'x'"),
        (["$1", "$2", "free"], "name marks of missing cells with --missing"),
        (["2024-01-01", "2024-01-02", "x"], "holds text in a column of dates: 1 cell of 3"),
        (["2024-01-01", "2024-02-30"], "row 2: '2024-02-30'"),
        (["01/02/2024", "03/04/2024"], "say it with --date-format %d/%m/%Y or --date-format %m"),
    ],
)
def test_what_can_be_read_in_two_ways_is_rejected(cells, expected):
    with pytest.raises(ValueError, match=re.escape(expected)) as caught:
        infer(column(*cells), TableOptions())
    message = str(caught.value)
    assert message.startswith("column 'a' ") and "\n" not in message
    assert "--" in message


@pytest.mark.parametrize(
    "cells",
    [["3A", "3B"], ["10-20", "20-30"], ["1/2", "3/4"], ["1_000"], ["0x10"], ["Person 1"], ["+"],
     ["v1.2", "v1.3"], ["12:61"], ["A1"], ["1 2 3"]],
)  # fmt: skip
def test_names_are_not_numbers(cells):
    if cells == ["12:61"]:
        with pytest.raises(ValueError, match="dates"):
            infer(column(*cells), TableOptions())
        return
    assert infer(column(*cells), TableOptions()).values.dtype == polars.String


def test_the_option_settles_the_decimal_mark_and_nothing_else():
    for cells, comma, point in (
        (["1,234", "2,345"], [1.234, 2.345], [1234, 2345]),
        (["€1.234"], [1234], [1.234]),
        # Plain numbers, unless the option says otherwise.
        (["1.234", "950"], [1234, 950], [1.234, 950]),
        (["1.5", "2.25"], [1.5, 2.25], [1.5, 2.25]),
        (["1,5"], [1.5], [1.5]),
    ):
        for decimal, expected in (("comma", comma), ("point", point)):
            reading = infer(column(*cells), TableOptions(decimal=decimal))
            np.testing.assert_allclose(reading.values.to_list(), expected)


def test_numbers_of_new_rows_keep_the_unit_of_the_training_data():
    for cell, saved, expected in (
        ("5 kg", "kg", 5), ("5", "kg", 5), ("$5", "", 5), ("5", "$", 5), ("5 %", "%", 5),
    ):  # fmt: skip
        assert read_numbers(column(cell), saved=Notation("point", saved))[0].item() == expected
    for cell, saved in (("5 g", "kg"), ("5", "%"), ("5%", ""), ("€5", "$"), ("5 kg", "")):
        with pytest.raises(ValueError, match="write it"):
            read_numbers(column(cell), saved=Notation("point", saved))


DAY = datetime.date(2024, 2, 1)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["2024-02-01", "2024-2-1", "2024/02/01", "2024.02.01", "2024. 2. 1."], [DAY] * 5),
        (["2024년 2월 1일", "2024年2月1日"], [DAY] * 2),
        (["1.2.2024", "01.02.2024"], [DAY] * 2),
        (["01/02/2024", "13/02/2024"], [DAY, DAY.replace(day=13)]),
        (["02/01/2024", "2/13/2024"], [DAY, DAY.replace(day=13)]),
        (["1 Feb 2024", "01-FEB-2024", "Feb 1, 2024", "February 1st 2024"], [DAY] * 4),
        (["Thu, 1 Feb 2024"], [DAY]),
        (["2024-02", "Feb 2024"], [DAY] * 2),
        (["2024-02-01 00:00:00", "2024-02-01T00:00"], [DAY] * 2),
        (
            ["2024-02-01 10:30", "2024-02-01T10:30:00Z", "2024-02-01 19:30:00+09:00", "2024-02-01"],
            [datetime.datetime(2024, 2, 1, 10, 30)] * 3 + [datetime.datetime(2024, 2, 1)],
        ),
        (["2/13/2024 9:05 pm"], [datetime.datetime(2024, 2, 13, 21, 5)]),
        (["9:05", "09:05:00", "9:05 AM", "9:05 a.m."], [datetime.time(9, 5)] * 4),
    ],
)
def test_dates(cells, values):
    reading = infer(column(*cells, None), TableOptions())
    assert reading.values.to_list() == [*values, None]
    assert len(reading.notes) == 1 and "read as" in reading.notes[0]


@pytest.mark.parametrize(
    ("cells", "form", "value"),
    [
        (["01/02/2024"], "%d/%m/%Y", DAY),
        (["02/01/2024"], "%m/%d/%Y", DAY),
        (["24/02/01"], "%y/%m/%d", DAY),
        (["20240201"], "%Y%m%d", DAY),
        (["240201 1030"], "%y%m%d %H%M", datetime.datetime(2024, 2, 1, 10, 30)),
    ],
)
def test_a_format_of_dates_that_is_given(cells, form, value):
    reading = infer(column(*cells), TableOptions(date_format=form))
    assert reading.values.to_list() == [value] and reading.date_format == form
    # Of the new rows of a run, it is known.
    assert read_dates(column(*cells), saved=form).values.to_list() == [value]


def test_integers_are_dates_of_a_format_of_digits_alone():
    cells = polars.Series("a", [20240201, 20240202])
    assert infer(cells, TableOptions()).values.to_list() == cells.to_list()
    read = infer(cells, TableOptions(date_format="%Y%m%d")).values
    assert read.to_list() == [DAY, DAY.replace(day=2)]
    with pytest.raises(ValueError, match="date_format 'x%Q' is not a format"):
        infer(column("x"), TableOptions(date_format="x%Q"))


def test_features_of_dates():
    days = polars.Series([datetime.datetime(2023, 7, 2, 18), datetime.datetime(1970, 1, 5)])
    numbers = to_numbers(days)
    assert numbers.to_list() == [19540.75, 4.0]
    found = cyclic_features(numbers.to_numpy(), "datetime")
    # 182.75 of 365 days after new year, a Sunday, 18 hours; a Monday, the fifth of January.
    phases = [[182.75 / 365, 6 / 7, 0.75], [4 / 365, 0, 0]]
    expected = [
        [wave(2 * math.pi * phase) for phase in row for wave in (math.sin, math.cos)]
        for row in phases
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert cyclic_features(numbers.to_numpy(), "date").shape == (2, 4)
    assert to_numbers(polars.Series([datetime.time(6, 30)])).item() == 6.5
    zone = polars.Series([datetime.datetime(1970, 1, 2)]).dt.replace_time_zone("Asia/Seoul")
    assert to_numbers(zone).item() == 1 - 9 / 24
    assert to_numbers(polars.Series([datetime.timedelta(minutes=90)])).item() == 1.5
