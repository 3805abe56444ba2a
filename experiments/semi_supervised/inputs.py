"""From examples to the vectors that the networks take; texts as principal directions."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import sparse

from experiments.data import Dataset, Standardization, fit_idf, fit_standardization, standardize
from jaxnet.typing import Sequences

_IDENTITY = Standardization(np.zeros((), np.float32), np.ones((), np.float32))


class Directions(NamedTuple):
    """The linear map from weights of tokens to inputs (latent semantic analysis).

    Attributes:
        idf: inverse document frequency of each token `(tokens,)`; 0 leaves it out.
        components: principal directions of the weights, scaled, `(tokens, features)`.
    """

    idf: np.ndarray
    components: np.ndarray


def fit_scale(dataset: Dataset, rows: np.ndarray) -> Standardization:
    """Mean and scale of each column of a table, or the weights of words.

    Images and tokens stay as they are.

    Args:
        dataset: the data.
        rows: the training examples, whose labels are not used.
    """
    if dataset.is_image or dataset.is_tokens:
        return _IDENTITY
    if dataset.is_text:
        return fit_idf(dataset.x[rows])
    return fit_standardization(dataset.x[rows])


def as_vectors(fitted: Standardization, x: Any) -> Any:
    """Standardized examples as vectors; texts stay tokens.

    Args:
        fitted: of `fit_scale`.
        x: examples, or sequences of tokens.
    """
    if isinstance(x, Sequences):
        return x
    return standardize(fitted, x).reshape(len(x), -1)


def fit_directions(tokens: Sequences, num_tokens: int, num_features: int, seed: int) -> Directions:
    """Principal directions of the weights of tokens in texts, without labels.

    A text has the weights `(1 + log n_w) idf_w`, divided by their norm, for a token that it holds
    `n_w` times; `idf_w = 1 + log((1 + n) / (1 + n_w))` for a token of `n_w` of n texts. Tokens of
    a single text are left out. The directions are scaled so that an input has the mean square 1.

    Args:
        tokens: of the training texts.
        num_tokens: number of different tokens.
        num_features: number of directions, fewer than texts and tokens.
        seed: of the randomized decomposition.

    Returns:
        The map.

    Raises:
        ValueError: more directions than texts or tokens have.

    Source: Deerwester et al. (1990), "Indexing by Latent Semantic Analysis"; Halko, Martinsson,
    Tropp (2011), "Finding Structure with Randomness".
    """
    from sklearn.decomposition import TruncatedSVD

    counts = token_counts(tokens, num_tokens)
    in_texts = np.bincount(counts.indices, minlength=num_tokens)
    if num_features >= min(len(tokens.length), np.count_nonzero(in_texts > 1)):
        raise ValueError(
            f"num_features {num_features} must be below the {len(tokens.length)} training texts "
            "and their different tokens; use fewer"
        )
    idf = np.where(in_texts > 1, 1 + np.log((1 + len(tokens.length)) / (1 + in_texts)), 0)
    weights = _weights(counts, idf.astype(np.float32))
    svd: Any = TruncatedSVD(num_features, n_iter=4, random_state=seed).fit(weights)
    components = svd.components_.T.astype(np.float32)
    scale = np.sqrt(np.mean((weights @ components) ** 2, dtype=np.float64))
    return Directions(idf.astype(np.float32), (components / scale).astype(np.float32))


def apply_directions(
    directions: Directions, tokens: Sequences
) -> Float[np.ndarray, "texts features"]:
    """The inputs of texts; that of a text without known tokens is 0.

    Args:
        directions: of `fit_directions`.
        tokens: of any texts.

    >>> directions = Directions(np.array([0.0, 1.0, 2.0]), np.array([[0.0], [1.0], [3.0]]))
    >>> tokens = Sequences(np.array([[1, 1, 0], [2, 0, 0]]), np.array([2, 1]))
    >>> apply_directions(directions, tokens).tolist()
    [[1.0], [3.0]]
    """
    counts = token_counts(tokens, len(directions.idf))
    return np.asarray(_weights(counts, directions.idf) @ directions.components, np.float32)


def token_counts(tokens: Sequences, num_tokens: int) -> sparse.csr_array:
    """How often each text holds each token, `(texts, num_tokens)`.

    Args:
        tokens: `(texts, time)`, and the number of each text.
        num_tokens: number of different tokens.
    """
    values, length = np.asarray(tokens.values), np.asarray(tokens.length)
    is_token = np.arange(values.shape[1]) < length[:, None]
    starts = np.concatenate([[0], np.cumsum(length)])
    counts = sparse.csr_array(
        (np.ones(int(starts[-1]), np.float32), values[is_token], starts),
        shape=(len(length), num_tokens),
    )
    counts.sum_duplicates()
    return counts


def _weights(counts: sparse.csr_array, idf: np.ndarray) -> sparse.csr_array:
    weights = counts.copy()
    weights.data = (1 + np.log(counts.data)) * np.asarray(idf)[counts.indices]
    norms = np.sqrt(np.asarray((weights**2).sum(axis=1))).ravel()
    rows = np.repeat(np.maximum(norms, np.finfo(np.float32).tiny), np.diff(weights.indptr))
    weights.data = weights.data / rows
    return weights
