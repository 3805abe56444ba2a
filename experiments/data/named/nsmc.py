"""NSMC: Korean film reviews with ratings, of which the best are positive and the worst negative."""

import bz2
import dataclasses
from pathlib import Path

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.named.download import read_pinned, user_folders
from experiments.data.texts.text_format import TextFormat
from experiments.data.texts.text_table import text_dataset

SHA256 = "ef90edd7689feb4e79ccb1d5243955dc4a760b2f7d7ae372e171d9894097fde6"
NUM_TEST, NUM_EXAMPLES = 10_000, 50_000
_NAME = "nsmc/nsmc_raw.tsv.bz2"
_CLASSES = ("negative", "positive")
_LEAST_POSITIVE, _MOST_NEGATIVE = 9, 4


def load_nsmc(data_dir: Path | None = None) -> Dataset:
    """Load 50 000 film reviews, half of them positive; the last 10 000 are the test part.

    Reviews with a rating of 9 or 10 are positive and those of 1 to 4 negative, as the authors take
    them; others are left out. Their own parts of 150 000 and 50 000 are other reviews of the same
    source. Of equal texts one stays, and texts that are both positive and negative are left out, so
    that no test review is a training review too.

    Source: Park (2016), "Naver sentiment movie corpus", raw reviews at commit cc0670e; CC0,
    github.com/e9t/nsmc.

    Args:
        data_dir: folder that may hold `nsmc/nsmc_raw.tsv.bz2`; then the one that JAXNET_DATA names.

    Returns:
        The reviews, in a fixed random order.

    Raises:
        ValueError: no such file, or one of another hash.
    """
    folders = user_folders(data_dir)
    for folder in folders:
        if (folder / _NAME).is_file():
            return read_nsmc(folder / _NAME)
    places = ", ".join(map(str, folders)) or "no folder, since JAXNET_DATA is not set"
    raise ValueError(
        f"{_NAME} is not found in {places}; it is not downloaded: make it of the files raw/*.json "
        "of github.com/e9t/nsmc, or set JAXNET_DATA to a folder that holds it"
    )


def read_nsmc(path: Path, *, num_examples: int = NUM_EXAMPLES, num_test: int = NUM_TEST) -> Dataset:
    """Read the table of all reviews: review_id, movie_id, rating, date and review, with tabs.

    Args:
        path: of the file.
        num_examples: reviews that are kept, half of each class.
        num_test: the last of them, which are the test part.

    Returns:
        As `load_nsmc`.

    Raises:
        ValueError: the file has another hash.
    """
    lines = bz2.decompress(read_pinned(path, SHA256)).decode("utf-8").splitlines()
    labels: dict[str, int] = {}
    both: set[str] = set()
    for line in lines[1:]:
        _, _, rating, _, review = line.split("\t")
        text, stars = " ".join(review.split()), int(rating)
        if _MOST_NEGATIVE < stars < _LEAST_POSITIVE or not text:
            continue
        label = int(stars >= _LEAST_POSITIVE)
        if labels.setdefault(text, label) != label:
            both.add(text)
    texts = np.array([text for text in labels if text not in both], object)
    y = np.array([labels[text] for text in texts])
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(np.flatnonzero(y == label))[: num_examples // 2] for label in (0, 1)]
    # Both classes take turns, so that every part holds as many of each.
    order = np.stack(chosen, axis=1).ravel()
    text_format = TextFormat(
        text="review",
        label="sentiment",
        class_names=_CLASSES,
        character_ngrams=(2, 3),
        num_tokens=1 << 15,
    )
    dataset = text_dataset("nsmc", texts[order].tolist(), y[order], text_format)
    return dataclasses.replace(dataset, num_official_test=num_test)
