"""Scores of classes, and the sets of classes that they give; `conformal` has the threshold."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from jaxnet.metrics.weighting import as_float, require_logits
from jaxnet.objectives.weighting import require_shape


def least_ambiguous_scores(
    probabilities: Float[Array, "n classes"],
) -> Float[Array, "n classes"]:
    """Scores `1 - p_k` of every class, whose sets are the smallest on average; they may be empty.

    Args:
        probabilities: probabilities of the classes, `(n, classes)`.

    Returns:
        A score for each class, `(n, classes)`.

    Raises:
        ValueError: another shape.

    >>> least_ambiguous_scores(jnp.array([[0.75, 0.25]])).tolist()
    [[0.25, 0.75]]

    Source: Sadinle, Lei and Wasserman (2019), "Least Ambiguous Set-Valued Classifiers with Bounded
    Error Levels", section 2.
    """
    require_logits("least_ambiguous_scores", "probabilities", probabilities)
    return 1 - as_float(probabilities)


def adaptive_scores(
    probabilities: Float[Array, "n classes"], key: Array | None = None
) -> Float[Array, "n classes"]:
    """Scores of adaptive prediction sets (APS): the probability of all classes before each class.

    With classes in the order of falling probability, of equal ones the first class first, the score
    of class k is `sum_{j before k} p_j + u p_k`.

    Args:
        probabilities: probabilities of the classes, `(n, classes)`.
        key: draws u uniformly for each example, so that the coverage is exact, at the price of sets
            that may be empty; None takes u = 0, so that the most probable class is in every set,
            and the coverage may be higher than asked for.

    Returns:
        A score for each class, `(n, classes)`.

    Raises:
        ValueError: another shape.

    >>> adaptive_scores(jnp.array([[0.25, 0.5, 0.25]])).tolist()
    [[0.5, 0.0, 0.75]]

    Source: Romano, Sesia and Candès (2020), "Classification with Valid and Adaptive Coverage",
    equations 3 to 5 and 7; with u = 0 a class is in the set if the classes before it have less
    probability than the threshold, which is their set without randomization.
    """
    require_logits("adaptive_scores", "probabilities", probabilities)
    probabilities = as_float(probabilities)
    order = jnp.argsort(-probabilities, axis=-1)
    ranked = jnp.take_along_axis(probabilities, order, axis=-1)
    sums = jnp.cumsum(ranked, axis=-1)
    # Exclusive: the score of the first class is exactly 0.
    before = jnp.concatenate([jnp.zeros_like(sums[:, :1]), sums[:, :-1]], axis=-1)
    if key is not None:
        before = before + jax.random.uniform(key, (len(before), 1), before.dtype) * ranked
    return jnp.take_along_axis(before, jnp.argsort(order, axis=-1), axis=-1)


def true_class_scores(
    scores: Float[Array, "n classes"], labels: Integer[Array, " n"]
) -> Float[Array, " n"]:
    """The scores of the true classes, for `conformal_quantile`.

    Args:
        scores: a score for each class, `(n, classes)`.
        labels: true classes `(n,)` in [0, classes).

    Returns:
        The score of the true class of each example, `(n,)`.

    Raises:
        ValueError: shapes do not match.

    >>> true_class_scores(jnp.array([[0.25, 0.75], [0.5, 0.0]]), jnp.array([1, 0])).tolist()
    [0.75, 0.5]
    """
    require_shape("true_class_scores", "labels", labels, scores.shape[:1])
    return jnp.take_along_axis(scores, labels[:, None], axis=-1)[:, 0]


def prediction_sets(
    scores: Float[Array, "n classes"], quantile: Float[Array, ""]
) -> Bool[Array, "n classes"]:
    """Whether each class is in the set of an example: its score is at most the quantile.

    Args:
        scores: a score for each class, `(n, classes)`, of new examples.
        quantile: of `conformal_quantile`, for scores of the same kind.

    Returns:
        The sets, `(n, classes)`.

    >>> prediction_sets(jnp.array([[0.0, 0.6, 0.9]]), jnp.array(0.6)).tolist()
    [[True, True, False]]

    Source: Vovk, Gammerman and Shafer (2005), section 4.1.
    """
    return scores <= quantile
