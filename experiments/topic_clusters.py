"""Clusters of short texts by topic, without labels, beside k-means on latent semantic analysis.

    python -m experiments.topic_clusters
    python -m experiments.topic_clusters --num-seeds 1

A bag of embeddings learns to predict the words of a text from a random half of its tokens (words,
pairs of words and characters of words), so that words which occur in the same texts get similar
vectors. The codes of the texts are the pooled embeddings, scaled to length 1, and k-means clusters
them. Labels only evaluate, and give the number of clusters.

The objective is that of the multinomial denoising autoencoder of Liang, Krishnan, Hoffman, Jebara
(2018), "Variational autoencoders for collaborative filtering", section 2.2, with TF-IDF weights as
the distribution of the words of a text. The peer is scikit-learn's KMeans on the 100 leading
singular vectors of TF-IDF weights of words, scaled to length 1. Measured: docs/results.md.
"""

import dataclasses
import functools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Float32

import jaxnet as jn
from experiments.command import main, print_table, show, statistics
from experiments.config import FractionBelowOne, PositiveFloat, PositiveInt, PrecisionOptions
from experiments.data import Dataset, load
from experiments.data.named.term_weights import fit_idf, term_weights
from experiments.data.texts.text_format import split_words
from experiments.precision import in_precision, scaled

_MIN_DOCUMENTS, _NUM_DIRECTIONS = 5, 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(PrecisionOptions):
    """Cluster short texts by what a bag of embeddings learns without labels."""

    experiment: ClassVar[str] = "topic_clusters"

    dataset: str = "clinc150"
    """Name of a data set of texts."""
    num_seeds: PositiveInt = 5
    """Networks, trained in one program."""
    seed: int = 0
    """Seed of the networks and of k-means."""
    embedding_dim: PositiveInt = 64
    """Size of the embedding of a token, and of the code of a text."""
    token_dropout: FractionBelowOne = 0.5
    """Rate at which tokens of a text are left out in training."""
    dropout: FractionBelowOne = 0.2
    """Rate of dropout of the code."""
    num_epochs: PositiveInt = 6
    """Passes over the data."""
    batch_size: PositiveInt = 256
    """Examples in a batch."""
    learning_rate: PositiveFloat = 5e-3
    """Peak learning rate, which decreases to 0 by a cosine."""
    data_dir: Path | None = None
    """Folder with the files of named data sets; None uses the one that JAXNET_DATA names."""


def run(config: Config) -> dict[str, dict[str, Any]]:
    """Cluster by the networks and by the peer, and print a table.

    Returns:
        Method -> `nmi` and `accuracy` (of the best assignment of clusters to classes), each as
        `statistics`, and `seconds`.

    Raises:
        ValueError: a data set that is not one of texts, or of fewer texts than a batch.
    """
    dataset = load(config.dataset, task="classification", data_dir=config.data_dir)
    if not dataset.is_tokens:
        raise ValueError(f"dataset: {config.dataset} is not a data set of texts; name another one")
    if len(dataset.y) < config.batch_size:
        raise ValueError(
            f"batch_size is {config.batch_size} for {len(dataset.y)} texts; choose a smaller one"
        )
    results = {
        "k-means on learned codes": _of_networks(config, dataset),
        "k-means on LSA": _of_peer(config, dataset),
    }
    rows = [("method", "NMI", "accuracy", "seconds")]
    for name, values in results.items():
        rows.append(
            (name, show(values["nmi"]), show(values["accuracy"]), f"{values['seconds']:.1f}")
        )
    print_table(rows)
    return results


def _of_networks(config: Config, dataset: Dataset) -> dict[str, Any]:
    start = time.perf_counter()
    codes = learn_codes(config, dataset)

    @jax.jit
    def cluster(key: jax.Array, codes: jax.Array) -> jax.Array:
        fitted = jn.clustering.fit_kmeans(key, codes, dataset.num_classes)
        return jn.clustering.assign(fitted.centers, codes)

    keys = jax.random.split(jax.random.key(config.seed), config.num_seeds)
    clusters = [np.asarray(cluster(key, code)) for key, code in zip(keys, codes, strict=True)]
    return _scores(dataset, clusters) | {"seconds": time.perf_counter() - start}


def learn_codes(config: Config, dataset: Dataset) -> Float[jax.Array, "seeds n code"]:
    """The codes of all texts by each network, of length 1.

    Args:
        config: the options.
        dataset: tokens, and the texts as titles.

    Returns:
        `(num_seeds, n, embedding_dim)`.
    """
    targets = word_distributions(dataset.titles)
    network = jn.nn.bag_of_embeddings(
        dataset.num_tokens,
        [config.embedding_dim, targets.shape[1]],
        pooling="sqrtn",
        dropout=config.dropout,
        token_dropout=config.token_dropout,
    )
    network = in_precision(config, network)
    assert isinstance(network, jn.Chain)
    num_steps = config.num_epochs * (len(targets) // config.batch_size)
    optimizer = optax.adam(optax.cosine_decay_schedule(config.learning_rate, num_steps))
    objective = scaled(config, jn.classification(network))
    learner = jn.gradient_learner(network.init, objective, optimizer)
    data = jax.tree.map(jnp.asarray, {"x": dataset.inputs, "y": targets})

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    def train(key: jax.Array, data: Any) -> Any:
        state, _ = jn.fit(
            learner, key, data, batch_size=config.batch_size, num_epochs=config.num_epochs
        )
        return jn.evaluation_params(state)

    # Without the layer of the words.
    encoder = network[:-1]

    @jax.jit
    def encode(params: Any, x: Any) -> jax.Array:
        codes = jn.predict(encoder.apply, params, x).astype(jnp.float32)
        return codes / jnp.maximum(jnp.linalg.norm(codes, axis=1, keepdims=True), 1e-12)

    params = train(jax.random.split(jax.random.key(config.seed), config.num_seeds), data)
    runs = [jax.tree.map(lambda leaf, i=i: leaf[i], params) for i in range(config.num_seeds)]
    return jnp.stack([encode(run, data["x"]) for run in runs])


def word_distributions(texts: Sequence[str]) -> Float32[np.ndarray, "n words"]:
    """TF-IDF weights of the words in each text, divided by their sum.

    Args:
        texts: at least 5, as a word must be in 5 of them to count.

    Returns:
        A distribution for each text; 0 for one without these words.

    >>> word_distributions(["my card"] * 5 + ["my pin"]).tolist()[-1]
    [0.0, 1.0]
    """
    x, _ = term_weights([split_words(text) for text in texts], min_documents=_MIN_DOCUMENTS)
    x = x / fit_idf(x, min_documents=_MIN_DOCUMENTS).scale
    return x / np.maximum(x.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _of_peer(config: Config, dataset: Dataset) -> dict[str, Any]:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    start = time.perf_counter()
    weights = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(dataset.titles)
    clusters = []
    for seed in range(config.seed, config.seed + config.num_seeds):
        directions = min(_NUM_DIRECTIONS, weights.shape[1] - 1)
        codes = normalize(TruncatedSVD(directions, random_state=seed).fit_transform(weights))
        clusters.append(KMeans(dataset.num_classes, random_state=seed).fit_predict(codes))
    return _scores(dataset, clusters) | {"seconds": time.perf_counter() - start}


def _scores(dataset: Dataset, clusters: Sequence[np.ndarray]) -> dict[str, Any]:
    from sklearn.metrics import normalized_mutual_info_score

    return {
        "nmi": statistics([normalized_mutual_info_score(dataset.y, found) for found in clusters]),
        "accuracy": statistics(
            [float(jn.metrics.clustering_accuracy(dataset.y, found)) for found in clusters]
        ),
    }


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
