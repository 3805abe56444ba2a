"""Words of texts as features: TF-IDF, in a part that needs no fit and a part that is fitted."""

import collections
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.data.scaling import Standardization

# The number of documents that must contain a word for it to be a feature.
MIN_DOCUMENTS = 15


def term_weights(
    documents: Sequence[Sequence[str]], *, min_documents: int = MIN_DOCUMENTS
) -> tuple[Float[np.ndarray, "documents words"], tuple[str, ...]]:
    """How often each document contains each word, damped and independent of its length.

    `x_dw = (1 + log n_dw) / |d|` where document d contains word w `n_dw > 0` times, else 0. The
    length `|d|` is the Euclidean norm of `1 + log n` over all words of the document, frequent or
    not. So a row is a function of its own document; only which words are columns depends on the
    others.

    Args:
        documents: the words of each document.
        min_documents: the number of documents that must contain a word for it to have a column.

    Returns:
        `x`, float32 `(n, words)`, and the words in alphabetical order.

    Raises:
        ValueError: no word is in this number of documents.

    >>> x, words = term_weights([["a", "b", "a"], ["a"]], min_documents=2)
    >>> words, x.round(2).tolist()
    (('a',), [[0.8600000143051147], [1.0]])

    Source: Salton and Buckley (1988), "Term-Weighting Approaches in Automatic Text Retrieval". They
    take the norm after the inverse document frequency, which would make it depend on the fit.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    # `min_df` of the vectorizer would leave rare words out of the norm.
    words_of_document: Any = list
    vectorizer = TfidfVectorizer(analyzer=words_of_document, sublinear_tf=True, use_idf=False)
    try:
        weights = vectorizer.fit_transform(documents).tocsc()
    except ValueError:  # No document has a word.
        raise _no_words(min_documents, len(documents)) from None
    is_kept = np.diff(weights.indptr) >= min_documents
    if not is_kept.any():
        raise _no_words(min_documents, len(documents))
    words = vectorizer.get_feature_names_out()[is_kept]
    return weights[:, is_kept].toarray().astype(np.float32), tuple(map(str, words))


def min_documents(num_documents: int) -> int:
    """The number of documents that must contain a word: `MIN_DOCUMENTS`, or fewer of few documents.

    >>> min_documents(100), min_documents(1_000), min_documents(5_841)
    (2, 5, 15)
    """
    return min(MIN_DOCUMENTS, max(2, num_documents // 200))


def known_term_weights(
    documents: Sequence[Sequence[str]], words: Sequence[str]
) -> Float[np.ndarray, "documents words"]:
    """The weights of `term_weights` for words that are known already.

    Args:
        documents: the words of each document.
        words: one for each column.

    Returns:
        float32 `(n, words)`.

    >>> known_term_weights([["a", "b", "a"], []], ("a", "c")).round(2).tolist()
    [[0.8600000143051147, 0.0], [0.0, 0.0]]
    """
    columns = {word: column for column, word in enumerate(words)}
    x = np.zeros((len(documents), len(words)), np.float32)
    for row, document in zip(x, documents, strict=True):
        damped = {word: 1 + math.log(n) for word, n in collections.Counter(document).items()}
        length = math.hypot(*damped.values())
        for word, weight in damped.items():
            if word in columns:
                row[columns[word]] = weight / length
    return x


def _no_words(min_documents: int, num_documents: int) -> ValueError:
    return ValueError(
        f"no word is in {min_documents} of {num_documents} documents; give more documents"
    )


def fit_idf(
    x: Float[np.ndarray, "n words"], *, min_documents: int = MIN_DOCUMENTS
) -> Standardization:
    """The inverse document frequency of training rows, as a scale of the features.

    `x_w idf_w` with `idf_w = 1 + log((1 + n) / (1 + n_w))` for a word that is in `n_w` of n rows,
    and 0 where `n_w < min_documents`. Where that is the `min_documents` of `term_weights` too, the
    words with a weight are exactly those of a vocabulary that was fitted on these rows alone: the
    columns that the other documents contributed are 0.

    Args:
        x: term weights of the training rows `(n, words)`.
        min_documents: the number of rows that must contain a word.

    Returns:
        Mean 0 and scale `1 / idf`, infinite for words that are left out.

    >>> fit_idf(np.array([[1.0, 0.0], [0.5, 0.5]]), min_documents=2).scale.tolist()
    [1.0, inf]

    Source: Sparck Jones (1972), "A Statistical Interpretation of Term Specificity and Its
    Application in Retrieval".
    """
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import TfidfTransformer

    contains = csr_array(x != 0, dtype=np.float64)
    idf = TfidfTransformer().fit(contains).idf_
    in_rows = np.count_nonzero(x, axis=0)
    scale = np.where(in_rows >= min_documents, 1 / idf, np.inf)
    return Standardization(np.zeros(x.shape[1], np.float32), scale.astype(np.float32))
