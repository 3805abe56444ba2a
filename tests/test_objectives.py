"""Objectives: losses, penalties, weights of examples, and what transforms them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from scipy import special
from sklearn import metrics

import jaxnet as jn
from tests.labelled_batch import examples, two_classes


@pytest.fixture
def batch():
    return examples()


def objectives(network, binary, batch):
    two = batch | {"y": jax.device_put(two_classes(batch))}
    numbers = batch | {"y": jax.device_put(np.asarray(batch["x"])[:, 0] ** 2)}
    return [
        (jn.classification(network), network, batch),
        (jn.classification(network, label_smoothing=0.1), network, batch),
        (jn.binary_classification(binary), binary, two),
        (jn.regression(binary), binary, numbers),
        (jn.with_l2(jn.regression(binary), 0.3), binary, numbers),
        (jn.with_l1(jn.regression(binary), 0.3), binary, numbers),
    ]


def test_gradients_equal_finite_differences(x64, key):
    network = jn.mlp([4, 5, 3], activation=jnp.tanh)
    binary = jn.mlp([4, 5, 1], activation=jnp.tanh)
    cases = objectives(network, binary, examples())
    random = np.random.default_rng(0)
    params = [
        jax.tree.map(lambda leaf: random.normal(size=leaf.shape), jax.eval_shape(net.init, key))
        for _, net, _ in cases
    ]

    @jax.jit
    def losses(params):
        # check_grads hands over NumPy arrays.
        params = jax.tree.map(jnp.asarray, params)
        of_each = zip(cases, params, strict=True)
        return [objective(own, batch, None)[0] for (objective, _, batch), own in of_each]

    check_grads(losses, (params,), order=1, modes=["rev"], eps=1e-6, atol=1e-6, rtol=1e-6)


def test_losses_equal_scikit_learn(key, batch):
    network, binary = jn.mlp([4, 3]), jn.mlp([4, 1])
    params = jax.jit(network.init)(key)
    loss, found = jax.jit(jn.classification(network))(params, batch, None)
    logits = np.asarray(jax.jit(network.apply)(params, batch["x"]), np.float64)
    probabilities = special.softmax(logits, axis=1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert float(loss) == pytest.approx(metrics.log_loss(batch["y"], probabilities), rel=1e-5)
    assert float(found["accuracy"]) == pytest.approx(
        metrics.accuracy_score(batch["y"], logits.argmax(axis=1))
    )
    params, two = jax.jit(binary.init)(key), batch | {"y": two_classes(batch)}
    loss, found = jax.jit(jn.binary_classification(binary))(params, two, None)
    outputs = np.asarray(jax.jit(binary.apply)(params, batch["x"]), np.float64)
    probability = special.expit(outputs[:, 0])
    assert float(loss) == pytest.approx(metrics.log_loss(two["y"], probability), rel=1e-5)
    assert float(found["accuracy"]) == pytest.approx(
        metrics.accuracy_score(two["y"], probability > 0.5)
    )
    numbers = batch | {"y": np.arange(8, dtype=np.float32)}
    loss, found = jax.jit(jn.regression(binary))(params, numbers, None)
    expected = metrics.mean_squared_error(numbers["y"], outputs)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_weight_zero_leaves_the_other_examples(key, batch):
    network, binary = jn.mlp([4, 3]), jn.mlp([4, 1])
    cases = objectives(network, binary, batch)

    @jax.jit
    def both(key, datas):
        pairs = []
        for (objective, net, _), data in zip(cases, datas, strict=True):
            params = net.init(key)
            expected = objective(params, jax.tree.map(lambda leaf: leaf[:5], data), None)
            garbage = jax.tree.map(lambda leaf: leaf.at[5:].set(leaf[0] * 0 - 1), data)
            weight = (jnp.arange(8) < 5).astype(float)
            pairs.append((objective(params, garbage | {"weight": weight}, None), expected))
        return pairs

    for found, expected in both(key, [data for *_, data in cases]):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)


def test_label_smoothing_may_be_traced(key, batch):
    network = jn.mlp([4, 3])

    @jax.jit
    def compute(key, smoothings):
        params = network.init(key)

        def loss(smoothing):
            return jn.classification(network, label_smoothing=smoothing)(params, batch, None)[0]

        plain = jn.classification(network)(params, batch, None)[0]
        return jax.vmap(loss)(smoothings), jnp.stack([plain, loss(0.2)])

    found, expected = compute(key, np.array([0.0, 0.2], np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_penalties_select_kernels_or_what_one_says(key, batch):
    network = jn.mlp([4, 5, 1])
    params = jax.tree.map(lambda leaf: np.asarray(leaf) + 1, jax.jit(network.init)(key))
    data = batch | {"y": np.arange(8, dtype=np.float32)}
    regression = jn.regression(network)
    everything = jn.with_l1(regression, 0.1, where=lambda path, leaf: True)

    @jax.jit
    def losses(params, data):
        each = (regression, jn.with_l2(regression, 0.1), everything)
        return [objective(params, data, None)[0] for objective in each]

    plain, of_kernels, of_everything = map(float, losses(params, data))
    kernels = [params[name]["kernel"] for name in params]
    expected = plain + 0.1 * sum(float((kernel**2).sum()) for kernel in kernels) / 2
    assert of_kernels == pytest.approx(expected, rel=1e-5)
    expected = plain + 0.1 * sum(float(np.abs(leaf).sum()) for leaf in jax.tree.leaves(params))
    assert of_everything == pytest.approx(expected, rel=1e-5)


def test_errors_name_the_argument(key, batch):
    network = jn.mlp([4, 3])
    params = jax.eval_shape(network.init, key)
    with pytest.raises(ValueError, match=r"targets y have shape \(8,\), expected \(8, 3\)"):
        jax.eval_shape(jn.regression(network), params, batch, None)
    with pytest.raises(ValueError, match=r"outputs have shape \(8, 3\)"):
        jax.eval_shape(jn.binary_classification(network), params, batch, None)
    with pytest.raises(ValueError, match="strength must not be negative, found -1"):
        jn.with_l2(jn.regression(network), -1.0)
    nothing = jn.with_l2(jn.classification(network), 1.0, where=lambda path, leaf: False)
    with pytest.raises(ValueError, match="no parameter is selected"):
        jax.eval_shape(nothing, params, batch, None)


def test_weights_scale_the_gradients_of_examples(key, batch):
    """With differential privacy the mean is over clipped gradients, here far below the limit."""
    network = jn.mlp([4, 3])
    private = optax.contrib.differentially_private_aggregate(1e6, 0.0, jax.random.key(0))
    optimizer = optax.chain(private, optax.sgd(1.0))
    learner = jn.gradient_learner(network.init, jn.classification(network), optimizer)
    state = jax.jit(learner.init)(key)
    weight = np.array([0.0, 1.0, 2.0, 0.5, 0.0, 1.0, 1.0, 3.0], np.float32)
    x = np.array(batch["x"])
    x[0] = np.nan
    new, _ = jax.jit(learner.step)(state, batch | {"x": x, "weight": weight})

    def loss(params):
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(
            network.apply(params, batch["x"]), batch["y"]
        )
        return (weight * losses).mean()

    gradient = jax.jit(jax.grad(loss))(state.params)
    jax.tree.map(
        lambda after, before, grad: np.testing.assert_allclose(
            after, np.subtract(before, grad), atol=1e-6
        ),
        new.params,
        state.params,
        gradient,
    )


def test_inputs_and_targets_may_be_pytrees(key):
    def init(key):
        return {"left": jn.dense(3, 2).init(key), "right": jn.dense(1, 2).init(key)}

    def apply(params, x, *, key=None):
        left = jn.dense(3, 2).apply(params["left"], x["wide"])
        return {"sum": left + jn.dense(1, 2).apply(params["right"], x["narrow"][..., None])}

    network = jn.Network(init, apply)

    def squared(outputs, targets):
        return (outputs["sum"] - targets["sum"]) ** 2, {}

    wide = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    narrow = np.arange(40, dtype=np.float32) / 40
    x = {"wide": jax.device_put(wide), "narrow": jax.device_put(narrow)}
    data = {"x": x, "y": {"sum": jax.device_put(np.stack([wide[:, 0], narrow], axis=1))}}
    jn.check_data(x, data["y"])
    learner = jn.gradient_learner(init, jn.objectives.supervised(network, squared), optax.adam(0.1))
    fit = jax.jit(lambda key, data: jn.fit(learner, key, data, batch_size=20, num_epochs=60))
    state, history = jax.device_get(fit(key, data))
    assert history["loss"][-1] < 0.01 * history["loss"][0]
    outputs = jn.predict(network.apply, state.params, x, batch_size=16)
    expected = jax.jit(apply)(state.params, x)["sum"]
    np.testing.assert_allclose(outputs["sum"], expected, rtol=1e-5, atol=1e-6)
    short = x | {"narrow": jax.device_put(narrow[:39])}
    missing = x | {"narrow": jax.device_put(np.where(np.arange(40) == 2, np.nan, narrow))}
    with pytest.raises(ValueError, match=r"predict: all arrays .* found shapes .*39"):
        jn.predict(network.apply, state.params, short)
    with pytest.raises(ValueError, match="x/wide holds 40 examples and x/narrow 39"):
        jn.check_data(short)
    with pytest.raises(ValueError, match="x/narrow: row 2 holds nan"):
        jn.check_data(missing)


def test_transformations_keep_the_kind_of_an_objective(key, batch):
    network = jn.mlp([4, 1])
    plain = jn.regression(network)
    data = batch | {"y": jax.device_put(np.asarray(batch["x"])[:, 0])}

    def apply(params, count, batch, key):
        loss, metrics = plain(params, batch, key)
        return loss, (count + 1, metrics)

    stateful = jn.StatefulObjective(lambda params, key: jnp.zeros((), jnp.int32), apply)
    params, noise = jax.jit(network.init)(key), jn.nn.masking_noise(0.5)
    transforms = (
        lambda objective: jn.with_l2(objective, 0.3),
        lambda objective: jn.with_l1(objective, 0.3),
        lambda objective: jn.with_noise(objective, noise),
        lambda objective: jn.with_augmentation(objective, noise),
    )
    transformed = [transform(stateful) for transform in transforms]
    assert all(isinstance(objective, jn.StatefulObjective) for objective in transformed)

    @jax.jit
    def outcomes(params, data, key):
        first = [transform(plain)(params, data, key) for transform in transforms]
        second = [
            objective.apply(params, objective.init(params, key), data, key)
            for objective in transformed
        ]
        return list(zip(first, second, strict=True))

    for (loss, found), (other, (count, same)) in outcomes(params, data, key):
        assert count == 1 and float(loss) == float(other) and sorted(found) == sorted(same)
    learner = jn.gradient_learner(network.init, jn.with_l2(stateful, 0.1), optax.sgd(0.1))
    fit = jax.jit(lambda key, data: jn.fit(learner, key, data, batch_size=4, num_epochs=3))
    assert fit(key, data)[0].extra == 6
