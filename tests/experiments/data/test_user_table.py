"""The user's own table as a data set: its labels, and options that are refused."""

import numpy as np
import polars
import pytest

from experiments.data.tables.labels import encode_classes, find_classes

FRAME = polars.DataFrame(
    {"size": [1, 2, 3, 4], "kind": ["v", "u", "w", "u"], "weight": [0.1, 0.2, -0.3, 1e-9]}
)


def test_a_data_set_of_one_s_own(file, load):
    frame = FRAME
    dataset = load(file(frame))
    assert (dataset.name, dataset.class_names, dataset.unit) == ("fruit", ("u", "v", "w"), "")
    assert dataset.y.dtype == np.int32
    assert [dataset.class_names[label] for label in dataset.y] == frame["kind"].to_list()
    regression = load(file(frame), task="regression", label="weight", ignore=["kind"])
    assert (regression.class_names, regression.unit) == ((), "weight")
    np.testing.assert_array_equal(regression.y, frame["weight"].to_numpy().astype(np.float32))
    assert regression.y.dtype == np.float32 and regression.preprocessing.class_names == ()


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["b", "a", "b"], ("a", "b")),
        ([10, 9, -1], ("-1", "9", "10")),
        ([2.0, 10.0, 2.0], ("2", "10")),
        ([True, False, True], ("false", "true")),
    ],
)
def test_classes(values, names):
    label = polars.Series("y", values)
    assert find_classes(label) == names
    found = [names[index] for index in encode_classes(label, names)]
    assert found == [str(int(v)) if type(v) is float else str(v).lower() for v in values]
    with pytest.raises(ValueError, match=r"label 'y' is .* in row 1, expected one of other, names"):
        encode_classes(label, ("other", "names"))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["0", "1.5", "2"], "holds fractions (1.5) and classes are"),
        (["u", "", "v", "?"], "label 'y' is missing in 2 of 4 rows (row 2, 4;"),
        (["u", "u"], "label 'y' is 'u' in every row"),
        ([str(i) for i in range(1001)], "label 'y' has 1001 different values (0, 1, 2, 3, 4, ...)"),
        ([f"name {i}" for i in range(1001)], "is this an identifier or free text?"),
        (["0", "1", "x"], "column 'y' holds text in a column of numbers"),
    ],
)
def test_labels_that_are_no_classes_are_refused(file, cells, expected, refused):
    path = file("a,y\n" + "".join(f"1,{cell}\n" for cell in cells))
    refused(path, expected, label="y", ignore=[])


def test_a_label_of_numbers_and_text_is_taken_as_categories(file, load):
    path = file("a,y\n1,0\n2,1\n3,x\n")
    assert load(path, label="y", ignore=[], categories=["y"]).class_names == ("0", "1", "x")


def test_remedies_name_the_other_experiment(file, refused):
    path = file("a,y,z\n1,0.5,u\n2,1,v\n")
    refused(path, "use experiments.regression", label="y", ignore=[])
    refused(path, "label 'z' holds text ('u', 'v'), expected numbers", task="regression",
            label="z", ignore=[])  # fmt: skip
    refused(file("a,y\n1,2\n2,\n"), "label 'y' is missing in 1 of 2 rows (row 2;",
            task="regression", label="y", ignore=[])  # fmt: skip


def test_options_that_name_nothing_are_refused(file, load, refused):
    path = file(FRAME)
    refused(path, "label: there is no column 'kinds'; did you mean 'kind'?", label="kinds")
    refused(path, "ignore: there is no column 'wight'; did you mean 'weight'?", ignore=["wight"])
    refused(path, "categories: there is no column 'x'", categories=["x"])
    refused(path, "no column of features left", ignore=["size", "weight"])
    for change, expected in (
        ({"ignore": ["kind"]}, "ignore: column 'kind' is the label"),
        ({"task": "clustering"}, "task must be"),
        ({"impute": "mean"}, "impute must be 'median' or None, found 'mean'"),
    ):
        with pytest.raises(ValueError, match=expected):
            load(path, **change)


def test_a_class_too_rare_for_every_part_is_refused_where_the_parts_are_needed(file, load, refused):
    path = file("a,kind\n" + "1,u\n" * 50 + "1,v\n")
    assert load(path, ignore=[]).x.shape == (51, 1)
    refused(path, "cannot be split", ignore=[], impute="median")
