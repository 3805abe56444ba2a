"""Objectives of labeled and unlabeled examples against NumPy, SciPy and the definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats
from jax.test_util import check_grads

import jaxnet as jn
from jaxnet.objectives.adversarial import adversarial_direction, divergence

objectives = jn.objectives
GENERATOR = np.random.default_rng(0)


def softmax(logits):
    return scipy.special.softmax(np.asarray(logits, np.float64), axis=-1)


def a_batch(dim=4, num_classes=3, num_labeled=5, num_unlabeled=7, seed=0):
    generator = np.random.default_rng(seed)
    return {
        "labeled": {
            "x": jnp.asarray(generator.normal(size=(num_labeled, dim))),
            "y": jnp.asarray(generator.integers(num_classes, size=num_labeled)),
        },
        "unlabeled": {"x": jnp.asarray(generator.normal(size=(num_unlabeled, dim)))},
    }


def linear(seed=0, dim=4, num_classes=3):
    generator = np.random.default_rng(seed)
    params = {
        "kernel": jnp.asarray(generator.normal(size=(dim, num_classes))),
        "bias": jnp.asarray(generator.normal(size=num_classes)),
    }
    return jn.dense(dim, num_classes), params


def logits(params, x):
    return np.asarray(x) @ np.asarray(params["kernel"]) + np.asarray(params["bias"])


def cross_entropy(params, part):
    probabilities = softmax(logits(params, part["x"]))
    return -np.log(probabilities[np.arange(len(part["y"])), part["y"]]).mean()


def test_pseudo_labels_count_where_the_network_is_confident(x64):
    network, params = linear()
    batch = a_batch()
    probabilities = softmax(logits(params, batch["unlabeled"]["x"]))
    largest = probabilities.max(axis=1)
    threshold = float(np.sort(largest)[3])
    expected = np.where(largest >= threshold - 1e-12, -np.log(largest), 0).mean()
    objective = objectives.pseudo_labels(network, threshold=threshold - 1e-12, unlabeled_weight=0.3)
    loss, metrics = objective(params, batch, None)
    np.testing.assert_allclose(metrics["unsupervised_loss"], expected, rtol=1e-12)
    np.testing.assert_allclose(metrics["confident"], 4 / 7, rtol=1e-12)
    supervised = cross_entropy(params, batch["labeled"])
    np.testing.assert_allclose(loss, supervised + 0.3 * expected, rtol=1e-12)


def test_fixmatch_learns_from_the_weak_what_the_strong_is(x64):
    """Weak adds 1, strong doubles: without random numbers the loss is known by hand."""
    network, params = linear(1)
    batch = a_batch(seed=1)
    weak = jn.nn.Network(lambda key: {}, lambda params, x, *, key=None: x + 1)
    strong = jn.nn.Network(lambda key: {}, lambda params, x, *, key=None: 2 * x)
    x = np.asarray(batch["unlabeled"]["x"])
    targets = softmax(logits(params, x + 1))
    counts = targets.max(axis=1) >= 0.6
    assert 0 < counts.sum() < len(x)
    own = softmax(logits(params, 2 * x))[np.arange(len(x)), targets.argmax(axis=1)]
    objective = objectives.fixmatch(
        network, weak=weak, strong=strong, threshold=0.6, unlabeled_weight=0.5
    )
    _, metrics = objective(params, batch, None)
    expected = np.where(counts, -np.log(own), 0).mean()
    np.testing.assert_allclose(metrics["unsupervised_loss"], expected, rtol=1e-12)
    shifted = {"x": batch["labeled"]["x"] + 1, "y": batch["labeled"]["y"]}
    np.testing.assert_allclose(metrics["supervised_loss"], cross_entropy(params, shifted))
    np.testing.assert_allclose(metrics["confident"], counts.mean())
    # No gradient goes to the targets: it is that of the cross-entropy with fixed labels.
    fixed = jnp.asarray(targets.argmax(axis=1))

    def with_fixed_labels(params):
        outputs = network.apply(params, 2 * batch["unlabeled"]["x"])
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(outputs, fixed)
        return jnp.where(counts, losses, 0).mean()

    def unsupervised(params):
        return objective(params, batch, None)[1]["unsupervised_loss"]

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12),
        jax.grad(unsupervised)(params),
        jax.grad(with_fixed_labels)(params),
    )


def test_the_pi_model_compares_two_draws_of_noise(x64, key):
    network, params = linear(2)
    batch = a_batch(seed=2)
    drawn = []

    def noisy(params, x, *, key=None):
        drawn.append(x + jax.random.normal(key, x.shape))
        return drawn[-1]

    noise = jn.nn.Network(lambda key: {}, noisy)
    objective = objectives.pi_model(network, unlabeled_weight=2.0, augmentation=noise)
    loss, metrics = objective(params, batch, key)
    of_labeled, first, second = drawn
    assert float(jnp.abs(first - second).max()) > 0.1
    difference = softmax(logits(params, first)) - softmax(logits(params, second))
    expected = (difference**2).mean(axis=1).mean()
    np.testing.assert_allclose(metrics["unsupervised_loss"], expected, rtol=1e-12)
    supervised = cross_entropy(params, {"x": of_labeled, "y": batch["labeled"]["y"]})
    np.testing.assert_allclose(loss, supervised + 2 * expected, rtol=1e-12)
    # Without a key nothing is random.
    quiet = objectives.pi_model(network, unlabeled_weight=2.0)(params, batch, None)[1]
    assert float(quiet["unsupervised_loss"]) == 0
    check_grads(lambda params: objective(params, batch, key)[0], (params,), 1, ["rev"])


def test_the_teacher_is_the_average_of_a_loop_in_numpy(key):
    network = jn.mlp([4, 3], dropout=0.0)
    objective = objectives.mean_teacher(network, unlabeled_weight=1.0, decay=0.8)
    learner = jn.gradient_learner(network.init, objective, optax.sgd(0.5))
    batch = jax.tree.map(
        lambda leaf: leaf.astype("f4") if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf,
        a_batch(),
    )
    state, step = learner.init(key), jax.jit(learner.step)
    before = np.asarray(state.params["dense_0"]["kernel"], np.float64)
    average = before
    for count in range(8):
        kernel = np.asarray(state.params["dense_0"]["kernel"], np.float64)
        decay = min(1 - 1 / (count + 1), 0.8)
        average = decay * average + (1 - decay) * kernel
        bias = decay * (0.0 if count == 0 else average_bias) if count else 0.0
        average_bias = bias + (1 - decay) * np.asarray(state.params["dense_0"]["bias"], float)
        student = softmax(logits(state.params["dense_0"], batch["unlabeled"]["x"]))
        teacher = softmax(np.asarray(batch["unlabeled"]["x"]) @ average + average_bias)
        state, metrics = step(state, batch)
        expected = ((student - teacher) ** 2).mean()
        np.testing.assert_allclose(metrics["unsupervised_loss"], expected, rtol=1e-3, atol=1e-8)
    evaluated = jn.evaluation_params(state)["dense_0"]
    np.testing.assert_allclose(evaluated["kernel"], average, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(evaluated["bias"], average_bias, rtol=1e-5, atol=1e-6)
    assert np.abs(average - np.asarray(state.params["dense_0"]["kernel"])).max() > 0.01


def test_what_is_evaluated_is_found_in_all_that_stands_around_it(key):
    """A schedule around a teacher around a network with state, a loss scale and an average."""
    network = jn.nn.batch_norm_mlp([4, 3])

    def build(weight):
        return objectives.mean_teacher(network, unlabeled_weight=weight)

    objective = jn.with_loss_scale(objectives.scheduled(build, optax.constant_schedule(1.0)))
    learner = jn.gradient_learner(network.init, objective, optax.sgd(0.1))
    state = learner.init(key)
    teacher = state.extra.extra.extra
    assert jn.evaluation_params(state) is teacher.params
    assert jn.training.evaluation_extra(state) is teacher.extra
    replaced = jn.training.replace_extra(state, "statistics")
    assert jn.training.evaluation_extra(replaced) == "statistics"
    assert jn.evaluation_params(replaced) is teacher.params
    averaged = jn.training.averaged_learner(learner, 0.5).init(key)
    assert jn.training.evaluation_extra(averaged).count == 0
    moved = averaged._replace(params=jax.tree.map(lambda leaf: leaf + 1, averaged.params))
    identical = jax.tree.map(
        lambda a, b: bool((a == b).all()), jn.evaluation_params(moved), averaged.params
    )
    assert all(jax.tree.leaves(identical))


def test_a_schedule_gives_each_step_its_number(key):
    def build(weight):
        return lambda params, batch, key: (weight * params["a"], {})

    objective = objectives.scheduled(build, optax.linear_schedule(0.0, 4.0, 4))
    learner = jn.gradient_learner(lambda key: {"a": jnp.zeros(())}, objective, optax.sgd(1.0))
    state, seen = learner.init(key), []
    for _ in range(6):
        state, metrics = learner.step(state, {})
        seen.append(float(metrics["scheduled"]))
    assert seen == [0, 1, 2, 3, 4, 4]
    assert float(state.params["a"]) == -14
    step = np.array([0, 3, 10, 20])
    expected = 2 * np.exp(-5 * (1 - np.minimum(step / 10, 1)) ** 2)
    np.testing.assert_allclose(objectives.ramp_up(10, 2.0)(step), expected, rtol=1e-6)


@pytest.fixture
def curved():
    """A network with curvature, its parameters, and examples, in float64."""
    network = jn.mlp([4, 6, 3], activation=jnp.tanh)
    generator = np.random.default_rng(3)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape)), shapes)
    return network, params, jnp.asarray(generator.normal(size=(3, 4)))


def hessian(network, params, x):
    """Second derivative of the divergence at a change of 0, from its definition."""
    p = jax.nn.softmax(network.apply(params, x))

    def divergence(change):
        q = jax.nn.softmax(network.apply(params, x + change))
        return jnp.sum(p * (jnp.log(p) - jnp.log(q)))

    return np.asarray(jax.hessian(divergence)(jnp.zeros_like(x)))


def test_the_adversarial_direction_is_the_first_eigenvector(x64, key, curved):
    network, params, x = curved

    def direction(num_power_iterations):
        forward = lambda x: network.apply(params, x)  # noqa: E731
        return adversarial_direction(forward, x, key, num_power_iterations=num_power_iterations)[0]

    first, many = np.asarray(direction(1)), np.asarray(direction(300))
    for index in range(len(x)):
        matrix = hessian(network, params, x[index])
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

    exact = direction(None)
    errors = np.array([float(jnp.abs(direction(xi) - exact).max()) for xi in (1e-2, 1e-4, 1e-6)])
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
    (found,) = adversarial_direction(
        lambda x: network.apply(params, x), batch["unlabeled"]["x"], None, difference=0.8
    )
    np.testing.assert_allclose(found, direction, rtol=1e-9)
    q = softmax(logits(params, x + 0.7 * direction))
    objective = objectives.virtual_adversarial(network, radius=0.7, difference=0.8)
    value = objective(params, batch, None)[1]["unsupervised_loss"]
    np.testing.assert_allclose(value, scipy.special.rel_entr(p, q).sum(axis=1).mean(), rtol=1e-9)
    exact = objectives.virtual_adversarial(network, radius=0.7)
    assert abs(float(exact(params, batch, None)[1]["unsupervised_loss"] - value)) > 1e-4


def test_directions_have_norm_one_over_all_inputs_and_tiny_numbers_do_not_vanish(x64, key):
    x = {"a": jnp.ones((2, 3)), "tokens": jnp.zeros((2, 5), int), "b": jnp.ones((2, 2, 2))}

    def outputs(x):
        total = 1e-140 * (x["a"].sum(axis=1) + x["b"][:, 1].sum(axis=1))
        return jnp.stack([total, jnp.zeros(2)], axis=1)

    first, second = adversarial_direction(outputs, x, key)
    expected = np.array([0.0, 0.0, 1.0, 1.0]).reshape(2, 2) / np.sqrt(5)
    np.testing.assert_allclose(np.abs(first), np.full((2, 3), 1 / np.sqrt(5)), rtol=1e-9)
    np.testing.assert_allclose(np.abs(second), np.stack([expected] * 2), rtol=1e-9)
    # Where nothing changes the prediction, the first direction stays.
    (constant,) = adversarial_direction(lambda x: 0 * x, jnp.ones((2, 3)), key)
    np.testing.assert_allclose(np.linalg.norm(constant, axis=1), 1)


def test_divergences_are_those_of_scipy(x64):
    first, second = GENERATOR.normal(size=(2, 5, 4))
    expected = scipy.special.rel_entr(softmax(first), softmax(second)).sum(axis=1)
    np.testing.assert_allclose(divergence(jnp.asarray(first), jnp.asarray(second)), expected)


def test_virtual_adversarial_training_of_two_classes_is_known(x64, key):
    """With two classes and a linear network the direction is that of the difference of columns."""
    network, params = linear(4, num_classes=2)
    batch = a_batch(num_classes=2, num_unlabeled=1, seed=4)
    difference = np.asarray(params["kernel"] @ jnp.array([1.0, -1.0]))
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

    value, gradient = jax.value_and_grad(unsupervised)(params)
    np.testing.assert_allclose(entropy(params), scipy.stats.entropy(p[0]), rtol=1e-12)
    candidates = [float(loss(params, sign) + 0.2 * entropy(params)) for sign in (1, -1)]
    sign = (1, -1)[int(np.argmin(np.abs(np.array(candidates) - value)))]
    np.testing.assert_allclose(value, loss(params, sign) + 0.2 * entropy(params), rtol=1e-9)
    # The gradient is that with a fixed direction and a fixed first prediction.
    expected = jax.grad(lambda params: loss(params, sign) + 0.2 * entropy(params))(params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-10), gradient, expected
    )


def test_statistics_of_a_network_are_updated_once_by_the_unlabeled_examples(key):
    network = jn.nn.batch_norm_mlp([4, 3])
    params = network.init(key)
    extra = network.init_extra(params, key)
    batch = jax.tree.map(
        lambda leaf: leaf.astype("f4") if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf,
        a_batch(),
    )
    noise = jn.nn.Network(lambda key: {}, lambda params, x, *, key=None: x)
    expected = np.mean(batch["unlabeled"]["x"] @ params["layer_0"]["kernel"], axis=0)
    for objective in (
        objectives.virtual_adversarial(network, radius=0.5),
        objectives.pi_model(network, unlabeled_weight=1.0),
        objectives.pseudo_labels(network, unlabeled_weight=1.0),
        objectives.fixmatch(network, weak=noise, strong=noise, unlabeled_weight=1.0),
    ):
        _, (after, _) = objective.apply(params, extra, batch, key)
        assert int(after.count) == 1
        np.testing.assert_allclose(after.mean[0], expected, rtol=1e-5, atol=1e-6)


def test_mistakes_are_named(key, as_users_run):
    network, batch = jn.dense(4, 3), a_batch()
    params = network.init(key)
    objective = objectives.virtual_adversarial(network, radius=1.0)
    with pytest.raises(ValueError, match=r"no entry 'labeled', found 'x', 'y'; .*side_by_side"):
        objective(params, batch["labeled"], key)
    with pytest.raises(ValueError, match=r"'unlabeled' of the batch is a .*expected a dict"):
        objective(params, batch | {"unlabeled": batch["unlabeled"]["x"]}, key)
    tokens = batch | {"unlabeled": {"x": jnp.zeros((3, 4), int)}}
    with pytest.raises(ValueError, match="hold no floats"):
        objective(params, tokens, key)
    wide = batch["unlabeled"] | {"weight": jnp.ones((7, 2))}
    with pytest.raises(ValueError, match=r"weight has shape \(7, 2\) in 'unlabeled'"):
        objective(params, batch | {"unlabeled": wide}, key)
    with pytest.raises(TypeError, match="network is a function, expected a Network"):
        objectives.pi_model(jnp.tanh, unlabeled_weight=1.0)
    with pytest.raises(TypeError, match="strong is a int, expected a Network"):
        objectives.fixmatch(network, weak=network, strong=3, unlabeled_weight=1.0)
