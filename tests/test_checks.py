"""Data that are rejected, and the messages."""

import numpy as np
import pytest

import jaxnet as jn

GOOD = np.arange(8.0).reshape(4, 2)


def changed(row, column, value):
    x = GOOD.copy()
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("x", "y", "num_classes", "message"),
    [
        (changed(2, 1, np.nan), None, None, "x: row 2 holds nan at column 1"),
        (changed(1, 0, -np.inf), [0, 1, 1, 0], 2, "x: row 1 holds -inf at column 0"),
        (GOOD, [0.0, 1.0, np.nan, 2.0], None, "y: row 2 holds nan; targets must be finite"),
        (GOOD, [0, 1, -1, 0], 2, "y: the label -1 of row 2 is negative; .* from 0 to 1"),
        (GOOD, [0, 1, 2, 0], 2, "y: the label 2 of row 2 is too large"),
        (GOOD, [0, 1, 0.5, 0], 2, "y: the label 0.5 of row 2 is a fraction"),
        (GOOD, [1, 1, 1, 1], 2, "y: every label is 1; .* at least two classes"),
        (GOOD, [[0], [1], [0], [1]], 2, r"one integer for each example, found shape \(4, 1\)"),
        (GOOD, [0, 1, 0], 2, "x holds 4 examples and y 3"),
        (GOOD, np.array(1), 2, r"y holds no examples \(shape \(\)\)"),
        (GOOD[:0], None, None, r"x holds no examples \(shape \(0, 2\)\)"),
        (np.array(3.0), None, None, r"x holds no examples \(shape \(\)\)"),
        ([["a"], ["b"]], None, None, "x: features must be numbers, found dtype <U1"),
        (GOOD, ["a", "b", "a", "b"], 2, "y: targets must be numbers"),
    ],
)
def test_bad_data_raise(x, y, num_classes, message):
    with pytest.raises(ValueError, match=message):
        jn.check_data(x, y, num_classes=num_classes)


@pytest.mark.parametrize("y", [[0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0], [False, True, True, False]])
def test_good_data_pass(y):
    jn.check_data(GOOD, y, num_classes=2)
    jn.check_data(GOOD.astype(np.uint8), y)
    jn.check_data(GOOD)
