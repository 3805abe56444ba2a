"""External scores: how well a clustering agrees with labels that it has not seen.

They work on the host, in NumPy and float64, on integers: they judge what came out of a graph and
are no part of one. All take one clustering `(n,)` or a stack of them `(*stack, n)`.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from jaxnet._checks import require_positive


def contingency_table(
    labels: ArrayLike, clusters: ArrayLike, *, num_classes: int, num_clusters: int
) -> Int[np.ndarray, "*stack classes clusters"]:
    """How many examples of each class are in each cluster.

    `N_ab = sum_i [label_i = a] [cluster_i = b]`, which is `one_hot(labels).T @ one_hot(clusters)`,
    counted without making those.

    Args:
        labels: true classes `(n,)` in [0, num_classes).
        clusters: clusters `(*stack, n)` in [0, num_clusters).
        num_classes: number of classes, at least 1.
        num_clusters: number of clusters, at least 1.

    Returns:
        Counts, `(*stack, num_classes, num_clusters)`.

    Raises:
        ValueError: no examples; labels or clusters that are fractional, negative or too large; not
            equally many; a size below 1.

    >>> contingency_table([0, 0, 1], [1, 0, 1], num_classes=2, num_clusters=2).tolist()
    [[1, 1], [0, 1]]

    Source: `sklearn.metrics.cluster.contingency_matrix`.
    """
    function = "contingency_table"
    require_positive(function, num_classes=num_classes, num_clusters=num_clusters)
    true, found = _integers(function, labels, clusters)
    for name, values, size in (
        ("labels", true, num_classes),
        ("clusters", found, num_clusters),
    ):
        if values.max() >= size:
            raise ValueError(
                f"{function}: {name} must be integers from 0 to {size - 1}, found {values.max()}; "
                f"pass a larger num_{'classes' if name == 'labels' else 'clusters'}"
            )
    return _count(true, found, num_classes, num_clusters)


def best_assignment(
    labels: ArrayLike, clusters: ArrayLike
) -> Int[np.ndarray, "*stack num_clusters"]:
    """The class that each cluster stands for, when most examples shall be in the right one.

    The one-to-one map `m` from clusters to classes with the largest `sum_b N_{m(b) b}`, N being the
    `contingency_table`: an assignment problem, solved exactly. Of more clusters than classes some
    stand for none; of fewer, some classes have no cluster.

    Args:
        labels: true classes `(n,)`, integers of at least 0.
        clusters: clusters `(*stack, n)`, integers of at least 0.

    Returns:
        A class for each cluster from 0 to the largest number, or -1 for none,
        `(*stack, num_clusters)`.

    Raises:
        ValueError: no examples; labels or clusters that are fractional or negative; not equally
            many.

    >>> best_assignment([0, 0, 1, 1, 1], [1, 1, 0, 0, 2]).tolist()
    [1, 0, -1]

    Source: Kuhn (1955), "The Hungarian method for the assignment problem";
    `scipy.optimize.linear_sum_assignment`.
    """
    true, found = _integers("best_assignment", labels, clusters)
    return _assign(_count(true, found, int(true.max()) + 1, int(found.max()) + 1))


def clustering_accuracy(labels: ArrayLike, clusters: ArrayLike) -> Float[np.ndarray, "*stack"]:
    """Share of the examples whose cluster stands for their class, under the best assignment.

    `max_m sum_i [label_i = m(cluster_i)] / n` over one-to-one maps `m`, as in `best_assignment`.
    The examples of a cluster that stands for no class are all wrong.

    Args:
        labels: true classes `(n,)`, integers of at least 0.
        clusters: clusters `(*stack, n)`, integers of at least 0.

    Returns:
        The accuracy in (0, 1], `(*stack)`.

    Raises:
        ValueError: as `best_assignment`.

    >>> float(clustering_accuracy([0, 0, 1, 1, 1], [1, 1, 0, 0, 2]))
    0.8

    Source: Xie et al. (2016), "Unsupervised deep embedding for clustering analysis", eq. 10.
    """
    true, found = _integers("clustering_accuracy", labels, clusters)
    table = _count(true, found, int(true.max()) + 1, int(found.max()) + 1)
    classes = _assign(table)[..., None, :]
    hits = np.take_along_axis(table, np.maximum(classes, 0), axis=-2)
    return np.asarray(np.where(classes >= 0, hits, 0).sum(axis=(-2, -1)) / true.size)


def normalized_mutual_information(
    labels: ArrayLike, clusters: ArrayLike
) -> Float[np.ndarray, "*stack"]:
    """Mutual information of labels and clusters over the arithmetic mean of their entropies.

    `2 I(L; C) / (H(L) + H(C))`. Papers differ in the mean: some divide by the geometric one or by
    the larger entropy. 1 where the two partitions are the same, also where both are one part only.

    Args:
        labels: true classes `(n,)`, integers of at least 0.
        clusters: clusters `(*stack, n)`, integers of at least 0.

    Returns:
        The score in [0, 1], `(*stack)`.

    Raises:
        ValueError: as `best_assignment`.

    >>> round(float(normalized_mutual_information([0, 0, 1, 1], [0, 0, 1, 2])), 6)
    0.8

    Source: Vinh et al. (2010), "Information theoretic measures for clusterings comparison", table
    2, `NMI_sum`; `sklearn.metrics.normalized_mutual_info_score` with its default.
    """
    information, of_labels, of_clusters = _entropies(
        "normalized_mutual_information", labels, clusters
    )
    return _ratio(2 * information, of_labels + of_clusters)


def homogeneity(labels: ArrayLike, clusters: ArrayLike) -> Float[np.ndarray, "*stack"]:
    """How far each cluster holds examples of one class only: `1 - H(L | C) / H(L)`.

    Args:
        labels: true classes `(n,)`, integers of at least 0.
        clusters: clusters `(*stack, n)`, integers of at least 0.

    Returns:
        The score in [0, 1], `(*stack)`; 1 where there is one class only.

    Raises:
        ValueError: as `best_assignment`.

    >>> homogeneity([0, 0, 1, 1], [[0, 0, 1, 2], [0, 0, 0, 0]]).round(6).tolist()
    [1.0, 0.0]

    Source: Rosenberg and Hirschberg (2007), "V-measure", eq. 1;
    `sklearn.metrics.homogeneity_score`.
    """
    information, of_labels, _ = _entropies("homogeneity", labels, clusters)
    return _ratio(information, of_labels)


def completeness(labels: ArrayLike, clusters: ArrayLike) -> Float[np.ndarray, "*stack"]:
    """How far the examples of each class are in one cluster only: `1 - H(C | L) / H(C)`.

    Args:
        labels: true classes `(n,)`, integers of at least 0.
        clusters: clusters `(*stack, n)`, integers of at least 0.

    Returns:
        The score in [0, 1], `(*stack)`; 1 where there is one cluster only.

    Raises:
        ValueError: as `best_assignment`.

    >>> round(float(completeness([0, 0, 1, 1], [0, 0, 1, 2])), 6)
    0.666667

    Source: Rosenberg and Hirschberg (2007), "V-measure", eq. 2;
    `sklearn.metrics.completeness_score`.
    """
    information, _, of_clusters = _entropies("completeness", labels, clusters)
    return _ratio(information, of_clusters)


def adjusted_rand_index(labels: ArrayLike, clusters: ArrayLike) -> Float[np.ndarray, "*stack"]:
    """Agreement on pairs of examples, together or apart, beyond that of chance.

    `(S - E) / ((A + B) / 2 - E)` with `S = sum_ab C(N_ab, 2)` pairs together in both partitions,
    A and B pairs together in labels and in clusters, and `E = A B / C(n, 2)` the expected S of
    random partitions with parts of these sizes. 1 where both are the same partition, 0 for chance;
    it may be negative.

    Args:
        labels: true classes `(n,)`, integers of at least 0.
        clusters: clusters `(*stack, n)`, integers of at least 0.

    Returns:
        The index, at most 1, `(*stack)`.

    Raises:
        ValueError: as `best_assignment`.

    >>> round(float(adjusted_rand_index([0, 0, 1, 1], [0, 0, 1, 2])), 6)
    0.571429

    Source: Hubert and Arabie (1985), "Comparing partitions", eq. 5;
    `sklearn.metrics.adjusted_rand_score`.
    """
    table = _compact_table("adjusted_rand_index", labels, clusters)
    together = _pairs(table).sum(axis=(-2, -1))
    in_labels = _pairs(table.sum(axis=-1)).sum(axis=-1)
    in_clusters = _pairs(table.sum(axis=-2)).sum(axis=-1)
    all_pairs = _pairs(table.sum(axis=(-2, -1)))
    expected = in_labels * in_clusters / np.maximum(all_pairs, 1)
    # Zero only where both partitions are all one, or all apart: the same.
    return _ratio(together - expected, (in_labels + in_clusters) / 2 - expected)


def _pairs(counts: Any) -> Any:
    # In floating point: products of these numbers leave the range of 64-bit integers.
    return counts * (counts - 1.0) / 2


def _ratio(part: Any, whole: Any) -> np.ndarray:
    """The quotient; 1 for nothing of nothing."""
    nothing = whole == 0
    return np.asarray(np.where(nothing, 1.0, part / np.where(nothing, 1.0, whole)))


def _entropies(function: str, labels: ArrayLike, clusters: ArrayLike) -> tuple[Any, Any, Any]:
    """Mutual information and the entropies of labels and clusters, in nats."""
    table = _compact_table(function, labels, clusters)
    of_labels, of_clusters = _entropy(table.sum(axis=-1)), _entropy(table.sum(axis=-2))
    of_both = _entropy(table.reshape(*table.shape[:-2], -1))
    # Rounding shall not lead to scores outside [0, 1].
    largest = np.minimum(of_labels, of_clusters)
    return np.clip(of_labels + of_clusters - of_both, 0, largest), of_labels, of_clusters


def _entropy(counts: np.ndarray) -> Any:
    shares = counts / counts.sum(axis=-1, keepdims=True)
    # Not its negative: an entropy of zero would print as -0.0.
    return np.abs(np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=-1))


def _assign(tables: np.ndarray) -> np.ndarray:
    *stack, num_classes, num_clusters = tables.shape
    classes = np.full((int(np.prod(stack)), num_clusters), -1)
    for row, table in zip(classes, tables.reshape(-1, num_classes, num_clusters), strict=True):
        assigned, cluster = linear_sum_assignment(table, maximize=True)
        row[cluster] = assigned
    return classes.reshape(*stack, num_clusters)


def _compact_table(function: str, labels: ArrayLike, clusters: ArrayLike) -> np.ndarray:
    """A contingency table without the classes and clusters that nobody is in."""
    true, found = _integers(function, labels, clusters)
    classes, true = np.unique(true, return_inverse=True)
    numbers, found = np.unique(found, return_inverse=True)
    return _count(true, found, len(classes), len(numbers))


def _count(true: np.ndarray, found: np.ndarray, num_classes: int, num_clusters: int) -> np.ndarray:
    *stack, n = found.shape
    size = num_classes * num_clusters
    number = np.arange(int(np.prod(stack)))[:, None]
    cells = number * size + true * num_clusters + found.reshape(-1, n)
    counts = np.bincount(cells.reshape(-1), minlength=len(number) * size)
    return counts.reshape(*stack, num_classes, num_clusters)


def _integers(
    function: str, labels: ArrayLike, clusters: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    true, found = np.asarray(labels), np.asarray(clusters)
    if true.ndim != 1 or true.size == 0:
        raise ValueError(
            f"{function}: labels must be one integer for each of at least one example, found shape "
            f"{true.shape}"
        )
    if found.shape[-1:] != true.shape or found.size == 0:
        raise ValueError(
            f"{function}: clusters must have a last axis of {len(true)} examples, as many as there "
            f"are labels, found shape {found.shape}"
        )
    return _as_integers(function, "labels", true), _as_integers(function, "clusters", found)


def _as_integers(function: str, name: str, values: Any) -> np.ndarray:
    if not (np.issubdtype(values.dtype, np.number) or values.dtype == np.bool_):
        raise ValueError(
            f"{function}: {name} must be integers, found dtype {values.dtype}; number the names "
            "with numpy.unique(names, return_inverse=True)"
        )
    # Also true of NaN and infinity.
    fractional = ~(np.mod(values, 1) == 0) if values.dtype != np.bool_ else np.zeros(1, bool)
    for wrong, problem in ((fractional, "no integer"), (values < 0, "negative")):
        if wrong.any():
            index = np.unravel_index(np.argmax(wrong), wrong.shape)
            place = ", ".join(map(str, index))
            raise ValueError(
                f"{function}: {name} must be integers of at least 0, found {values[index]} at "
                f"index {place}, which is {problem}; number the groups from 0"
            )
    return values.astype(np.int64)
