import jax
import jax.numpy as jnp
import numpy as np
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
