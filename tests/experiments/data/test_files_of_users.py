"""Tables with faults that users' files have, as small files of 18 rows beside the data sets.

Each is named for its fault in the folder `../faults/commands` of `JAXNET_DATA`, which not every
machine has; the same faults are tested in the other modules with tables that are written there.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from experiments.config import TableOptions
from experiments.data import load_features, load_table, split
from experiments.facts import batch_size_for

FOLDER = Path(os.environ.get("JAXNET_DATA") or "none").parent / "faults" / "commands"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the files are not on this machine")

# File -> features, and a part of its notes; "" for no note.
READ = {
    "01_offset": (1, ""),
    "01_timestamps": (1, ""),
    "02_dates": (5, "read as dates"),
    "02_dollar": (1, "'$ 0.50' is 0.5"),
    "02_fullwidth": (1, "read as numbers"),
    "02_nbsp_thousands": (1, "is 1000"),
    "02_percent": (1, "read as numbers"),
    "02_single_quoted": (1, "quotation marks"),
    "02_unicode_minus": (1, "is -1"),
    "02_won": (1, "'1,000원' is 1000"),
    "05_pandas_index": (1, "counts the rows"),
    "05_trailing_comma": (1, "is empty"),
    "06_cp949": (3, "cp949"),
    "06_latin1": (1, "cp1252"),
    "06_utf16": (1, ""),
    "07_three_members": (1, ""),
    "08_train": (4, ""),
    "09_NA_is_a_country": (3, "NA is a category"),
    "09_sentinel": (1, "--missing=-999"),
    "10_excel_empty_rows": (1, "2 rows without content dropped"),
    "10_last_line_of_space": (1, "1 row without content dropped"),
    "11_leak": (3, ""),
    "12_bool_spelling": (2, ""),
    "12_label_case": (1, "differ by capitals"),
    "14_korean": (1, ""),
    "15_mathtext": (1, ""),
    "15_two_dollars": (1, ""),
    "17_twenty_rows": (1, ""),
    "18_train": (3, ""),
    "mnist": (1, ""),
}
REJECTED = {
    "03_names": "'name' holds 18 different texts",
    "04_no_header": "--header none",
    "04_no_header_repeats": "--header none",
    "07_one_member": "class 'rare' has 1 example",
    "09_half_missing": "13 cells are missing: .*--impute most_frequent",
    "09_markers": "6 cells are missing",
}
LABELS = {"06_cp949": "등급", "11_leak": "survived", "14_korean": "등급"}


def load(name, **options):
    label = options.pop("label", LABELS.get(name, "label"))
    dataset = load_table(
        FOLDER / f"{name}.csv", label=label, task="classification", seed=0,
        options=TableOptions(**options),
    )  # fmt: skip
    # What happens before a run writes anything.
    return dataset, split(dataset, seed=0)


def test_every_file_is_expected():
    names = {path.stem for path in FOLDER.glob("*.csv") if "_new" not in path.stem}
    assert names == READ.keys() | REJECTED.keys()


@pytest.mark.parametrize("name", READ)
def test_files_that_are_read(name):
    dataset, parts = load(name)
    num_features, note = READ[name]
    assert dataset.x.shape == (20 if name == "17_twenty_rows" else 18, num_features)
    assert len(dataset.notes) == (note != "")
    assert all(note in line and "\n" not in line for line in dataset.notes)
    assert len(np.unique(dataset.x, axis=0)) > 1 and not dataset.is_named
    assert batch_size_for(len(dataset.x)) <= len(parts.train)


@pytest.mark.parametrize("name", REJECTED)
def test_files_that_are_rejected(name):
    with pytest.raises(ValueError, match=REJECTED[name]) as caught:
        load(name)
    assert "\n" not in str(caught.value)


def test_the_remedies_of_the_messages():
    assert load("03_names", ignore=("name",))[0].feature_names == ("age",)
    for name in ("04_no_header", "04_no_header_repeats"):
        dataset, _ = load(name, label="column_4", header="none")
        assert dataset.x.shape == (18, 3) and dataset.class_names == ("0", "1")
    dataset, _ = load("09_half_missing", impute="most_frequent")
    assert dataset.feature_names == ("deck=C", "deck is missing")
    dataset, _ = load("09_markers", impute="median")
    assert dataset.feature_names == ("x", "x is missing", "c=u", "c=v", "c is missing")
    dataset, _ = load("09_sentinel", impute="median", missing=("-999",))
    assert dataset.x[:, 0].min() == 1 and dataset.x[:, 1].sum() == 3


def test_new_rows():
    cities = load("08_train")[0].preprocessing
    rows = load_features(FOLDER / "08_new_city.csv", cities)
    assert rows.x.tolist() == [[0, 0, 0, 3], [0, 0, 1, 4]]
    assert rows.row_notes == ["city: not in the training data", ""]
    rows = load_features(FOLDER / "08_new_extra.csv", cities, carry=["id"])
    assert rows.x.tolist() == [[0, 0, 1, 4]] and rows.carried == {"id": ["7"]}
    with pytest.raises(ValueError, match="2 cells are missing"):
        load_features(FOLDER / "08_new_missing.csv", cities)
    told = load("08_train", impute="median")[0].preprocessing
    assert all(load_features(FOLDER / "08_new_missing.csv", told).row_notes)
    stores = load("18_train")[0].preprocessing
    for name in ("18_new_float", "18_new_lower"):
        rows = load_features(FOLDER / f"{name}.csv", stores, carry=["store"])
        assert rows.x.tolist() == [[1, 0, 1]] and not rows.notes
    names = load("03_names", ignore=("name",))[0].preprocessing
    assert load_features(FOLDER / "03_names_new.csv", names).x.tolist() == [[31]]
