"""Virtual adversarial training against Hessians, NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

import jaxnet as jn
from jaxnet.objectives.adversarial import adversarial_direction, divergence
from tests.few_labels import a_batch, linear, logits, softmax

objectives = jn.objectives
GENERATOR = np.random.default_rng(0)


@pytest.fixture
def curved():
    """A network with curvature, its parameters, and examples, in float64."""
    network = jn.mlp([4, 6, 3], activation=jnp.tanh)
    generator = np.random.default_rng(3)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: jax.device_put(generator.normal(size=leaf.shape)), shapes)
    return network, params, jax.device_put(generator.normal(size=(3, 4)))


def hessian(network, params, x):
    """Second derivative of the divergence at a change of 0, from its definition."""
    p = jax.nn.softmax(network.apply(params, x))

    def divergence(change):
        q = jax.nn.softmax(network.apply(params, x + change))
        return jnp.sum(p * (jnp.log(p) - jnp.log(q)))

    return jax.hessian(divergence)(jnp.zeros_like(x))


def test_the_adversarial_direction_is_the_first_eigenvector(x64, key, curved):
    network, params, x = curved

    def direction(num_power_iterations):
        forward = lambda x: network.apply(params, x)  # noqa: E731
        return adversarial_direction(forward, x, key, num_power_iterations=num_power_iterations)[0]

    # The second eigenvalue is at most 0.4 of the first: after 20 iterations nothing is left of it.
    first, many = map(np.asarray, jax.jit(lambda: (direction(1), direction(20)))())
    hessians = np.asarray(jax.jit(jax.vmap(lambda x: hessian(network, params, x)))(x))
    for index, matrix in enumerate(hessians):
        values, vectors = np.linalg.eigh(matrix)
        np.testing.assert_allclose(abs(many[index] @ vectors[:, -1]), 1, rtol=1e-9)
        # One iteration is one product with the matrix, so it is nearer than a random direction.
        assert first[index] @ matrix @ first[index] > 0.3 * values[-1]
        np.testing.assert_allclose(np.linalg.norm(first[index]), 1, rtol=1e-12)


def test_the_difference_of_gradients_converges_to_the_exact_direction(x64, key, curved):
    network, params, x = curved

    def direction(difference):
        return adversarial_direction(
            lambda x: network.apply(params, x),
            x,
            key,
            num_power_iterations=3,
            difference=difference,
        )[0]

    @jax.jit
    def distances():
        exact = direction(None)
        return jnp.stack([jnp.abs(direction(xi) - exact).max() for xi in (1e-2, 1e-4, 1e-6)])

    errors = np.asarray(distances())
    # The error is of the order of the distance, and never 0: these are two computations.
    np.testing.assert_allclose(errors[1:] / errors[:-1], 0.01, rtol=0.3)
    assert 1e-9 < errors[-1] < 1e-4


def test_the_difference_of_gradients_is_that_of_numpy(x64):
    """Without a key the first direction is that of equal numbers."""
    network, params = linear(5)
    batch = a_batch(seed=5)
    x, kernel = np.asarray(batch["unlabeled"]["x"]), np.asarray(params["kernel"])
    p = softmax(logits(params, x))
    direction = (softmax(logits(params, x + 0.8 * np.full(4, 0.5))) - p) @ kernel.T
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    objective = objectives.virtual_adversarial(network, radius=0.7, difference=0.8)
    exact = objectives.virtual_adversarial(network, radius=0.7)

    @jax.jit
    def compute(params, batch):
        forward = lambda x: network.apply(params, x)  # noqa: E731
        (found,) = adversarial_direction(forward, batch["unlabeled"]["x"], None, difference=0.8)
        losses = [each(params, batch, None)[1]["unsupervised_loss"] for each in (objective, exact)]
        return found, *losses

    found, value, exact_value = map(np.asarray, compute(params, batch))
    np.testing.assert_allclose(found, direction, rtol=1e-9)
    q = softmax(logits(params, x + 0.7 * direction))
    np.testing.assert_allclose(value, scipy.special.rel_entr(p, q).sum(axis=1).mean(), rtol=1e-9)
    assert abs(exact_value - value) > 1e-4


def test_directions_have_norm_one_over_all_inputs_and_tiny_numbers_do_not_vanish(x64, key):
    x = {"a": np.ones((2, 3)), "tokens": np.zeros((2, 5), int), "b": np.ones((2, 2, 2))}

    def outputs(x):
        total = 1e-140 * (x["a"].sum(axis=1) + x["b"][:, 1].sum(axis=1))
        return jnp.stack([total, jnp.zeros(2)], axis=1)

    first, second = jax.jit(lambda x: adversarial_direction(outputs, x, key))(x)
    expected = np.array([0.0, 0.0, 1.0, 1.0]).reshape(2, 2) / np.sqrt(5)
    np.testing.assert_allclose(np.abs(first), np.full((2, 3), 1 / np.sqrt(5)), rtol=1e-9)
    np.testing.assert_allclose(np.abs(second), np.stack([expected] * 2), rtol=1e-9)
    # Where nothing changes the prediction, the first direction stays.
    (constant,) = jax.jit(lambda x: adversarial_direction(lambda x: 0 * x, x, key))(x["a"])
    np.testing.assert_allclose(np.linalg.norm(constant, axis=1), 1)


def test_divergences_are_those_of_scipy(x64):
    first, second = GENERATOR.normal(size=(2, 5, 4))
    expected = scipy.special.rel_entr(softmax(first), softmax(second)).sum(axis=1)
    np.testing.assert_allclose(jax.jit(divergence)(first, second), expected)


def test_virtual_adversarial_training_of_two_classes_is_known(x64, key):
    """With two classes and a linear network the direction is that of the difference of columns."""
    network, params = linear(4, num_classes=2)
    batch = a_batch(num_classes=2, num_unlabeled=1, seed=4)
    difference = np.asarray(params["kernel"]) @ [1.0, -1.0]
    direction, x = difference / np.linalg.norm(difference), batch["unlabeled"]["x"]
    p = softmax(logits(params, x))

    def loss(params, sign):
        q = jax.nn.softmax(network.apply(params, x + sign * 0.7 * direction))
        return jnp.sum(p * (jnp.log(p) - jnp.log(q)))

    def entropy(params):
        own = jax.nn.softmax(network.apply(params, x))
        return -jnp.sum(own * jnp.log(own))

    objective = objectives.virtual_adversarial(network, radius=0.7, entropy_weight=0.2)

    def unsupervised(params):
        return objective(params, batch, key)[1]["unsupervised_loss"]

    (value, gradient), own_entropy = jax.jit(
        lambda params: (jax.value_and_grad(unsupervised)(params), entropy(params))
    )(params)
    np.testing.assert_allclose(own_entropy, scipy.stats.entropy(p[0]), rtol=1e-12)
    # The gradient is that with a fixed direction and a fixed first prediction.
    total = jax.jit(
        jax.value_and_grad(lambda params, sign: loss(params, sign) + 0.2 * entropy(params))
    )
    candidates = [total(params, sign) for sign in (1.0, -1.0)]
    nearest, expected = min(candidates, key=lambda pair: abs(float(pair[0] - value)))
    np.testing.assert_allclose(value, nearest, rtol=1e-9)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-10), gradient, expected
    )
