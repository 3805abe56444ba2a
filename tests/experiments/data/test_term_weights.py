"""TF-IDF: against the formulas, and independent of the test rows."""

import math

import numpy as np
import pytest

from experiments.data import fit_idf, standardize
from experiments.data.named.term_weights import term_weights

DOCUMENTS = [["a", "b", "a"], ["a", "c"], ["c", "c", "d", "a"], ["d", "c"], ["b", "b"]]


def test_term_weights_are_those_of_the_formula():
    x, words = term_weights(DOCUMENTS, min_documents=3)
    assert words == ("a", "c")
    for row, document in zip(x, DOCUMENTS, strict=True):
        counts = {word: document.count(word) for word in "abcd"}
        damped = {word: 1 + math.log(n) if n else 0.0 for word, n in counts.items()}
        length = math.hypot(*damped.values())  # with the rare words
        np.testing.assert_allclose(row, [damped[word] / length for word in words], rtol=1e-6)
    for documents in (DOCUMENTS, [[]] * 5):
        with pytest.raises(ValueError, match="no word is in 5 of 5 documents"):
            term_weights(documents, min_documents=5)


def test_idf_is_that_of_the_formula():
    x, words = term_weights(DOCUMENTS, min_documents=1)
    fitted = fit_idf(x, min_documents=2)
    in_documents = [sum(word in document for document in DOCUMENTS) for word in words]
    expected = [1 / (1 + math.log(6 / (1 + n))) if n > 1 else np.inf for n in in_documents]
    np.testing.assert_allclose(fitted.scale, expected, rtol=1e-6)
    assert not fitted.mean.any()


def test_features_of_training_rows_depend_on_them_alone():
    everything, words = term_weights(DOCUMENTS, min_documents=2)
    alone, words_alone = term_weights(DOCUMENTS[:3], min_documents=2)
    fitted = fit_idf(everything[:3], min_documents=2)
    scaled = standardize(fitted, everything)
    columns = [words.index(word) for word in words_alone]
    expected = standardize(fit_idf(alone, min_documents=2), alone)
    np.testing.assert_array_equal(scaled[:3, columns], expected)
    others = np.setdiff1d(np.arange(len(words)), columns)
    assert len(others) and not scaled[:, others].any(), "words that training rows do not have"
