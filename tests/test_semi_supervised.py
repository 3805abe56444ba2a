"""Objectives of labeled and unlabeled examples against NumPy, SciPy and the definitions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

import jaxnet as jn
from tests.few_labels import a_batch, cross_entropy, linear, logits, softmax

objectives = jn.objectives
GENERATOR = np.random.default_rng(0)


def test_pseudo_labels_count_where_the_network_is_confident(x64):
    network, params = linear()
    batch = a_batch()
    probabilities = softmax(logits(params, batch["unlabeled"]["x"]))
    largest = probabilities.max(axis=1)
    threshold = float(np.sort(largest)[3])
    expected = np.where(largest >= threshold - 1e-12, -np.log(largest), 0).mean()
    objective = objectives.pseudo_labels(network, threshold=threshold - 1e-12, unlabeled_weight=0.3)
    loss, metrics = jax.jit(objective)(params, batch, None)
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
    # No gradient goes to the targets: it is that of the cross-entropy with fixed labels.
    fixed = targets.argmax(axis=1)

    def with_fixed_labels(params):
        outputs = network.apply(params, 2 * batch["unlabeled"]["x"])
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(outputs, fixed)
        return jnp.where(counts, losses, 0).mean()

    def unsupervised(params):
        _, metrics = objective(params, batch, None)
        return metrics["unsupervised_loss"], metrics

    @jax.jit
    def compute(params):
        gradient, metrics = jax.grad(unsupervised, has_aux=True)(params)
        return metrics, gradient, jax.grad(with_fixed_labels)(params)

    metrics, gradient, expected_gradient = compute(params)
    expected = np.where(counts, -np.log(own), 0).mean()
    np.testing.assert_allclose(metrics["unsupervised_loss"], expected, rtol=1e-12)
    shifted = {"x": batch["labeled"]["x"] + 1, "y": batch["labeled"]["y"]}
    np.testing.assert_allclose(metrics["supervised_loss"], cross_entropy(params, shifted))
    np.testing.assert_allclose(metrics["confident"], counts.mean())
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12),
        gradient,
        expected_gradient,
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

    @jax.jit
    def compute(params):
        drawn.clear()
        loss, metrics = objective(params, batch, key)
        return loss, metrics, tuple(drawn)

    loss, metrics, draws = compute(params)
    of_labeled, first, second = map(np.asarray, draws)
    assert np.abs(first - second).max() > 0.1
    difference = softmax(logits(params, first)) - softmax(logits(params, second))
    expected = (difference**2).mean(axis=1).mean()
    np.testing.assert_allclose(metrics["unsupervised_loss"], expected, rtol=1e-12)
    supervised = cross_entropy(params, {"x": of_labeled, "y": batch["labeled"]["y"]})
    np.testing.assert_allclose(loss, supervised + 2 * expected, rtol=1e-12)
    # Without a key nothing is random.
    without_key = jax.jit(objectives.pi_model(network, unlabeled_weight=2.0))
    quiet = without_key(params, batch, None)[1]
    assert float(quiet["unsupervised_loss"]) == 0
    check_grads(lambda params: compute(params)[0], (params,), 1, ["rev"])


def test_the_teacher_is_the_average_of_a_loop_in_numpy(key):
    network = jn.mlp([4, 3], dropout=0.0)
    objective = objectives.mean_teacher(network, unlabeled_weight=1.0, decay=0.8)
    learner = jn.gradient_learner(network.init, objective, optax.sgd(0.5))
    batch = jax.tree.map(
        lambda leaf: leaf.astype("f4") if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf,
        a_batch(),
    )
    state, step = jax.jit(learner.init)(key), jax.jit(learner.step)
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
    state = jax.jit(learner.init)(key)
    teacher = state.extra.extra.extra
    assert jn.evaluation_params(state) is teacher.params
    assert jn.training.evaluation_extra(state) is teacher.extra
    replaced = jn.training.replace_extra(state, "statistics")
    assert jn.training.evaluation_extra(replaced) == "statistics"
    assert jn.evaluation_params(replaced) is teacher.params
    averaged = jax.jit(jn.training.averaged_learner(learner, 0.5).init)(key)
    assert jn.training.evaluation_extra(averaged).count == 0
    moved = averaged._replace(
        params=jax.tree.map(lambda leaf: np.asarray(leaf) + 1, averaged.params)
    )
    identical = jax.tree.map(np.array_equal, jn.evaluation_params(moved), averaged.params)
    assert all(jax.tree.leaves(identical))


def test_a_schedule_gives_each_step_its_number(key):
    def build(weight):
        return lambda params, batch, key: (weight * params["a"], {})

    objective = objectives.scheduled(build, optax.linear_schedule(0.0, 4.0, 4))
    learner = jn.gradient_learner(lambda key: {"a": jnp.zeros(())}, objective, optax.sgd(1.0))
    state, step, seen = jax.jit(learner.init)(key), jax.jit(learner.step), []
    for _ in range(6):
        state, metrics = step(state, {})
        seen.append(float(metrics["scheduled"]))
    assert seen == [0, 1, 2, 3, 4, 4]
    assert float(state.params["a"]) == -14
    step = np.array([0, 3, 10, 20])
    expected = 2 * np.exp(-5 * (1 - np.minimum(step / 10, 1)) ** 2)
    ramp = jax.jit(objectives.ramp_up(10, 2.0))
    np.testing.assert_allclose(ramp(step), expected, rtol=1e-6)


def test_statistics_of_a_network_are_updated_once_by_the_unlabeled_examples(key):
    network = jn.nn.batch_norm_mlp([4, 3])
    batch = jax.tree.map(
        lambda leaf: leaf.astype("f4") if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf,
        a_batch(),
    )
    noise = jn.nn.Network(lambda key: {}, lambda params, x, *, key=None: x)
    methods = (
        objectives.virtual_adversarial(network, radius=0.5),
        objectives.pi_model(network, unlabeled_weight=1.0),
        objectives.pseudo_labels(network, unlabeled_weight=1.0),
        objectives.fixmatch(network, weak=noise, strong=noise, unlabeled_weight=1.0),
    )

    @jax.jit
    def compute(key, batch):
        params = network.init(key)
        extra = network.init_extra(params, key)
        outcomes = [objective.apply(params, extra, batch, key) for objective in methods]
        return params, [after for _, (after, _) in outcomes]

    params, extras = compute(key, batch)
    kernel = np.asarray(params["layer_0"]["kernel"])
    expected = np.mean(batch["unlabeled"]["x"] @ kernel, axis=0)
    for after in extras:
        assert int(after.count) == 1
        np.testing.assert_allclose(after.mean[0], expected, rtol=1e-5, atol=1e-6)


def test_mistakes_are_named(key, as_users_run):
    network, batch = jn.dense(4, 3), a_batch()
    params = jax.eval_shape(network.init, key)
    objective = objectives.virtual_adversarial(network, radius=1.0)
    call = functools.partial(jax.eval_shape, objective)
    with pytest.raises(ValueError, match=r"no entry 'labeled', found 'x', 'y'; .*side_by_side"):
        call(params, batch["labeled"], key)
    with pytest.raises(ValueError, match=r"'unlabeled' of the batch is a .*expected a dict"):
        call(params, batch | {"unlabeled": batch["unlabeled"]["x"]}, key)
    tokens = batch | {"unlabeled": {"x": np.zeros((3, 4), int)}}
    with pytest.raises(ValueError, match="hold no floats"):
        call(params, tokens, key)
    wide = batch["unlabeled"] | {"weight": np.ones((7, 2))}
    with pytest.raises(ValueError, match=r"weight has shape \(7, 2\) in 'unlabeled'"):
        call(params, batch | {"unlabeled": wide}, key)
    with pytest.raises(TypeError, match="network is a function, expected a Network"):
        objectives.pi_model(jnp.tanh, unlabeled_weight=1.0)
    with pytest.raises(TypeError, match="strong is a int, expected a Network"):
        objectives.fixmatch(network, weak=network, strong=3, unlabeled_weight=1.0)
