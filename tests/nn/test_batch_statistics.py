"""Batch normalization against NumPy, in training and in evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn
from jaxnet.nn.batch_statistics import moments


def forward(params, x, statistics=None):
    """Outputs, and the mean and variance of each layer, in NumPy."""
    used = []
    for index, name in enumerate(sorted(params)):
        layer = {key: np.asarray(value, np.float64) for key, value in params[name].items()}
        z = x @ layer["kernel"]
        flat = z.reshape(-1, z.shape[-1])
        mean, variance = (flat.mean(0), flat.var(0)) if statistics is None else statistics[index]
        used.append((mean, variance))
        x = layer["scale"] * (z - mean) / np.sqrt(variance + 1e-6) + layer["bias"]
        x = np.maximum(x, 0) if index < len(params) - 1 else x
    return x, used


def random_params(network, key, generator):
    shapes = jax.eval_shape(network.init, key)
    return jax.tree.map(lambda leaf: generator.normal(size=leaf.shape).astype("f4"), shapes)


def test_training_and_evaluation_are_those_of_numpy(key):
    network, generator = jn.nn.batch_norm_mlp([4, 6, 5, 3], decay=0.7), np.random.default_rng(0)
    params = random_params(network, key, generator)
    extra = jax.jit(network.init_extra)(params, key)
    apply = jax.jit(network.apply)
    averages = None
    for count in range(1, 6):
        x = generator.normal(size=(7, 2, 4)).astype(np.float32)
        outputs, extra = apply(params, extra, x, key=key)
        expected, used = forward(params, x.astype(np.float64))
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
        # 14 examples: the average is of unbiased variances.
        used = [(mean, variance * 14 / 13) for mean, variance in used]
        weight = max(1 / count, 0.3)
        averages = used if averages is None else averages
        averages = [
            tuple((1 - weight) * old + weight * new for old, new in zip(before, after, strict=True))
            for before, after in zip(averages, used, strict=True)
        ]
    for index, (mean, variance) in enumerate(averages):
        np.testing.assert_allclose(extra.mean[index], mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(extra.variance[index], variance, rtol=1e-4)
    # In evaluation the state is given back as it is: `jit` would hide whether it is the same.
    same = []

    @jax.jit
    def evaluate(params, extra, x):
        outputs, after = network.apply(params, extra, x)
        same.append(after is extra)
        return outputs, network.evaluation.apply((params, extra), x)

    outputs, evaluated = evaluate(params, extra, x)
    assert same == [True]
    np.testing.assert_allclose(outputs, forward(params, x, averages)[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(outputs, evaluated)


def test_weighted_moments_are_those_of_repeated_examples():
    x, counts = np.random.default_rng(1).normal(size=(4, 3)), np.array([2, 0, 1, 3])
    mean, variance = jax.jit(moments)(x.astype("f4"), counts.astype("f4"))
    repeated = np.repeat(x, counts, axis=0)
    np.testing.assert_allclose(mean, repeated.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, repeated.var(0), rtol=1e-5)
    none = jax.jit(moments)(np.ones((4, 3), "f4"), np.zeros(4, "f4"))
    np.testing.assert_array_equal(none, [[0] * 3, [1] * 3])


def test_inputs_of_another_size_raise(key):
    network = jn.nn.batch_norm_mlp([4, 3])

    def apply(key):
        params = network.init(key)
        return network.apply(params, network.init_extra(params, key), jnp.ones((2, 5)))

    with pytest.raises(ValueError, match=r"shape \(2, 5\), expected 4"):
        jax.eval_shape(apply, key)
