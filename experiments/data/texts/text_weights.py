"""Words of texts as features, for methods that take vectors; saved with a run."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32

from experiments.config import TableOptions
from experiments.data.dataset import Dataset, NewRows
from experiments.data.format import from_saved_json, to_saved_json
from experiments.data.named.term_weights import known_term_weights, min_documents, term_weights
from experiments.data.texts.text_format import TextFormat, split_words

_STRICT: Any = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclasses.dataclass(frozen=True)
class TextWeights:
    """The map from texts to the damped frequencies of known words.

    Attributes:
        text_format: how the texts are read from a file.
        words: one for each feature.

    >>> fitted = TextWeights(TextFormat(), ("card", "pin"))
    >>> fitted.weights(["My card", "Why?"]).round(3).tolist()
    [[0.7070000171661377, 0.0], [0.0, 0.0]]
    >>> TextWeights.from_json(fitted.to_json()) == fitted
    True
    """

    __pydantic_config__ = _STRICT
    kind: ClassVar[str] = "text_weights"

    text_format: TextFormat
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.words or len(set(self.words)) < len(self.words):
            raise ValueError("words must be different, and at least one")

    def weights(self, texts: Sequence[str]) -> Float32[np.ndarray, "n words"]:
        """The weights of the words in texts, as `term_weights` defines them."""
        return known_term_weights([split_words(text) for text in texts], self.words)

    def load(self, path: Path, options: TableOptions | None, carry: Sequence[str]) -> NewRows:
        """Read new texts as `load_new_texts`, whose arguments and errors these are."""
        from experiments.data.texts.text_table import read_new_texts

        texts = read_new_texts(path, self.text_format, options=options, carry=carry)
        x = self.weights(texts.texts)
        unknown = ["" if row.any() else "no word is in the training data" for row in x]
        return NewRows(x, texts.carried, unknown, texts.notes)

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        return {"features": f"weights of {len(self.words)} words"}

    def to_json(self) -> str:
        """JSON from which `from_json` restores an equal object."""
        return to_saved_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> "TextWeights":
        """Read what `to_json` wrote.

        Raises:
            ValueError: the text is not JSON, or not that of weights of words.
        """
        return from_saved_json(TextWeights, text, what="saved weights of words")


def weights_dataset(dataset: Dataset) -> Dataset:
    """A data set of tokens as one of the weights of its words.

    Args:
        dataset: of `text_dataset`.

    Returns:
        The data set, whose features are the words that enough texts contain, whatever their number
        in a text; labels and titles stay.

    Raises:
        ValueError: no word is in enough texts.

    >>> from experiments.data.texts.text_table import text_dataset
    >>> texts = ["my card", "my pin", "a card"]
    >>> weights = weights_dataset(text_dataset("t", texts, np.zeros(3, int), TextFormat()))
    >>> weights.is_text, weights.feature_names, weights.x.shape
    (True, ('card', 'my'), (3, 2))
    """
    assert isinstance(dataset.preprocessing, TextFormat)
    documents = [split_words(text) for text in dataset.titles]
    x, words = term_weights(documents, min_documents=min_documents(len(documents)))
    return dataclasses.replace(
        dataset,
        x=x,
        feature_names=words,
        length=None,
        num_tokens=0,
        num_official_test=0,
        num_official_validation=0,
        preprocessing=TextWeights(dataset.preprocessing, words),
        out_of_scope=None,
    )
