import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from sklearn import metrics

import jaxnet as jn


@pytest.fixture
def batch(key):
    x = jax.random.normal(key, (8, 4))
    return {"x": x, "y": jnp.arange(8) % 3}


def objectives(network, binary, batch):
    two = batch | {"y": (batch["y"] > 0).astype(int)}
    numbers = batch | {"y": batch["x"][:, 0] ** 2}
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
    x = jax.random.normal(key, (8, 4))
    for objective, net, batch in objectives(network, binary, {"x": x, "y": jnp.arange(8) % 3}):
        params = jax.tree.map(lambda leaf: leaf.astype(float), net.init(key))

        @jax.jit
        def loss(params, objective=objective, batch=batch):
            # check_grads hands over NumPy arrays.
            return objective(jax.tree.map(jnp.asarray, params), batch, None)[0]

        check_grads(loss, (params,), order=1, modes=["rev"], eps=1e-6, atol=1e-6, rtol=1e-6)


def test_losses_equal_scikit_learn(key, batch):
    network, binary = jn.mlp([4, 3]), jn.mlp([4, 1])
    params = network.init(key)
    loss, found = jn.classification(network)(params, batch, None)
    logits = network.apply(params, batch["x"])
    probabilities = np.asarray(jax.nn.softmax(logits), np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert float(loss) == pytest.approx(metrics.log_loss(batch["y"], probabilities), rel=1e-5)
    assert float(found["accuracy"]) == pytest.approx(
        metrics.accuracy_score(batch["y"], logits.argmax(axis=1))
    )
    params, two = binary.init(key), batch | {"y": (batch["y"] > 0).astype(int)}
    loss, found = jn.binary_classification(binary)(params, two, None)
    probability = np.asarray(jax.nn.sigmoid(binary.apply(params, batch["x"])[:, 0]), np.float64)
    assert float(loss) == pytest.approx(metrics.log_loss(two["y"], probability), rel=1e-5)
    assert float(found["accuracy"]) == pytest.approx(
        metrics.accuracy_score(two["y"], probability > 0.5)
    )
    numbers = batch | {"y": jnp.arange(8.0)}
    loss, found = jn.regression(binary)(params, numbers, None)
    expected = metrics.mean_squared_error(numbers["y"], binary.apply(params, batch["x"]))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_weight_zero_masks_an_example(key, batch):
    network, binary = jn.mlp([4, 3]), jn.mlp([4, 1])
    for objective, net, data in objectives(network, binary, batch):
        params = net.init(key)
        expected = objective(params, jax.tree.map(lambda leaf: leaf[:5], data), None)
        weight = jnp.arange(8) < 5
        garbage = jax.tree.map(lambda leaf: leaf.at[5:].set(leaf[0] * 0 - 1), data)
        found = objective(params, garbage | {"weight": weight.astype(float)}, None)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)


def test_label_smoothing_may_be_traced(key, batch):
    network = jn.mlp([4, 3])
    params = network.init(key)

    def loss(smoothing):
        return jn.classification(network, label_smoothing=smoothing)(params, batch, None)[0]

    expected = [jn.classification(network)(params, batch, None)[0], loss(0.2)]
    np.testing.assert_allclose(jax.vmap(loss)(jnp.array([0.0, 0.2])), expected, rtol=1e-5)


def test_penalties_select_kernels_or_what_one_says(key, batch):
    network = jn.mlp([4, 5, 1])
    params = jax.tree.map(lambda leaf: leaf + 1, network.init(key))
    data = batch | {"y": jnp.arange(8.0)}
    plain = jn.regression(network)(params, data, None)[0]
    kernels = [params[name]["kernel"] for name in params]
    penalized = jn.with_l2(jn.regression(network), 0.1)(params, data, None)[0]
    expected = plain + 0.1 * sum(float((kernel**2).sum()) for kernel in kernels) / 2
    assert float(penalized) == pytest.approx(float(expected), rel=1e-5)
    everything = jn.with_l1(jn.regression(network), 0.1, where=lambda path, leaf: True)
    expected = plain + 0.1 * sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(params))
    assert float(everything(params, data, None)[0]) == pytest.approx(float(expected), rel=1e-5)


def test_errors_name_the_argument(key, batch):
    network = jn.mlp([4, 3])
    params = network.init(key)
    with pytest.raises(ValueError, match=r"targets y have shape \(8,\), expected \(8, 3\)"):
        jn.regression(network)(params, batch, None)
    with pytest.raises(ValueError, match=r"outputs have shape \(8, 3\)"):
        jn.binary_classification(network)(params, batch, None)
    with pytest.raises(ValueError, match="strength must not be negative, found -1"):
        jn.with_l2(jn.regression(network), -1.0)
    nothing = jn.with_l2(jn.classification(network), 1.0, where=lambda path, leaf: False)
    with pytest.raises(ValueError, match="no parameter is selected"):
        nothing(params, batch, None)


def test_weights_may_be_those_of_elements(x64, key):
    network = jn.chain(jn.dense(4, 3))
    x = jax.random.normal(key, (5, 7, 4)).astype(float)
    params = jax.tree.map(lambda leaf: leaf.astype(float), network.init(key))
    y = jax.random.randint(jax.random.key(1), (5, 7), 0, 3)
    targets = jax.random.normal(jax.random.key(2), (5, 3)).astype(float)
    losses = -np.take_along_axis(
        np.asarray(jax.nn.log_softmax(network.apply(params, x))), np.asarray(y)[..., None], axis=2
    )[..., 0]
    weight = np.random.default_rng(0).integers(0, 3, (5, 7)).astype(float)
    for chosen in (weight, weight[:, 0] + 1):
        batch = {"x": x, "y": y, "weight": jnp.asarray(chosen)}
        loss, _ = jn.classification(network)(params, batch, None)
        spread = chosen if chosen.ndim == 2 else np.repeat(chosen[:, None], 7, axis=1)
        np.testing.assert_allclose(loss, np.average(losses, weights=spread), rtol=1e-6)
    outputs = np.asarray(network.apply(params, x[:, 0]))
    per_output = np.array([[1.0, 0.0, 2.0]] * 5)
    batch = {"x": x[:, 0], "y": targets, "weight": jnp.asarray(per_output)}
    loss, _ = jn.regression(network)(params, batch, None)
    expected = np.average((outputs - targets) ** 2, weights=per_output)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"weight has shape \(4,\), expected 5 examples"):
        jn.regression(network)(params, batch | {"weight": jnp.ones(4)}, None)
    with pytest.raises(ValueError, match=r"weight has shape \(5, 2\), expected that of"):
        jn.regression(network)(params, batch | {"weight": jnp.ones((5, 2))}, None)


def test_a_masked_example_changes_no_gradient(key, batch):
    network, binary = jn.mlp([4, 3]), jn.mlp([4, 1])
    weight = (jnp.arange(8) < 5).astype(float)
    for objective, net, data in objectives(network, binary, batch):
        params = net.init(key)
        gradient = jax.grad(lambda p, b, o=objective: o(p, b, None)[0])
        garbage = {"x": data["x"].at[5:].set(jnp.nan), "y": data["y"], "weight": weight}
        few = jax.tree.map(lambda leaf: leaf[:5], data)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
            gradient(params, garbage),
            gradient(params, few),
        )
        loss, _ = objective(params, garbage | {"weight": jnp.zeros(8)}, None)
        assert jnp.isfinite(loss)


def test_inputs_and_targets_may_be_pytrees(key):
    def init(key):
        return {"left": jn.dense(3, 2).init(key), "right": jn.dense(1, 2).init(key)}

    def apply(params, x, *, key=None):
        left = jn.dense(3, 2).apply(params["left"], x["wide"])
        return {"sum": left + jn.dense(1, 2).apply(params["right"], x["narrow"][..., None])}

    network = jn.Network(init, apply)

    def squared(outputs, targets):
        return (outputs["sum"] - targets["sum"]) ** 2, {}

    x = {"wide": jax.random.normal(key, (40, 3)), "narrow": jnp.arange(40.0) / 40}
    data = {"x": x, "y": {"sum": jnp.stack([x["wide"][:, 0], x["narrow"]], axis=1)}}
    jn.check_data(x, data["y"])
    learner = jn.gradient_learner(init, jn.objectives.supervised(network, squared), optax.adam(0.1))
    state, history = jn.fit(learner, key, data, batch_size=20, num_epochs=60)
    assert history["loss"][-1] < 0.01 * history["loss"][0]
    outputs = jn.predict(network.apply, state.params, x, batch_size=16)
    np.testing.assert_allclose(outputs["sum"], apply(state.params, x)["sum"], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"predict: all arrays .* found shapes .*39"):
        jn.predict(network.apply, state.params, x | {"narrow": x["narrow"][:39]})
    with pytest.raises(ValueError, match="x/wide holds 40 examples and x/narrow 39"):
        jn.check_data(x | {"narrow": x["narrow"][:39]})
    with pytest.raises(ValueError, match="x/narrow: row 2 holds nan"):
        jn.check_data(x | {"narrow": x["narrow"].at[2].set(jnp.nan)})


def test_transformations_keep_the_kind_of_an_objective(key, batch):
    network = jn.mlp([4, 1])
    plain = jn.regression(network)
    data = {"x": batch["x"], "y": batch["x"][:, 0]}

    def apply(params, count, batch, key):
        loss, metrics = plain(params, batch, key)
        return loss, (count + 1, metrics)

    stateful = jn.StatefulObjective(lambda params, key: jnp.zeros((), jnp.int32), apply)
    params, noise = network.init(key), jn.nn.masking_noise(0.5)
    for transform in (
        lambda objective: jn.with_l2(objective, 0.3),
        lambda objective: jn.with_l1(objective, 0.3),
        lambda objective: jn.with_noise(objective, noise),
        lambda objective: jn.with_augmentation(objective, noise),
    ):
        loss, metrics = transform(plain)(params, data, key)
        transformed = transform(stateful)
        assert isinstance(transformed, jn.StatefulObjective)
        other, (count, same) = transformed.apply(params, transformed.init(params, key), data, key)
        assert count == 1 and float(loss) == float(other) and sorted(metrics) == sorted(same)
    learner = jn.gradient_learner(network.init, jn.with_l2(stateful, 0.1), optax.sgd(0.1))
    state, _ = jn.fit(learner, key, data, batch_size=4, num_epochs=3)
    assert state.extra == 6
