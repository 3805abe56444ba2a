"""Virtual adversarial training: the direction in which a prediction changes most."""

import operator
from collections.abc import Callable
from typing import Any, overload

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key, PyTree

from jaxnet import _draws
from jaxnet._checks import require_above_zero, require_not_negative, require_positive
from jaxnet.nn.network import Network, StatefulNetwork
from jaxnet.objectives.unlabeled import (
    Unsupervised,
    split_key,
    stateful_forward,
    with_unlabeled,
)
from jaxnet.typing import AnyObjective, Objective, Params, StatefulObjective


@overload
def virtual_adversarial(
    network: Network,
    *,
    radius: ArrayLike,
    unlabeled_weight: ArrayLike = 1.0,
    num_power_iterations: int = 1,
    entropy_weight: ArrayLike = 0.0,
    difference: ArrayLike | None = None,
) -> Objective: ...


@overload
def virtual_adversarial(
    network: StatefulNetwork,
    *,
    radius: ArrayLike,
    unlabeled_weight: ArrayLike = 1.0,
    num_power_iterations: int = 1,
    entropy_weight: ArrayLike = 0.0,
    difference: ArrayLike | None = None,
) -> StatefulObjective: ...


def virtual_adversarial(
    network: Network | StatefulNetwork,
    *,
    radius: ArrayLike,
    unlabeled_weight: ArrayLike = 1.0,
    num_power_iterations: int = 1,
    entropy_weight: ArrayLike = 0.0,
    difference: ArrayLike | None = None,
) -> AnyObjective:
    """Divergence of the predictions for an example and for its most different neighbor.

    `mean_i KL(p(x_i) || p(x_i + radius * d_i)) + entropy_weight * H(p(x_i))`, where no gradient
    goes to the first `p` and to `d_i`, the direction of `adversarial_direction`. Miyato et al.
    (2018), "Virtual adversarial training", eq. 5 to 8, and eq. 18 for the entropy. All passes of a
    step have the same dropout. Examples with labels are in this mean where the unlabeled data hold
    them, as in the paper. Without `difference` the direction is computed exactly; there it is a
    difference of gradients at 1e-6 in float32, which `difference=1e-6` computes.

    Args:
        network: from inputs to logits `(n, num_classes)`. Inputs are floats, or a pytree of arrays
            of which the floats are changed.
        radius: norm of the change of each example, at least 0; may be traced.
        unlabeled_weight: factor of the unsupervised mean, at least 0; may be traced.
        num_power_iterations: of the direction, at least 1.
        entropy_weight: factor of the entropy within that mean, at least 0; may be traced.
        difference: distance of the gradients whose difference gives the direction, greater than 0;
            may be traced. None computes it exactly.

    Returns:
        An objective on batches `{"labeled": ..., "unlabeled": ...}`. Metrics: `accuracy` on the
        labeled examples, `supervised_loss`, `unsupervised_loss`.

    Raises:
        TypeError: a network that is not one, a number of iterations that is not an integer.
        ValueError: numbers out of range; (of the objective) a batch without its parts, inputs
            without floats.

    >>> import jaxnet as jn
    >>> network = jn.dense(2, 2)
    >>> params, x = network.init(jax.random.key(0)), jnp.ones((3, 2))
    >>> batch = {"labeled": {"x": x, "y": jnp.zeros(3, int)}, "unlabeled": {"x": x}}
    >>> small, large = (virtual_adversarial(network, radius=radius) for radius in (0.1, 1.0))
    >>> key = jax.random.key(1)
    >>> bool(small(params, batch, key)[0] < large(params, batch, key)[0])
    True
    """
    function = "virtual_adversarial"
    require_not_negative(function, radius=radius, entropy_weight=entropy_weight)
    require_positive(function, num_power_iterations=num_power_iterations)
    if difference is not None:
        require_above_zero(function, difference=difference)
    forward = stateful_forward(network)

    def unsupervised(params: Params, extra: PyTree[Any], x: Any, key: Array | None) -> Any:
        pass_key, own_key = split_key(key, 2)
        frozen = jax.lax.stop_gradient(params)
        direction = adversarial_direction(
            lambda x: forward(frozen, extra, x, pass_key)[0],
            x,
            own_key,
            num_power_iterations=num_power_iterations,
            difference=difference,
        )
        moved = _add(x, jax.lax.stop_gradient(direction), radius)
        logits, new = forward(params, extra, x, pass_key)
        moved_logits, _ = forward(params, extra, moved, pass_key)
        losses = divergence(jax.lax.stop_gradient(logits), moved_logits)
        log_probabilities = jax.nn.log_softmax(logits)
        entropy = -jnp.sum(jnp.exp(log_probabilities) * log_probabilities, axis=-1)
        return Unsupervised(losses + jnp.asarray(entropy_weight, losses.dtype) * entropy, new, {})

    return with_unlabeled(function, network, unsupervised, unlabeled_weight=unlabeled_weight)


def divergence(
    first: Float[Array, "n classes"], second: Float[Array, "n classes"]
) -> Float[Array, " n"]:
    """Kullback-Leibler divergence `sum_c p_c log(p_c / q_c)` of two predictions.

    Args:
        first: logits of `p`.
        second: logits of `q`.

    Returns:
        One number for each example.

    >>> numbers = divergence(jnp.zeros((1, 2)), jnp.log(jnp.array([[0.25, 0.75]])))
    >>> round(float(numbers[0]), 4)
    0.1438
    """
    first, second = jax.nn.log_softmax(first), jax.nn.log_softmax(second)
    return jnp.sum(jnp.exp(first) * (first - second), axis=-1)


def adversarial_direction(
    logits: Callable[[Any], Float[Array, "n classes"]],
    x: PyTree[Any],
    key: Key[Array, ""] | None,
    *,
    num_power_iterations: int = 1,
    difference: ArrayLike | None = None,
) -> Any:
    """The unit vector along which a small change of an example changes its prediction most.

    The divergence of the predictions for `x` and `x + r` is `r^T H r / 2` for small `r`, with
    `H = J^T (diag(p) - p p^T) J` and the Jacobian `J` of the logits. Power iterations
    `d <- H d / ||H d||` from a random direction approach its first eigenvector. Miyato et al.
    (2018), "Virtual adversarial training", section 3.3. The product with `H` is computed exactly,
    by one product with `J` and one with `J^T`, or as there (algorithm 1), as a difference of
    gradients of the divergence at `xi d` and at 0, where it is 0: `H d = J^T (q - p) / xi` with
    the prediction `q` for `x + xi d`, up to terms of order `xi`.

    In float32 and at the distance 1e-6 of the authors' program, `q - p` is as small as the rounding
    of the probabilities. The direction is then a mixture of the gradients of all logits rather than
    the first eigenvector, and training with few labels is better with it than with the exact
    direction (docs/results.md, row `vat`). It depends on the precision of matrix products.

    Args:
        logits: from inputs to logits, one row for each example.
        x: floats, or a pytree of arrays `(n, ...)`; what is not float stays as it is.
        key: of the first direction; None for that of equal numbers.
        num_power_iterations: at least 1.
        difference: the distance `xi`, greater than 0; may be traced. None computes the products
            exactly.

    Returns:
        A list with a direction for each array of floats of `x`. All of those of an example have
        norm 1 together.

    Raises:
        TypeError: a number of iterations that is not an integer.
        ValueError: a number of iterations below 1, inputs without floats.

    >>> kernel = jnp.array([[1.0, 0.0], [0.0, 3.0]])
    >>> direction = adversarial_direction(
    ...     lambda x: x @ kernel, jnp.zeros((1, 2)), jax.random.key(0), num_power_iterations=20
    ... )
    >>> bool(jnp.allclose(abs(direction[0]), jnp.array([1.0, 3.0]) / jnp.sqrt(10)))
    True
    """
    require_positive("adversarial_direction", num_power_iterations=num_power_iterations)
    floats = [leaf for leaf in jax.tree.leaves(x) if _is_float(leaf)]
    if not floats:
        raise ValueError(
            "virtual_adversarial: the inputs x hold no floats, so that there is no direction; "
            "encode categories and tokens before: embeddings or one-hot vectors"
        )
    if key is None:
        direction = _unit([jnp.ones_like(leaf) for leaf in floats])
    else:
        keys = jax.random.split(key, len(floats))
        direction = _unit(
            [
                _draws.normal(each, jnp.shape(leaf), jnp.asarray(leaf).dtype)
                for each, leaf in zip(keys, floats, strict=True)
            ]
        )
    if difference is None:
        multiply = _exact_product(logits, x, floats)
    else:
        multiply = _difference_of_gradients(logits, x, difference)
    for _ in range(operator.index(num_power_iterations)):
        direction = _unit(multiply(direction), otherwise=direction)
    return direction


def _exact_product(
    logits: Callable[[Any], Array], x: PyTree[Any], floats: list[Array]
) -> Callable[[list[Array]], list[Array]]:
    """Products with the second derivative of the divergence at 0."""
    zeros = [jnp.zeros_like(leaf) for leaf in floats]
    outputs, push = jax.linearize(lambda change: logits(_add(x, change, 1.0)), zeros)
    pull = jax.linear_transpose(push, zeros)
    probabilities = jax.nn.softmax(outputs)

    def multiply(direction: list[Array]) -> list[Array]:
        tangent = probabilities * push(direction)
        tangent -= probabilities * tangent.sum(axis=-1, keepdims=True)
        return pull(tangent)[0]

    return multiply


def _difference_of_gradients(
    logits: Callable[[Any], Array], x: PyTree[Any], distance: ArrayLike
) -> Callable[[list[Array]], list[Array]]:
    """The gradient of the divergence at a distance, which is `distance` times such a product."""
    outputs = logits(x)

    def total(change: list[Array]) -> Array:
        return divergence(outputs, logits(_add(x, change, 1.0))).sum()

    def multiply(direction: list[Array]) -> list[Array]:
        return jax.grad(total)([jnp.asarray(distance, leaf.dtype) * leaf for leaf in direction])

    return multiply


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.inexact)


def _add(x: PyTree[Any], change: list[Array], factor: ArrayLike) -> Any:
    """Inputs whose arrays of floats are changed."""
    leaves, structure = jax.tree.flatten(x)
    changes = iter(change)
    moved = [
        leaf + jnp.asarray(factor, leaf.dtype) * next(changes) if _is_float(leaf) else leaf
        for leaf in map(jnp.asarray, leaves)
    ]
    return jax.tree.unflatten(structure, moved)


def _unit(vectors: list[Array], otherwise: list[Array] | None = None) -> list[Array]:
    """Vectors of norm 1 for each example; others where all numbers are 0."""

    def over_rows(leaf: Array) -> tuple[int, ...]:
        return tuple(range(1, leaf.ndim))

    def reduce(numbers: list[Array]) -> Array:
        """Arrays with one number for each example, to the shape of that of each array."""
        return sum(numbers[1:], numbers[0])

    # Divided by the largest number first, so that squares of small ones are not 0.
    largest = [jnp.abs(leaf).max(axis=over_rows(leaf), initial=0) for leaf in vectors]
    scale = jnp.stack(largest).max(axis=0)
    is_zero = scale == 0
    safe = jnp.where(is_zero, 1, scale)

    def rows(number: Array, leaf: Array) -> Array:
        return number.reshape(-1, *[1] * (leaf.ndim - 1)).astype(leaf.dtype)

    scaled = [leaf / rows(safe, leaf) for leaf in vectors]
    squares = reduce([jnp.sum(leaf**2, axis=over_rows(leaf)) for leaf in scaled])
    norm = jnp.sqrt(jnp.where(is_zero, 1, squares))
    unit = [leaf / rows(norm, leaf) for leaf in scaled]
    if otherwise is None:
        return unit
    return [
        jnp.where(rows(is_zero, new).astype(bool), old, new)
        for new, old in zip(unit, otherwise, strict=True)
    ]
