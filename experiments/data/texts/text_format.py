"""How texts become sequences of tokens; saved with a run, and the same for new texts."""

import dataclasses
import itertools
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from experiments.data.format import from_saved_json, to_saved_json
from jaxnet.nn.sequences import pad_sequences
from jaxnet.typing import Sequences

NUM_TOKENS = 1 << 14
MAX_TOKENS = 200
# What a message and a report show of a text.
TITLE_LENGTH = 80

_STRICT: Any = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
_APOSTROPHES = "'\u2019\u02bc"


class _Separation(dict[int, str | None]):
    """A table of `str.translate`: letters, digits and their marks stay, other signs are words.

    Apostrophes are left out, so that "don't" is one word; spaces and invisible characters separate.
    """

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        category = unicodedata.category(character)[0]
        if character in _APOSTROPHES:
            value = None
        elif category in "LMN":
            value = character
        else:
            value = f" {character} " if category in "PS" else " "
        self[code] = value
        return value


_SEPARATION = _Separation()


def split_words(text: str) -> list[str]:
    """The words of a text, in lower case; a sign that is not a letter or digit is a word.

    Compatible characters (Unicode's NFKC) and capitals do not matter.

    Args:
        text: in any script; where words are not separated by spaces, a run of letters is one word.

    Returns:
        The words in their order.

    >>> split_words("Don't send １００$ to 나이!")
    ['dont', 'send', '100', '$', 'to', '나이', '!']
    """
    normal = unicodedata.normalize("NFKC", text).casefold()
    return normal.translate(_SEPARATION).split()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextFormat:
    """The map from texts to tokens: n-grams of words and of their characters, hashed.

    A token is a number in [1, num_tokens): `1 + crc32(n-gram) mod (num_tokens - 1)`. So nothing is
    fitted, words that the training texts do not have are tokens too, and a text has the same tokens
    wherever it stands. 0 is none of them and pads. Words come first, then their n-grams, then those
    of characters, so that texts that are cut at `max_tokens` keep their words.

    Attributes:
        text: column of a table that holds the texts.
        label: the column that is predicted, or None where nothing is.
        class_names: the classes in the order of the outputs.
        word_ngrams: largest number of adjacent words in a token; the beginning and the end of the
            text count as words in n-grams of more than one.
        character_ngrams: smallest and largest number of adjacent characters of a word in a token,
            where the beginning and the end of the word count as characters; None leaves them out.
        num_tokens: number of different tokens, 0 included.
        max_tokens: number of tokens that are kept of a text.
        encoding: of the text file, for new ones that are not UTF-8.
        has_header: whether the text file names its columns.
        missing: more marks of missing cells.

    >>> texts = TextFormat(character_ngrams=None)
    >>> texts.ngrams("New card?")
    ['new', 'card', '?', '^ new', 'new card', 'card ?', '? $']
    >>> tokens = texts.tokens(["New card?", "new"])
    >>> tokens.values.shape, tokens.length.tolist()
    ((2, 7), [7, 3])
    >>> TextFormat.from_json(texts.to_json()) == texts
    True

    Source: Weinberger, Dasgupta, Langford, Smola, Attenberg (2009), "Feature Hashing for Large
    Scale Multitask Learning"; n-grams of characters: Bojanowski, Grave, Joulin, Mikolov (2017),
    "Enriching Word Vectors with Subword Information", section 3.2.
    """

    __pydantic_config__ = _STRICT
    kind: ClassVar[str] = "texts"

    text: str = "text"
    label: str | None = None
    class_names: tuple[str, ...] = ()
    word_ngrams: int = 2
    character_ngrams: tuple[int, int] | None = (3, 4)
    num_tokens: int = NUM_TOKENS
    max_tokens: int = MAX_TOKENS
    encoding: str | None = None
    has_header: bool = True
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        low, high = self.character_ngrams or (1, 1)
        problem = ""
        if not self.text or self.text == self.label:
            problem = f"text and label are columns of different names, found {self.text!r} twice"
        elif self.word_ngrams < 1:
            problem = f"word_ngrams must be at least 1, found {self.word_ngrams}"
        elif not 1 <= low <= high:
            problem = f"character_ngrams must be 1 <= low <= high, found {self.character_ngrams}"
        elif not 2 <= self.num_tokens <= 1 << 31:
            problem = f"num_tokens must be in [2, 2**31], found {self.num_tokens}"
        elif self.max_tokens < 1:
            problem = f"max_tokens must be at least 1, found {self.max_tokens}"
        elif len(self.class_names) == 1 or len(set(self.class_names)) < len(self.class_names):
            problem = "class_names must be different, and none or at least two"
        if problem:
            raise ValueError(problem)

    def ngrams(self, text: str) -> list[str]:
        """The n-grams of a text, of which each is a token.

        Args:
            text: in any script.

        Returns:
            Words, n-grams of words, then n-grams of characters, each in the order of the text. In
            one of characters, `<` and `>` are the ends of the word, and it begins with `#`.

        >>> TextFormat(word_ngrams=1, character_ngrams=(3, 4)).ngrams("Card")
        ['card', '#<ca', '#car', '#ard', '#rd>', '#<car', '#card', '#ard>']
        """
        return list(self._iterate(text))

    def _iterate(self, text: str) -> Iterator[str]:
        words = split_words(text)
        return itertools.chain(words, self._of_words(words), self._of_characters(words))

    def _of_words(self, words: list[str]) -> Iterator[str]:
        bounded = ["^", *words, "$"] if words else []
        for size in range(2, self.word_ngrams + 1):
            for start in range(len(bounded) - size + 1):
                yield " ".join(bounded[start : start + size])

    def _of_characters(self, words: list[str]) -> Iterator[str]:
        if self.character_ngrams is None:
            return
        low, high = self.character_ngrams
        for word in words:
            bounded = f"<{word}>"
            # The whole word is a token already.
            for size in range(low, min(high, len(bounded) - 1) + 1):
                for start in range(len(bounded) - size + 1):
                    yield f"#{bounded[start : start + size]}"

    def _num_ngrams(self, words: list[str]) -> int:
        total = len(words)
        for size in range(2, self.word_ngrams + 1):
            total += max(0, len(words) + 3 - size) if words else 0
        low, high = self.character_ngrams or (1, 0)
        for word in words:
            total += sum(len(word) + 3 - size for size in range(low, min(high, len(word) + 1) + 1))
        return total

    def tokens(self, texts: Sequence[str]) -> Sequences:
        """The tokens of texts.

        Args:
            texts: at least one.

        Returns:
            NumPy arrays: tokens `(n, time)`, int32, where `time` is the largest number of tokens,
            at most `max_tokens`, and 0 pads; and the numbers of tokens `(n,)`, int32. The length of
            a text without words is 0.

        Raises:
            ValueError: there is no text.
        """
        if not len(texts):
            raise ValueError("texts: there are none; at least one is needed")
        return pad_sequences([self._tokens(text) for text in texts])

    def _tokens(self, text: str) -> np.ndarray:
        ngrams = itertools.islice(self._iterate(text), self.max_tokens)
        hashes = [zlib.crc32(ngram.encode("utf-8", "surrogatepass")) for ngram in ngrams]
        return (1 + np.array(hashes, np.int64) % (self.num_tokens - 1)).astype(np.int32)

    def notes(self, texts: Sequence[str]) -> list[str]:
        """A note about texts that are cut, if any.

        Args:
            texts: that become tokens.

        Returns:
            At most one sentence.

        >>> TextFormat(max_tokens=2).notes(["New card?", "Hi"])
        ['2 of 2 texts have more than 2 tokens; the first 2, which are words before n-grams, count']
        """
        limit = self.max_tokens
        num_cut = sum(self._num_ngrams(split_words(text)) > limit for text in texts)
        if not num_cut:
            return []
        return [
            f"{num_cut} of {len(texts)} texts have more than {limit} tokens; the first {limit}, "
            "which are words before n-grams, count"
        ]

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        ngrams = f"1 to {self.word_ngrams} words" if self.word_ngrams > 1 else "words"
        if self.character_ngrams is not None:
            ngrams += ", {} to {} characters of a word".format(*self.character_ngrams)
        return {
            "tokens": f"{ngrams}; {self.num_tokens} by hashing, at most {self.max_tokens} a text"
        }

    def to_json(self) -> str:
        """JSON from which `from_json` restores an equal object."""
        return to_saved_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> "TextFormat":
        """Read what `to_json` wrote.

        Args:
            text: JSON.

        Returns:
            The format.

        Raises:
            ValueError: the text is not JSON, a field is unknown or of another type, or a value is
                out of its range.

        >>> TextFormat.from_json('{"word_ngrams": 0}')
        Traceback (most recent call last):
            ...
        ValueError: not a saved format of texts: word_ngrams must be at least 1, found 0; ...
        """
        return from_saved_json(TextFormat, text, what="a saved format of texts")
