"""Evaluation of clusters, with labels and without."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from sklearn.metrics import (
    adjusted_rand_score,
    completeness_score,
    homogeneity_score,
    normalized_mutual_info_score,
)

import jaxnet as jn
from experiments.clustering.methods import Clustered, Method
from experiments.data import Dataset

# For the silhouette, which needs all distances: examples, and products of numbers.
_MAX_SILHOUETTE, _MAX_PRODUCTS = 10_000, 2e10


def scores(method: Method, x: jax.Array, dataset: Dataset) -> Callable[[Any], dict[str, Any]]:
    """How well the clusters of all networks agree with the labels, after each epoch."""
    if not dataset.class_names:
        return lambda params: {}

    @jax.jit
    def clusters(params: Any, x: jax.Array) -> jax.Array:
        def of_network(params: Any) -> jax.Array:
            return method.memberships(params, method.codes(params, x)).argmax(axis=1)

        return jax.lax.map(of_network, params)

    def score(params: Any) -> dict[str, Any]:
        predicted = np.asarray(clusters(params, x))
        return {
            "accuracy": jn.metrics.clustering_accuracy(dataset.y, predicted),
            "nmi": _each(normalized_mutual_info_score, dataset.y, predicted),
        }

    return score


def final_metrics(
    clustered: Clustered, before: Clustered | None, dataset: Dataset, seed: int
) -> dict[str, np.ndarray]:
    """How well clusters agree with labels, if there are any, with each other and with the codes.

    Args:
        clustered: the clusters.
        before: those with which a training of network and clusters began, or None.
        dataset: the data.
        seed: decides on which examples the silhouette is computed, where these are many.

    Returns:
        `(networks,)` each.
    """
    metrics = {}
    if dataset.class_names:
        y, clusters = dataset.y, clustered.clusters
        metrics = {
            "accuracy": jn.metrics.clustering_accuracy(y, clusters),
            "nmi": _each(normalized_mutual_info_score, y, clusters),
            "adjusted_rand_index": _each(adjusted_rand_score, y, clusters),
            "homogeneity": _each(homogeneity_score, y, clusters),
            "completeness": _each(completeness_score, y, clusters),
        }
        if before is not None:
            accuracy = jn.metrics.clustering_accuracy(y, before.clusters)
            metrics["accuracy_before_clustering"] = accuracy
        if dataset.groups is not None:
            metrics["nmi_of_groups"] = _each(normalized_mutual_info_score, dataset.groups, clusters)
    if len(clustered.clusters) > 1:
        metrics["agreement_of_networks"] = _agreement(clustered.clusters)
    limit = min(_MAX_SILHOUETTE, int(math.sqrt(_MAX_PRODUCTS / clustered.codes[0].shape[1])))
    chosen = np.random.default_rng(seed).permutation(len(dataset.y))[:limit]
    num_clusters = clustered.memberships.shape[1]
    silhouettes = [
        jn.metrics.silhouette_score(
            *jax.device_put((codes[chosen], clusters[chosen])), num_clusters=num_clusters
        )
        for codes, clusters in zip(clustered.codes, clustered.clusters, strict=True)
    ]
    # Undefined where all examples are in one cluster; 0 stands for no structure.
    metrics["silhouette_of_codes"] = np.nan_to_num(np.array(silhouettes), nan=0.0)
    return metrics


def note_empty_clusters(clusters: np.ndarray, num_clusters: int) -> list[str]:
    """A note where networks put all examples into one cluster, or left clusters empty.

    Args:
        clusters: `(networks, n)`.
        num_clusters: number of clusters.

    >>> note_empty_clusters(np.array([[0, 1], [1, 1]]), 2)
    ['1 of 2 networks put all examples into one cluster']
    """
    used = [len(np.unique(assigned)) for assigned in clusters]
    single = sum(number == 1 for number in used)
    if single:
        return [f"{single} of {len(used)} networks put all examples into one cluster"]
    empty = sum(number < num_clusters for number in used)
    return [f"{empty} of {len(used)} networks left clusters empty"] if empty else []


def _agreement(clusters: np.ndarray) -> np.ndarray:
    """Mean adjusted Rand index of each clustering with the others, which needs no labels.

    Clusters that every seed finds are likely to be in the data.

    Source: von Luxburg (2010), "Clustering stability: an overview".
    """
    table = np.stack([_each(adjusted_rand_score, labels, clusters) for labels in clusters])
    return (table.sum(axis=1) - 1) / (len(clusters) - 1)


def _each(
    score: Callable[[Any, Any], float], labels: np.ndarray, clusters: np.ndarray
) -> np.ndarray:
    """The score of each clustering, `(networks,)`."""
    return np.array([score(labels, clustering) for clustering in clusters])
