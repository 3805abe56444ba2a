"""Tokens of texts: a function of the text alone; and a user's table with a column of texts."""

import dataclasses
import json
import zlib
from pathlib import Path

import numpy as np
import polars
import pytest

from experiments.config import TableOptions
from experiments.data.named.term_weights import term_weights
from experiments.data.new_rows import format_content, read_rows, restore_format
from experiments.data.texts.text_format import TextFormat, split_words
from experiments.data.texts.text_table import load_new_texts, load_texts
from experiments.data.texts.text_weights import TextWeights, weights_dataset
from jaxnet.typing import Sequences

ROWS = ("Where is my card?,card", "카드를 잃어버렸어요,card", "My PIN is wrong,pin")


def write(folder: Path, *rows: str, header: str = "said,topic", encoding: str = "utf-8") -> Path:
    path = folder / "calls.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding=encoding)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't  STOP", ["dont", "stop"]),
        ("it\u2019s 5,50€", ["its", "5", ",", "50", "€"]),
        ("카드를 보내 주세요", ["카드를", "보내", "주세요"]),
        ("\u1112\u1161\u11ab", ["한"]),  # decomposed Hangul
        ("ＣＡＦＥ\u0301", ["café"]),
        ("नमस्ते", ["नमस्ते"]),  # with vowel signs, which are marks
        ("我想换卡。", ["我想换卡", "。"]),
        ("👍👍 ok_go", ["👍", "👍", "ok", "_", "go"]),
        ("\u200b \n\t", []),
    ],
)
def test_words_of_any_script(text, words):
    assert split_words(text) == words


def test_tokens_are_hashed_ngrams():
    texts = TextFormat(word_ngrams=3, character_ngrams=(2, 3), num_tokens=1000)
    assert texts.ngrams("to go") == [
        *("to", "go", "^ to", "to go", "go $", "^ to go", "to go $"),
        *("#<t", "#to", "#o>", "#<to", "#to>", "#<g", "#go", "#o>", "#<go", "#go>"),
    ]
    tokens = texts.tokens(["to go", "카드", "go"])
    for row, length, text in zip(*tokens, ["to go", "카드", "go"], strict=True):
        expected = [1 + zlib.crc32(n.encode()) % 999 for n in texts.ngrams(text)]
        assert row[:length].tolist() == expected and not row[length:].any()
    assert tokens.values.dtype == tokens.length.dtype == np.int32
    alone = texts.tokens(["카드"])
    assert alone.values[0].tolist() == tokens.values[1, : alone.length[0]].tolist()


def test_long_and_empty_texts():
    texts = TextFormat(max_tokens=5)
    tokens = texts.tokens(["one two three four five six", "", "one"])
    assert tokens.length.tolist() == [5, 0, 5]
    words = TextFormat(word_ngrams=1, character_ngrams=None).tokens(["one two three four five"])
    np.testing.assert_array_equal(tokens.values[0], words.values[0])
    for text in ("", "a", "one two", "카드를 잃어버렸어요 ..."):
        for limit in (len(texts.ngrams(text)), len(texts.ngrams(text)) + 1):
            cut = dataclasses.replace(texts, max_tokens=max(1, limit - 1))
            assert bool(cut.notes([text])) == (len(texts.ngrams(text)) > cut.max_tokens)
    with pytest.raises(ValueError, match="at least one is needed"):
        texts.tokens([])


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("word_ngrams", 0, "word_ngrams must be at least 1, found 0"),
        ("character_ngrams", [4, 3], "character_ngrams must be 1 <= low <= high"),
        ("num_tokens", 1, r"num_tokens must be in \[2, 2\*\*31\], found 1"),
        ("max_tokens", 0, "max_tokens must be at least 1"),
        ("class_names", ["a"], "class_names must be different"),
        ("label", "text", "columns of different names"),
        ("num_tokens", "many", "num_tokens: Input should be a valid integer"),
        ("unknown", 1, "unknown: "),
    ],
)
def test_saved_formats_are_checked(field, value, problem):
    with pytest.raises(ValueError, match=problem):
        TextFormat.from_json(json.dumps({field: value}))


def test_new_texts_are_read_as_those_of_the_run(tmp_path):
    data = load_texts(write(tmp_path, *ROWS, encoding="cp949"), text=" said", label="topic")
    assert data.name == "calls" and data.class_names == ("card", "pin")
    assert data.titles[1] == "카드를 잃어버렸어요" and data.y.tolist() == [0, 0, 1]
    assert data.is_tokens and data.preprocessing is not None
    restored = restore_format(json.loads(json.dumps(format_content(data.preprocessing))))
    assert restored == data.preprocessing and restored.encoding == "cp949"
    # Other columns, in another order, without the label, and too few letters to tell the encoding.
    path = write(tmp_path, "7,카드", "8,PIN", header="id,said", encoding="cp949")
    rows = read_rows(path, restored, carry=["id"])
    assert rows.carried == {"id": ["7", "8"]} and rows.num_rows == 2
    assert isinstance(rows.x, Sequences)
    np.testing.assert_array_equal(rows.x.values, restored.tokens(["카드", "PIN"]).values)


def test_files_without_header_and_parquet(tmp_path):
    options = TableOptions(header="none")
    path = write(tmp_path, *ROWS[1:], header=ROWS[0])
    data = load_texts(path, text="column_1", label="column_2", options=options)
    assert len(data.titles) == 3 and isinstance(data.preprocessing, TextFormat)
    new = load_new_texts(write(tmp_path, "카드", header="my card"), data.preprocessing)
    assert new.num_rows == 2
    frame = polars.DataFrame({"said": ["my card", "1"], "topic": [2, 10], "at": [1.5, 2.5]})
    frame.write_parquet(tmp_path / "calls.parquet")
    data = load_texts(tmp_path / "calls.parquet", text="said", label="topic")
    assert data.class_names == ("2", "10")
    assert data.notes == ("calls.parquet: columns other than text and label are not used: 'at'",)
    assert load_texts(tmp_path / "calls.parquet", text="said", label=None).class_names == ()
    with pytest.raises(ValueError, match="column 'at' holds numbers, expected texts"):
        load_texts(tmp_path / "calls.parquet", text="at", label="topic")


@pytest.mark.parametrize(
    ("rows", "options", "problem"),
    [
        ([*ROWS, ",pin"], {}, r"column 'said' has no text in 1 cell of 4 \(row 4: ''"),
        ([*ROWS, "\u200b,pin"], {}, "column 'said' has no text in 1 cell of 4"),
        ([*ROWS, "none,pin"], {"missing": ("none",)}, "column 'said' has no text in 1 cell of 4"),
        ([*ROWS, "hello,"], {}, r"label 'topic' is missing in 1 of 4 rows"),
        (ROWS[:2], {}, "label 'topic' is 'card' in every row"),
        (["1,a", "2.5,b"], {}, "text: column 'said' holds numbers, expected texts"),
        (ROWS, {"text": "sayd"}, "text: there is no column 'sayd'; did you mean 'said'"),
        (ROWS, {"label": "topics"}, "label: there is no column 'topics'; did you mean 'topic'"),
        (ROWS, {"label": "said"}, "text and label are both column 'said'"),
        (ROWS, {"ignore": ("topic",)}, "ignore: column 'topic' is used"),
    ],
)
def test_mistakes_in_a_table_of_texts(tmp_path, rows, options, problem):
    names = {"text": "said", "label": "topic"}
    given = {name: options.pop(name, column) for name, column in names.items()}
    with pytest.raises(ValueError, match=f"calls.csv: {problem}"):
        load_texts(write(tmp_path, *rows), **given, options=TableOptions(**options))


def test_notes_of_a_table_of_texts(tmp_path):
    path = write(tmp_path, *ROWS, ROWS[0], "a " * 300 + ",Pin")
    notes = load_texts(path, text="said", label="topic").notes
    assert any("1 of 5 texts repeat another one" in note for note in notes)
    assert any("1 of 5 texts have more than 200 tokens" in note for note in notes)
    assert any("classes 'Pin', 'pin' differ by capitals" in note for note in notes)


def test_weights_of_words_of_new_texts(tmp_path):
    rows = [f"my {word} is lost {index},topic {index % 2}" for index in range(3) for word in "ab"]
    data = weights_dataset(load_texts(write(tmp_path, *rows), text="said", label="topic"))
    assert data.is_text and data.feature_names == (*tuple("012ab"), "is", "lost", "my")
    expected, words = term_weights([split_words(text) for text in data.titles], min_documents=2)
    assert words == data.feature_names
    np.testing.assert_array_equal(data.x, expected)
    restored = restore_format(json.loads(json.dumps(format_content(data.preprocessing))))
    assert restored == data.preprocessing
    rows = read_rows(write(tmp_path, "x1,My a?", "x2,hello", header="id,said"), restored)
    assert isinstance(rows.x, np.ndarray)
    np.testing.assert_allclose(rows.x[0, [3, 7]], 3**-0.5, rtol=1e-6)
    assert rows.row_notes == ["", "no word is in the training data"]
    with pytest.raises(ValueError, match="not saved weights of words: words must be different"):
        TextWeights.from_json(json.dumps({"text_format": {}, "words": ["a", "a"]}))
