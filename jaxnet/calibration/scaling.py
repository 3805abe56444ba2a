"""Scaling of logits: one temperature, or a factor and an offset for each class."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Integer, Shaped

from jaxnet._checks import require_not_negative
from jaxnet.metrics.weighting import as_float, example_weights, require_logits
from jaxnet.objectives.weighting import masked_rows, require_shape

_MAX_LOG_SCALE = 10.0
_NUM_HALVINGS, _NUM_NEWTON_STEPS, _NUM_STEP_SIZES = 30, 40, 12


class VectorScaling(NamedTuple):
    """A factor and an offset for the logits of each class.

    Attributes:
        scale: the factors.
        bias: the offsets, whose sum is 0.
    """

    scale: Float[Array, " classes"]
    bias: Float[Array, " classes"]


def fit_temperature(
    logits: Float[Array, "n classes"],
    labels: Integer[Array, " n"],
    *,
    pseudocount: ArrayLike = 0.0,
    weight: Shaped[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """The temperature T of `softmax(logits / T)` with the highest likelihood of some labels.

    `argmin_T -sum_i w_i sum_k q_ik log softmax(logits_i / T)_k`, where q is one-hot. The loss is
    convex in 1 / T, so its derivative has one root, which bisection and Newton's method find: the
    result is a deterministic function of the data.

    Where every prediction is right there is no maximum: the likelihood grows as T falls, and the
    lowest temperature, exp(-10), is returned. With a pseudocount c, q mixes the one-hot label with
    `softmax(logits_i)` by the fraction `c / (c + sum_i w_i)`, as if c more examples had labels
    drawn from the unscaled probabilities, and the maximum exists. (Platt (1999) mixes in a
    constant, which makes the probabilities of many classes underconfident.)

    Args:
        logits: unnormalized log-probabilities of examples that trained nothing, `(n, classes)`; of
            one logistic output z, `(0, z)`.
        labels: true classes `(n,)` in [0, classes).
        pseudocount: weight of labels from the unscaled probabilities, at least 0; may be traced.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones; an example of
            weight 0 is ignored, whatever it holds.

    Returns:
        The temperature in [exp(-10), exp(10)], a scalar; NaN without examples.

    Raises:
        ValueError: a pseudocount out of range; shapes do not match.

    >>> logits, labels = jnp.array([[4.0, 0.0]] * 4), jnp.array([0, 0, 0, 1])
    >>> scaled = logits / jax.jit(fit_temperature)(logits, labels)
    >>> bool(abs(jax.nn.softmax(scaled[0])[0] - 0.75) < 1e-5)
    True

    Source: Guo et al. (2017), "On Calibration of Modern Neural Networks", section 4.2.
    """
    logits, target, weight = _prepared("fit_temperature", logits, labels, pseudocount, weight)
    logits = logits - jnp.max(logits, axis=-1, keepdims=True)

    def slope(log_scale: Array) -> tuple[Array, Array]:
        """First derivative of the mean loss by 1 / T, and second."""
        probabilities = jax.nn.softmax(logits * jnp.exp(log_scale))
        mean = jnp.sum(probabilities * logits, axis=-1)
        second = jnp.sum(probabilities * (logits - mean[:, None]) ** 2, axis=-1)
        first = jnp.sum((probabilities - target) * logits, axis=-1)
        return jnp.sum(weight * first), jnp.sum(weight * second)

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        rises = slope(middle)[0] > 0
        return jnp.where(rises, low, middle), jnp.where(rises, middle, high)

    limit = jnp.full((), _MAX_LOG_SCALE, logits.dtype)
    low, high = jax.lax.fori_loop(0, _NUM_HALVINGS, halve, (-limit, limit))
    middle = jnp.exp((low + high) / 2)
    first, second = slope((low + high) / 2)
    # One step of Newton's method has the digits that bisection lacks, and stays between its ends.
    newton = middle - first / jnp.where(second > 0, second, jnp.inf)
    scale = jnp.clip(newton, jnp.exp(low), jnp.exp(high))
    return jnp.where(jnp.isnan(first), jnp.nan, 1 / scale)


def fit_vector_scaling(
    logits: Float[Array, "n classes"],
    labels: Integer[Array, " n"],
    *,
    pseudocount: ArrayLike = 0.0,
    weight: Shaped[Array, " n"] | None = None,
) -> VectorScaling:
    """Factors a and offsets b of `softmax(a * logits + b)` with the highest likelihood of labels.

    A convex problem in 2 K numbers for K classes, solved by Newton's method with a line search over
    a fixed set of step sizes, from a = 1 and b = 0. A slight damping keeps a and b where the data
    do not decide, as with factors of a logit that is constant. Few examples for each class overfit:
    then one temperature is better.

    Args:
        logits: unnormalized log-probabilities of examples that trained nothing, `(n, classes)`; of
            one logistic output z, `(0, z)`, which gives Platt scaling.
        labels: true classes `(n,)` in [0, classes).
        pseudocount: as in `fit_temperature`; where it is 0 and a class can be separated, there is
            no maximum, and the steps end at their number.
        weight: one weight of at least 0 for each example, `(n,)`, or None for ones; an example of
            weight 0 is ignored, whatever it holds.

    Returns:
        The scaling; NaN without examples. It is for logits of this kind: a number that is added to
        all logits of an example changes what factors do.

    Raises:
        ValueError: a pseudocount out of range; shapes do not match.

    >>> logits, labels = jnp.array([[4.0, 0.0]] * 4), jnp.array([0, 0, 0, 1])
    >>> scaled = scale_logits(logits, jax.jit(fit_vector_scaling)(logits, labels))
    >>> bool(abs(jax.nn.softmax(scaled[0])[0] - 0.75) < 1e-5)
    True

    Sources: Guo et al. (2017), section 4.2; Platt (1999), "Probabilistic Outputs for Support Vector
    Machines".
    """
    logits, target, weight = _prepared("fit_vector_scaling", logits, labels, pseudocount, weight)
    num_classes = logits.shape[-1]
    # Logits of unit size condition the Hessian; the factors are of the scaled logits.
    unit = jnp.sqrt(jnp.sum(weight[:, None] * logits**2) / num_classes)
    unit = jnp.where(unit > 0, unit, 1)
    inputs = logits / unit
    start = jnp.concatenate([jnp.full(num_classes, unit), jnp.zeros(num_classes, unit.dtype)])

    def log_probabilities(parameters: Array) -> Array:
        scale, bias = jnp.split(parameters, 2)
        return jax.nn.log_softmax(scale[None] * inputs + bias[None])

    def loss(parameters: Array) -> Array:
        return -jnp.sum(weight * jnp.sum(target * log_probabilities(parameters), axis=-1))

    def step(_: Array, parameters: Array) -> Array:
        probabilities = jnp.exp(log_probabilities(parameters))
        residual = probabilities - target
        factors = jnp.concatenate([residual * inputs, residual], axis=1)
        gradient = jnp.sum(weight[:, None] * factors, axis=0)
        damped = _damped_hessian(inputs, probabilities, weight)
        direction = jax.scipy.linalg.solve(damped, gradient, assume_a="pos")
        sizes = jnp.concatenate([0.5 ** jnp.arange(_NUM_STEP_SIZES), jnp.zeros(1)])
        candidates = parameters[None] - sizes.astype(direction.dtype)[:, None] * direction[None]
        losses = jax.lax.map(loss, candidates)
        # The largest step that is best: of equal losses the first.
        best = jnp.argmin(jnp.where(jnp.isnan(losses), jnp.inf, losses))
        return candidates[best]

    parameters = jax.lax.fori_loop(0, _NUM_NEWTON_STEPS, step, start)
    scale, bias = jnp.split(parameters, 2)
    scale, bias = scale / unit, bias - jnp.mean(bias)
    missing = jnp.isnan(loss(parameters))
    return VectorScaling(*(jnp.where(missing, jnp.nan, part) for part in (scale, bias)))


def scale_logits(
    logits: Float[Array, "*batch classes"], scaling: VectorScaling | Float[Array, ""]
) -> Float[Array, "*batch classes"]:
    """Calibrated logits, `logits / T` or `a * logits + b`.

    Args:
        logits: unnormalized log-probabilities, `(..., classes)`.
        scaling: a temperature T, or factors and offsets.

    Returns:
        Logits of the same shape; dividing by a temperature changes no predicted class.

    >>> scale_logits(jnp.array([2.0, 0.0]), jnp.array(2.0)).tolist()
    [1.0, 0.0]

    Source: Guo et al. (2017), "On Calibration of Modern Neural Networks", section 4.2.
    """
    if isinstance(scaling, VectorScaling):
        parts = (jax.lax.broadcast_to_rank(part, logits.ndim) for part in scaling)
        scale, bias = parts
        return logits * scale + bias
    return logits / scaling


def ensemble_logits(logits: Float[Array, "networks n classes"]) -> Float[Array, "n classes"]:
    """Logarithms of the mean probabilities of several networks, as logits of the ensemble.

    `log mean_m softmax(logits_m)`. An ensemble is calibrated after its probabilities are averaged:
    the mean of calibrated networks that disagree is underconfident.

    Args:
        logits: logits of each network, `(networks, n, classes)`.

    Returns:
        Log-probabilities, `(n, classes)`.

    >>> probabilities = jnp.array([[[0.5, 0.5]], [[0.75, 0.25]]])
    >>> print(jnp.exp(ensemble_logits(jnp.log(probabilities))).round(4))
    [[0.625 0.375]]

    Source: Rahaman and Thiery (2021), "Uncertainty Quantification and Deep Ensembles", section 4
    (pool, then calibrate).
    """
    total = jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0)
    return total - jnp.log(jnp.full((), len(logits), total.dtype))


def _prepared(
    function: str, logits: Array, labels: Array, pseudocount: ArrayLike, weight: Array | None
) -> tuple[Array, Array, Array]:
    """Logits without masked ones, distributions over the classes, and weights whose sum is 1."""
    require_not_negative(function, pseudocount=pseudocount)
    require_logits(function, "logits", logits)
    require_shape(function, "labels", labels, logits.shape[:1])
    weight = example_weights(function, len(logits), weight)
    logits = as_float(masked_rows(logits, weight))
    total = jnp.sum(weight)
    labels = jnp.where(weight > 0, labels, 0)
    prior = as_float(pseudocount) / (as_float(pseudocount) + total)
    true = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return logits, (1 - prior) * true + prior * jax.nn.softmax(logits), weight / total


def _damped_hessian(
    inputs: Array, probabilities: Array, weight: Array
) -> Float[Array, "parameters parameters"]:
    """Second derivatives of the loss by the factors, then by the offsets, made definite."""
    columns = jnp.concatenate([probabilities * inputs, probabilities], axis=1)
    products = jnp.matmul(
        (weight[:, None] * columns).T, columns, precision=jax.lax.Precision.HIGHEST
    )
    weighted = weight[:, None] * probabilities
    square, mixed, plain = (
        jnp.diag(jnp.sum(weighted * power, axis=0))
        for power in (inputs**2, inputs, jnp.ones_like(inputs))
    )
    # A difference of two matrices, whose rounding is relative to these.
    damping = 10 * jnp.finfo(square.dtype).eps * (jnp.trace(square) + jnp.trace(plain))
    identity = damping * jnp.eye(len(products), dtype=products.dtype)
    return jnp.block([[square, mixed], [mixed, plain]]) - products + identity
