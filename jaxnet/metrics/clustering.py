"""External evaluation of clusterings, by labels that were not used to find them.

These functions run on the host, in NumPy, on integers. All take one clustering `(n,)` or a batch of
clusterings `(*batch, n)`. Scores without an assignment of clusters to classes, such as normalized
mutual information and the adjusted Rand index, are in `sklearn.metrics`.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from jaxnet._checks import require_positive


def contingency_table(
    labels: ArrayLike, clusters: ArrayLike, *, num_classes: int, num_clusters: int
) -> Int[np.ndarray, "*batch classes clusters"]:
    """Count the examples of each class in each cluster.

    `N_ab = sum_i [label_i = a] [cluster_i = b]`.

    Args:
        labels: true classes `(n,)` in [0, num_classes).
        clusters: clusters `(*batch, n)` in [0, num_clusters).
        num_classes: number of classes, at least 1.
        num_clusters: number of clusters, at least 1.

    Returns:
        Counts, `(*batch, num_classes, num_clusters)`.

    Raises:
        ValueError: there are no examples; labels or clusters are not integers, negative or too
            large; their numbers differ; a size is below 1.

    >>> contingency_table([0, 0, 1], [1, 0, 1], num_classes=2, num_clusters=2).tolist()
    [[1, 1], [0, 1]]

    Source: `sklearn.metrics.cluster.contingency_matrix`.
    """
    function = "contingency_table"
    require_positive(function, num_classes=num_classes, num_clusters=num_clusters)
    true, predicted = _integers(function, labels, clusters)
    for name, values, size in (
        ("labels", true, num_classes),
        ("clusters", predicted, num_clusters),
    ):
        if values.max() >= size:
            raise ValueError(
                f"{function}: {name} must be integers from 0 to {size - 1}, found {values.max()}; "
                f"pass a larger num_{'classes' if name == 'labels' else 'clusters'}"
            )
    return _count(true, predicted, num_classes, num_clusters)


def best_assignment(
    labels: ArrayLike, clusters: ArrayLike
) -> Int[np.ndarray, "*batch num_clusters"]:
    """The one-to-one map from clusters to classes with the highest accuracy.

    The map `m` with the largest `sum_b N_{m(b) b}`, where `N` is the `contingency_table`: an
    assignment problem, solved exactly. With more clusters than classes some clusters have no class;
    with fewer, some classes have no cluster.

    Args:
        labels: true classes `(n,)`, integers of at least 0.
        clusters: clusters `(*batch, n)`, integers of at least 0.

    Returns:
        The class of each cluster from 0 to the largest one, or -1 for none, `(*batch,
        num_clusters)`.

    Raises:
        ValueError: there are no examples; labels or clusters are not integers or negative; their
            numbers differ.

    >>> best_assignment([0, 0, 1, 1, 1], [1, 1, 0, 0, 2]).tolist()
    [1, 0, -1]

    Source: Kuhn (1955), "The Hungarian method for the assignment problem";
    `scipy.optimize.linear_sum_assignment`.
    """
    true, predicted = _integers("best_assignment", labels, clusters)
    return _assign(_count(true, predicted, int(true.max()) + 1, int(predicted.max()) + 1))


def clustering_accuracy(labels: ArrayLike, clusters: ArrayLike) -> Float[np.ndarray, "*batch"]:
    """Fraction of the examples whose cluster is assigned to their class by `best_assignment`.

    `max_m sum_i [label_i = m(cluster_i)] / n` over one-to-one maps `m` from clusters to classes.
    All examples of a cluster without a class count as wrong.

    Args:
        labels: true classes `(n,)`, integers of at least 0.
        clusters: clusters `(*batch, n)`, integers of at least 0.

    Returns:
        The accuracy in (0, 1], `(*batch)`, float64.

    Raises:
        ValueError: as `best_assignment`.

    >>> float(clustering_accuracy([0, 0, 1, 1, 1], [1, 1, 0, 0, 2]))
    0.8

    Source: Xie et al. (2016), "Unsupervised deep embedding for clustering analysis", eq. 10.
    """
    true, predicted = _integers("clustering_accuracy", labels, clusters)
    table = _count(true, predicted, int(true.max()) + 1, int(predicted.max()) + 1)
    classes = _assign(table)[..., None, :]
    hits = np.take_along_axis(table, np.maximum(classes, 0), axis=-2)
    return np.asarray(np.where(classes >= 0, hits, 0).sum(axis=(-2, -1)) / true.size)


def _assign(tables: np.ndarray) -> np.ndarray:
    *batch, num_classes, num_clusters = tables.shape
    classes = np.full((int(np.prod(batch)), num_clusters), -1)
    for row, table in zip(classes, tables.reshape(-1, num_classes, num_clusters), strict=True):
        assigned, cluster = linear_sum_assignment(table, maximize=True)
        row[cluster] = assigned
    return classes.reshape(*batch, num_clusters)


def _count(
    labels: np.ndarray, clusters: np.ndarray, num_classes: int, num_clusters: int
) -> np.ndarray:
    *batch, n = clusters.shape
    size = num_classes * num_clusters
    table_index = np.arange(int(np.prod(batch)))[:, None]
    cells = table_index * size + labels * num_clusters + clusters.reshape(-1, n)
    counts = np.bincount(cells.reshape(-1), minlength=len(table_index) * size)
    return counts.reshape(*batch, num_classes, num_clusters)


def _integers(
    function: str, labels: ArrayLike, clusters: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = np.asarray(labels), np.asarray(clusters)
    if true.ndim != 1 or true.size == 0:
        raise ValueError(
            f"{function}: labels must be one integer for each of at least one example, found shape "
            f"{true.shape}"
        )
    if predicted.shape[-1:] != true.shape or predicted.size == 0:
        raise ValueError(
            f"{function}: clusters must have a last axis of {len(true)} examples, the number of "
            f"labels, found shape {predicted.shape}"
        )
    return _as_integers(function, "labels", true), _as_integers(function, "clusters", predicted)


def _as_integers(function: str, name: str, values: Any) -> np.ndarray:
    if not (np.issubdtype(values.dtype, np.number) or values.dtype == np.bool_):
        raise ValueError(
            f"{function}: {name} must be integers, found dtype {values.dtype}; number the names "
            "with numpy.unique(names, return_inverse=True)"
        )
    # Also true of NaN and infinity.
    fractional = ~(np.mod(values, 1) == 0) if values.dtype != np.bool_ else np.zeros(1, bool)
    for wrong, problem in ((fractional, "not an integer"), (values < 0, "negative")):
        if wrong.any():
            index = np.unravel_index(np.argmax(wrong), wrong.shape)
            place = ", ".join(map(str, index))
            raise ValueError(
                f"{function}: {name} must be integers of at least 0, found {values[index]} at "
                f"index {place}, which is {problem}; number the groups from 0"
            )
    return values.astype(np.int64)
