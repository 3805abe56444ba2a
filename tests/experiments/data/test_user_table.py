"""A user's table as a data set: its labels, and options that are rejected."""

import numpy as np
import polars
import pytest

from experiments.data import holds_images, load_images, load_labelled_images
from experiments.data.tables.labels import encode_classes, find_classes

FRAME = polars.DataFrame(
    {"size": [1, 2, 3, 4], "kind": ["v", "u", "w", "u"], "weight": [0.1, 0.2, -0.3, 1e-9]}
)


def test_a_table_is_a_data_set(file, load):
    dataset = load(file(FRAME))
    assert not dataset.is_named and not dataset.published
    assert (dataset.name, dataset.class_names, dataset.unit) == ("fruit", ("u", "v", "w"), "")
    assert dataset.y.dtype == np.int32
    assert [dataset.class_names[label] for label in dataset.y] == FRAME["kind"].to_list()
    regression = load(file(FRAME), task="regression", label="weight", ignore=["kind"])
    assert (regression.class_names, regression.unit) == ((), "weight")
    np.testing.assert_array_equal(regression.y, FRAME["weight"].to_numpy().astype(np.float32))
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
def test_labels_that_are_not_classes_are_rejected(file, cells, expected, rejects):
    path = file("a,y\n" + "".join(f"1,{cell}\n" for cell in cells))
    rejects(path, expected, label="y", ignore=[])


def test_a_label_of_numbers_and_text_is_taken_as_categories(file, load):
    path = file("a,y\n1,0\n2,1\n3,x\n")
    assert load(path, label="y", ignore=[], categories=["y"]).class_names == ("0", "1", "x")


def test_remedies_name_the_other_experiment(file, rejects):
    path = file("a,y,z\n1,0.5,u\n2,1,v\n")
    rejects(path, "use experiments.regression", label="y", ignore=[])
    rejects(path, "label 'z' holds text ('u', 'v'), expected numbers", task="regression",
            label="z", ignore=[])  # fmt: skip
    rejects(file("a,y\n1,2\n2,\n"), "label 'y' is missing in 1 of 2 rows (row 2;",
            task="regression", label="y", ignore=[])  # fmt: skip


def test_options_that_name_nothing_are_rejected(file, load, rejects):
    path = file(FRAME)
    rejects(path, "label: there is no column 'kinds'; did you mean 'kind'?", label="kinds")
    rejects(path, "ignore: there is no column 'wight'; did you mean 'weight'?", ignore=["wight"])
    rejects(path, "categories: there is no column 'x'", categories=["x"])
    rejects(path, "no column of features left", ignore=["size", "weight"])
    for change, expected in (
        ({"ignore": ["kind"]}, "ignore: column 'kind' is the label"),
        ({"task": "clustering"}, "task must be"),
        ({"impute": "mean"}, "impute must be median or most_frequent, or None, found mean"),
    ):
        with pytest.raises(ValueError, match=expected):
            load(path, **change)


def test_a_class_too_rare_for_every_part_is_rejected_with_impute(file, load, rejects):
    path = file("a,kind\n" + "1,u\n" * 50 + "1,v\n")
    assert load(path, ignore=[]).x.shape == (51, 1)
    rejects(path, "class 'v' has 1 example in fruit", ignore=[], impute="median")


def test_a_file_that_is_called_like_a_named_data_set_is_not_that_data_set(file, load):
    dataset = load(file(FRAME, "mnist.csv"))
    assert dataset.name == "mnist" and not dataset.is_named and not dataset.published


def test_images_with_labels(tmp_path):
    x = np.random.default_rng(0).uniform(size=(3, 4, 4)).astype(np.float32)
    path = tmp_path / "shapes.npz"
    np.savez(path, x=x, kind=np.array([2, 1, 2]), other=np.zeros(9))
    assert holds_images(path)
    dataset = load_labelled_images(path, label="kind")
    np.testing.assert_array_equal(dataset.x[..., 0], x)
    assert (dataset.name, dataset.class_names) == ("shapes", ("1", "2"))
    assert dataset.y.tolist() == [1, 0, 1]
    assert not dataset.is_named and not load_labelled_images(path, label=None).class_names
    np.testing.assert_array_equal(load_images(path, (4, 4, 1)), dataset.x)
    for read, message in (
        (lambda: load_labelled_images(path, label="kinds"), "no array `kinds` of labels, found"),
        (lambda: load_labelled_images(path, label="other"), r"shape \(9,\), expected one label"),
        (lambda: load_images(path, (5, 5, 1)), r"x has shape \(3, 4, 4\), expected \(n, 5, 5, 1\)"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            read()
        assert str(caught.value).startswith(f"{path}: ")
    np.savez(path, x=255 * x)
    with pytest.raises(ValueError, match=r"numbers in \[0, 1\] or bytes from 0 to 255; divide"):
        load_labelled_images(path, label=None)
