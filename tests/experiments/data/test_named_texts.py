"""The named data sets of texts: their files, parts and hashes."""

import bz2
import hashlib
import json

import numpy as np
import pytest

from experiments.data.named import banking77, clinc150, nsmc
from experiments.data.texts.text_format import TextFormat
from jaxnet.typing import Sequences

QUESTIONS = b'text,category\r\n"Is it there,\nnow?",card_arrival\r\nWhy so slow ?,a_transfer\r\n'
REQUESTS = {
    "train": [["hi", "greeting"], ["call me ann", "change_user_name"]],
    "val": [["hello", "greeting"]],
    "test": [[" good day ", "greeting"], ["i am bob", "change_user_name"]],
    **{f"oos_{part}": [[f"{part} of the moon", "oos"]] for part in ("train", "val", "test")},
}


def place(folder, monkeypatch, module, name, content):
    path = folder / name
    path.parent.mkdir()
    path.write_bytes(content)
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(content).hexdigest())
    return path


def test_banking77(tmp_path, monkeypatch):
    place(tmp_path, monkeypatch, banking77, "banking77/train.csv", QUESTIONS)
    dataset = banking77.load_banking77(tmp_path)
    assert dataset.titles == ("Is it there,\nnow?", "Why so slow ?")
    assert dataset.class_names == ("a_transfer", "card_arrival") and dataset.y.tolist() == [1, 0]
    assert dataset.num_official_test == dataset.num_official_validation == 0


def test_clinc150(tmp_path, monkeypatch):
    content = json.dumps(REQUESTS).encode()
    place(tmp_path, monkeypatch, clinc150, "clinc150/data_full.json", content)
    dataset = clinc150.load_clinc150(tmp_path)
    assert dataset.titles == ("hi", "call me ann", "hello", "good day", "i am bob")
    assert dataset.class_names == ("change_user_name", "greeting")
    assert dataset.y.tolist() == [1, 0, 1, 1, 0]
    assert (dataset.num_official_validation, dataset.num_official_test) == (1, 2)
    assert isinstance(dataset.preprocessing, TextFormat)
    assert isinstance(dataset.out_of_scope, Sequences)
    expected = dataset.preprocessing.tokens(clinc150.load_out_of_scope(tmp_path))
    np.testing.assert_array_equal(dataset.out_of_scope.values, expected.values)
    assert clinc150.load_out_of_scope(tmp_path) == ("test of the moon",)


@pytest.mark.parametrize(
    ("module", "name", "load"),
    [
        (banking77, "banking77/train.csv", "load_banking77"),
        (clinc150, "clinc150/data_full.json", "load_clinc150"),
    ],
)
def test_other_files_are_rejected(tmp_path, monkeypatch, module, name, load):
    path = place(tmp_path, monkeypatch, module, name, QUESTIONS)
    path.write_bytes(QUESTIONS + b"\n")
    with pytest.raises(ValueError, match=r"has SHA-256 [0-9a-f]{64}, expected .* delete it"):
        getattr(module, load)(tmp_path)


def test_nsmc(tmp_path, monkeypatch):
    ratings = {"bad": 1, "awful  film": 4, "so so": 5, "fair": 8, "good": 9, "great": 10, "odd": 1}
    rows = [
        f"{i}\t7\t{rating}\t15.08.27\t{text}" for i, (text, rating) in enumerate(ratings.items())
    ]
    # Equal texts are one, one that is both is none, and an empty one is none.
    rows += ["8\t7\t10\t15.08.27\t great", "9\t7\t9\t15.08.27\todd", "10\t7\t2\t15.08.27\t "]
    content = "\n".join(["review_id\tmovie_id\trating\tdate\treview", *rows]) + "\n"
    name = "nsmc/nsmc_raw.tsv.bz2"
    path = place(tmp_path, monkeypatch, nsmc, name, bz2.compress(content.encode()))
    dataset = nsmc.read_nsmc(path, num_examples=4, num_test=2)
    labels = dict(zip(dataset.titles, dataset.y.tolist(), strict=True))
    assert labels == {"bad": 0, "awful film": 0, "good": 1, "great": 1}
    assert dataset.class_names == ("negative", "positive") and dataset.num_official_test == 2
    # The test part holds both classes.
    assert sorted(dataset.y[-2:].tolist()) == [0, 1]
    monkeypatch.delenv("JAXNET_DATA", raising=False)
    with pytest.raises(ValueError, match=r"nsmc_raw.tsv.bz2 is not found in .*none; it is not"):
        nsmc.load_nsmc(tmp_path / "none")
