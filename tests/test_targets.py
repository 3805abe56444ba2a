"""Targets and weights of objectives: which shapes and kinds they may have, and what they mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from sklearn import metrics

import jaxnet as jn
from tests.labelled_batch import examples, two_classes


@pytest.fixture
def batch():
    return examples()


def test_weights_may_be_those_of_elements(x64, key):
    network = jn.chain(jn.dense(4, 3))
    random = np.random.default_rng(0)
    x, targets = (jax.device_put(random.normal(size=shape)) for shape in ((5, 7, 4), (5, 3)))
    shapes = jax.eval_shape(network.init, key)
    params = jax.tree.map(lambda leaf: jax.device_put(random.normal(size=leaf.shape)), shapes)
    y = jax.device_put(random.integers(0, 3, (5, 7)))
    apply = jax.jit(network.apply)
    losses = -np.take_along_axis(
        special.log_softmax(np.asarray(apply(params, x)), axis=-1), np.asarray(y)[..., None], axis=2
    )[..., 0]
    weight = random.integers(0, 3, (5, 7)).astype(float)
    for chosen in (weight, weight[:, 0] + 1):
        batch = {"x": x, "y": y, "weight": chosen}
        loss, _ = jax.jit(jn.classification(network))(params, batch, None)
        spread = chosen if chosen.ndim == 2 else np.repeat(chosen[:, None], 7, axis=1)
        np.testing.assert_allclose(loss, np.average(losses, weights=spread), rtol=1e-6)
    outputs = np.asarray(apply(params, x))[:, 0]
    per_output = np.array([[1.0, 0.0, 2.0]] * 5)
    batch = {"x": np.asarray(x)[:, 0], "y": targets, "weight": per_output}
    loss, _ = jax.jit(jn.regression(network))(params, batch, None)
    expected = np.average((outputs - targets) ** 2, weights=per_output)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"weight has shape \(4,\), expected 5 examples"):
        jax.eval_shape(jn.regression(network), params, batch | {"weight": np.ones(4)}, None)
    with pytest.raises(ValueError, match=r"weight has shape \(5, 2\), expected that of"):
        jax.eval_shape(jn.regression(network), params, batch | {"weight": np.ones((5, 2))}, None)


def test_targets_of_weight_zero_may_be_missing(key, batch):
    """Labels that are not known, numbers that were not measured: NaN, masked one by one."""
    network = jn.mlp([4, 3])
    params = jax.jit(network.init)(key)
    random = np.random.default_rng(0)
    known = random.random((8, 3)) < 0.6
    targets = (random.normal(size=(8, 3)) > 0).astype(np.float32)
    for objective in (jn.regression(network), jn.multilabel_classification(network)):
        gradient = jax.jit(jax.value_and_grad(lambda p, b, o=objective: o(p, b, None)[0]))
        data = {"x": batch["x"], "weight": known.astype(np.float32)}
        jax.tree.map(
            np.testing.assert_array_equal,
            gradient(params, data | {"y": np.where(known, targets, np.float32(np.nan))}),
            gradient(params, data | {"y": targets}),
        )


def test_targets_may_be_distributions_over_the_classes(key, batch):
    network = jn.mlp([4, 3])
    params, one_hot = jax.jit(network.init)(key), np.eye(3, dtype=np.float32)[batch["y"]]
    objective = jax.jit(jn.classification(network))
    for each in (objective, jax.jit(jn.classification(network, label_smoothing=0.2))):
        expected = each(params, batch, None)
        found = each(params, batch | {"y": one_hot}, None)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)
    normal = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    soft = special.softmax(normal, axis=1)
    loss, found = objective(params, batch | {"y": soft}, None)
    logits = jax.jit(network.apply)(params, batch["x"])
    expected = -(soft * special.log_softmax(logits, axis=1)).sum(axis=1).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    expected = (np.argmax(logits, axis=1) == np.argmax(soft, axis=1)).mean()
    assert float(found["accuracy"]) == pytest.approx(expected)


def test_labels_that_do_not_exclude_each_other_equal_scikit_learn(key, batch):
    network = jn.mlp([4, 3])
    params = jax.jit(network.init)(key)
    y = (np.random.default_rng(3).normal(size=(8, 3)) > 0).astype(np.int32)
    objective = jax.jit(jn.multilabel_classification(network))
    loss, found = objective(params, batch | {"y": y}, None)
    logits = np.asarray(jax.jit(network.apply)(params, batch["x"]), np.float64)
    probabilities = special.expit(logits)
    columns = [metrics.log_loss(y[:, j], probabilities[:, j], labels=[0, 1]) for j in range(3)]
    assert float(loss) == pytest.approx(np.mean(columns), rel=1e-5)
    expected = 1 - metrics.hamming_loss(y, probabilities > 0.5)
    assert float(found["accuracy"]) == pytest.approx(expected)


def test_a_column_of_targets_is_the_same_as_a_vector(key, batch):
    network = jn.mlp([4, 1])
    params, y = jax.jit(network.init)(key), two_classes(batch)
    for objective in map(jax.jit, (jn.binary_classification(network), jn.regression(network))):
        expected = objective(params, batch | {"y": y}, None)
        for labels in (y[:, None], y.astype(np.float32), (y > 0)[:, None]):
            found = objective(params, batch | {"y": labels}, None)
            jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize(
    ("outputs", "y", "message"),
    [
        ((8, 3), jnp.zeros((8, 1), int), r"y has shape \(8, 1\) .* use y\[:, 0\]"),
        ((8, 3), jnp.zeros(8), r"dtype float32, expected integer labels.*y.astype\(int\)"),
        ((8, 3), jnp.zeros((8, 3), int), r"y.astype\(float\), .*multilabel_classification"),
        ((8, 3), jnp.zeros((8, 2)), r"y has shape \(8, 2\).*of shape \(8, 3\)"),
        ((8, 1), jnp.zeros(8, int), r"shape \(8, 1\), expected the logits of at least two"),
        ((8,), jnp.zeros(8, int), r"shape \(8,\), expected the logits of at least two"),
    ],
)
def test_wrong_labels_raise_with_both_shapes(outputs, y, message):
    network = jn.Network(lambda key: {}, lambda params, x, *, key=None: jnp.zeros(outputs))
    for smoothing in (0.0, 0.1):
        with pytest.raises(ValueError, match=message):
            jn.classification(network, label_smoothing=smoothing)(
                {}, {"x": jnp.zeros((8, 2)), "y": y}, None
            )


def test_shapes_that_would_broadcast_raise(key, as_users_run):
    network = jn.Network(lambda key: {}, lambda params, x, *, key=None: x)
    x = np.ones((4, 3, 2))
    for y in (np.ones((4, 2, 3)), np.ones((4, 6)), np.ones(4), np.ones((1, 3, 2))):
        with pytest.raises(ValueError, match=r"targets y have shape .*expected \(4, 3, 2\)"):
            jn.regression(network)({}, {"x": x, "y": y}, None)

    def difference(outputs, targets):
        return jnp.abs(outputs[:, 0] - targets), {}

    objective = jn.supervised(network, difference)
    batch = {"x": np.ones((4, 2)), "y": np.ones((4, 1))}
    with pytest.raises(ValueError, match=r"losses have shape \(4, 4\), expected leading axes"):
        objective({}, batch, None)
    with pytest.raises(TypeError, match="supervised: network is a function, expected a Network"):
        jn.regression(lambda params, x: x)
