"""Methods of scikit-learn on the same draws of labels."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.semi_supervised.draws import UNLABELED, Parts

LOGISTIC = "logistic regression"
SPREADING = "LabelSpreading, 7 neighbors"
SPREADING_RBF = "LabelSpreading, RBF kernel"
TFIDF = "logistic regression, TF-IDF of characters"
# LabelSpreading compares all training examples with each other.
_MAX_SPREADING = 20_000


class Peer(NamedTuple):
    """A method of scikit-learn.

    Attributes:
        build: from a seed to the estimator.
        takes_unlabeled: whether it learns from all training examples, those without a label too,
            or from those with labels alone.
    """

    build: Callable[[], Any]
    takes_unlabeled: bool = False


def peers_for(num_train: int, *, is_text: bool) -> dict[str, Peer]:
    """The methods that data of a kind and size are compared with.

    Args:
        num_train: training examples, with and without labels.
        is_text: whether the examples are texts, of which a peer takes the letters.

    >>> list(peers_for(1000, is_text=False))
    ['logistic regression', 'LabelSpreading, 7 neighbors', 'LabelSpreading, RBF kernel']
    """
    if is_text:
        return {TFIDF: Peer(_tfidf), LOGISTIC: Peer(_logistic)}
    peers = {LOGISTIC: Peer(_logistic)}
    if num_train <= _MAX_SPREADING:
        peers |= {SPREADING: Peer(_spreading, True), SPREADING_RBF: Peer(_spreading_rbf, True)}
    return peers


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


def _tfidf() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
    return make_pipeline(characters, LogisticRegression(C=10, max_iter=1000))


def _spreading() -> Any:
    from sklearn.semi_supervised import LabelSpreading

    return LabelSpreading(kernel="knn", n_neighbors=7)


def _spreading_rbf() -> Any:
    from sklearn.semi_supervised import LabelSpreading

    return LabelSpreading(kernel="rbf", gamma=20)


def score_peer(
    peer: Peer, x: np.ndarray | Sequence[str], y: np.ndarray, parts: Parts
) -> Float[np.ndarray, " draws"]:
    """The error on the held-out examples, learned from each draw of labels.

    Args:
        peer: the method.
        x: all examples: vectors `(n, features)`, or an array of texts `(n,)`.
        y: all labels `(n,)`; those that a draw does not hold are not used.
        parts: the training and held-out examples, and the draws.

    Returns:
        The fraction of wrong classes for each draw.
    """
    x, errors = np.asarray(x), []
    for labeled in parts.labeled:
        rows, labels = labeled, y[labeled]
        if peer.takes_unlabeled:
            known = np.full(len(y), UNLABELED)
            known[labeled] = y[labeled]
            rows, labels = parts.train, known[parts.train]
        model = peer.build()
        with warnings.catch_warnings():
            # A graph whose parts are not connected, and an iteration that is stopped, are results.
            warnings.simplefilter("ignore")
            model.fit(x[rows], labels)
            predicted = model.predict(x[parts.held_out])
        errors.append(float(np.mean(predicted != y[parts.held_out])))
    return np.array(errors)
