"""Layers against those of Flax, on the same parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import jaxnet as jn

IMAGES = (3, 9, 8, 2)


@pytest.mark.parametrize(
    ("layer", "module", "shape"),
    [
        (jn.dense(5, 4), linen.Dense(4), (3, 5)),
        (jn.layer_norm(5), linen.LayerNorm(), (3, 5)),
        (jn.conv(2, 4, (3, 2)), linen.Conv(4, (3, 2)), IMAGES),
        (
            jn.conv(2, 4, (3, 3), strides=(2, 2), padding="VALID"),
            linen.Conv(4, (3, 3), strides=(2, 2), padding="VALID"),
            IMAGES,
        ),
    ],
)
def test_layer_equals_flax(layer, module, shape, key):
    random, shapes = np.random.default_rng(0), jax.eval_shape(layer.init, key)
    x = random.normal(size=shape).astype(np.float32)
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(leaf.dtype), shapes)
    assert shapes == jax.eval_shape(module.init, key, x)["params"]
    ours, theirs = jax.jit(
        lambda params, x: (layer.apply(params, x), module.apply({"params": params}, x))
    )(params, x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize("window", [(2, 2), (3, 2)])
def test_pools_equal_flax(padding, window):
    options = {"strides": window, "padding": padding}

    @jax.jit
    def pools(x):
        largest = jn.max_pool(window, padding=padding).apply({}, x)
        means = jn.mean_pool(window, padding=padding).apply({}, x)
        theirs = linen.avg_pool(x, window, count_include_pad=False, **options)
        return (largest, linen.max_pool(x, window, **options)), (means, theirs)

    x = np.random.default_rng(0).normal(size=IMAGES).astype(np.float32)
    largest, means = pools(x)
    np.testing.assert_array_equal(*largest)
    np.testing.assert_allclose(*means, rtol=1e-5, atol=1e-6)


def test_dropout_keeps_the_mean_and_takes_a_traced_rate(key):
    def dropped(rate):
        return jn.dropout(rate).apply({}, jnp.ones(20_000), key=key)

    rates = np.array([0.2, 0.7], np.float32)
    for rate, values in zip(rates, np.asarray(jax.jit(jax.vmap(dropped))(rates)), strict=True):
        assert abs(float((values == 0).mean()) - rate) < 0.02
        assert abs(float(values.mean()) - 1) < 0.05


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: jn.dense(0, 2), "in_dim must be at least 1, found 0"),
        (lambda: jn.dropout(1.0), r"rate must lie in \[0, 1\), found 1.0"),
        (lambda: jn.conv(1, 1, (3, 3, 3)), "kernel_size must be an integer, a height and a width"),
        (lambda: jn.conv(1, 1, padding="CIRCLE"), "padding must be"),
        (lambda: jn.max_pool((0, 2)), "window must be an integer, a height"),
        (lambda: jn.flatten(0), "num_axes must be at least 1"),
        (lambda: jn.layer_norm(0), "dim must be at least 1"),
        (lambda: jn.mlp([3]), "dims must hold at least"),
        (lambda: jn.cnn((28, 28), [4], [10]), "image_shape must be"),
        (lambda: jn.cnn((4, 4, 1), [4, 4, 4], [10]), "halve an image of 4x4 to nothing"),
        (lambda: jn.cnn((4, 4, 1), [4], []), "dims must hold at least the size of the output"),
    ],
)
def test_errors_name_the_argument(build, message):
    with pytest.raises(ValueError, match=message):
        build()
