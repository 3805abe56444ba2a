"""Convolution and pooling against XLA's own, whatever the algorithm."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

import jaxnet as jn
from jaxnet.nn import _convolve_cpu
from tests.devices import needs_two_devices

# Kernel, strides, dilation, padding, channels in and out, height and width or time.
CASES = [
    (1, 1, 1, "VALID", 2, 9, (4, 4)),
    ((1, 1), (3, 2), 1, "SAME", 2, 3, (7, 6)),
    ((3, 3), (1, 1), 1, "SAME", 3, 4, (8, 7)),
    ((3, 3), (1, 1), 1, "SAME", 2, 9, (6, 6)),
    ((3, 3), (2, 1), 1, "VALID", 2, 16, (9, 8)),
    ((2, 3), (3, 3), 1, "VALID", 2, 2, (10, 9)),
    ((2, 4), (1, 2), 1, "VALID", 1, 9, (6, 8)),
    ((5, 2), (2, 3), 1, "SAME", 3, 2, (9, 8)),
    (7, 1, 1, "SAME", 2, 3, (6, 6)),
    ((3, 2), 1, (2, 3), "SAME", 2, 9, (7, 6)),
    ((2, 3), (2, 1), (1, 2), "VALID", 1, 3, (7, 6)),
    ((5,), 1, 1, "SAME", 2, 9, (8,)),
    ((4,), 2, 1, "SAME", 3, 2, (9,)),
    ((3,), 1, 2, "CAUSAL", 2, 3, (7,)),
    ((3,), 2, 3, "CAUSAL", 1, 2, (8,)),
    ((3,), 1, 2, "VALID", 2, 3, (7,)),
]


@pytest.mark.parametrize(
    ("kernel", "strides", "dilation", "padding", "in_dim", "out_dim", "size"), CASES
)
def test_outputs_and_derivatives_are_those_of_xla(
    kernel, strides, dilation, padding, in_dim, out_dim, size, key, x64, monkeypatch
):
    # So small that the gradient of the kernel is summed over parts of the batch.
    monkeypatch.setattr(_convolve_cpu, "_CACHE_BYTES", 1000)
    options = {"strides": strides, "dilation": dilation, "padding": padding}
    layers = [
        jn.conv(in_dim, out_dim, kernel, algorithm=algorithm, **options)
        for algorithm in ("cpu", "convolution")
    ]

    def gradient_of(apply):
        return jax.grad(lambda *args: (apply(*args) ** 3).sum(), (0, 1))

    @jax.jit
    def ours(params, images):
        apply, gradient = layers[0].apply, gradient_of(layers[0].apply)
        runs = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params), jnp.stack(images)
        point, direction = (params[0], images[0]), (params[1], images[1])
        return (
            apply(*point),
            jax.jvp(apply, point, direction)[1],
            # The gradient, and a product with the Hessian: forward over reverse.
            jax.jvp(gradient, point, direction),
            jax.vmap(apply)(*runs),
            jax.vmap(apply, (0, None))(runs[0], images[0]),
            jax.vmap(gradient)(*runs),
        )

    @jax.jit
    def xla(point, direction):
        apply = layers[1].apply
        return jax.jvp(apply, point, direction), jax.jvp(gradient_of(apply), point, direction)

    random, shapes = np.random.default_rng(0), jax.eval_shape(layers[0].init, key)
    params = [jax.tree.map(lambda leaf: random.normal(size=leaf.shape), shapes) for _ in range(2)]
    images = [random.normal(size=(4, *size, in_dim)) for _ in range(2)]
    (first, moved), (gradient, product) = xla((params[0], images[0]), (params[1], images[1]))
    (second, _), (other_gradient, _) = xla((params[1], images[1]), (params[0], images[0]))
    (shared, _), _ = xla((params[1], images[0]), (params[0], images[0]))

    def stack(*trees):
        return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)

    expected = (
        first,
        moved,
        (gradient, product),
        stack(first, second),
        stack(first, shared),
        stack(gradient, other_gradient),
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9),
        ours(params, images),
        expected,
    )


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize("window", [2, (3, 2)])
def test_max_pool_divides_the_gradient_among_ties(padding, window, key, x64):
    random = np.random.default_rng(0)
    x, tangent = np.floor(3 * random.random((2, 7, 5, 2))), random.normal(size=(2, 7, 5, 2))
    height, width = (window, window) if isinstance(window, int) else window
    pool = jn.max_pool(window, padding=padding)

    def reference(x):
        if padding == "SAME":
            pads = jax.lax.padtype_to_pads(x.shape[1:3], (height, width), (height, width), "SAME")
            x = jnp.pad(x, [(0, 0), *pads, (0, 0)], constant_values=-np.inf)
        rows, columns = x.shape[1] // height, x.shape[2] // width
        x = x[:, : rows * height, : columns * width]
        return x.reshape(2, rows, height, columns, width, 2).max((2, 4))

    @jax.jit
    def both(x, tangent):
        def results(apply):
            gradient = jax.grad(lambda x: (apply(x) ** 3).sum())
            return apply(x), gradient(x), jax.jvp(apply, (x,), (tangent,))[1]

        return results(lambda x: pool.apply({}, x)), results(reference)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), *both(x, tangent)
    )


@pytest.mark.parametrize("algorithm", ["auto", "convolution", "cpu"])
@pytest.mark.parametrize("dtype", ["uint8", "bfloat16"])
def test_dtypes_are_promoted_eagerly_as_under_jit(dtype, algorithm, key):
    layer = jn.conv(1, 2, algorithm=algorithm)
    params, x = jax.jit(layer.init)(key), jax.device_put(np.ones((1, 4, 4, 1), dtype))
    eager, compiled = layer.apply(params, x), jax.jit(layer.apply)(params, x)
    assert eager.dtype == compiled.dtype == jnp.float32
    expected = layer.apply(params, jax.device_put(np.ones((1, 4, 4, 1), np.float32)))
    np.testing.assert_allclose(eager, expected, rtol=1e-6)
    np.testing.assert_allclose(compiled, expected, rtol=1e-6)


def test_pools_of_integers():
    x = np.full((4, 4, 1), 200, np.uint8)
    assert jax.eval_shape(jn.max_pool(3, padding="SAME").apply, {}, x).dtype == jnp.uint8
    np.testing.assert_array_equal(jax.jit(jn.mean_pool().apply)({}, x), np.full((2, 2, 1), 200.0))


LAYERS = {
    "conv": jn.conv(2, 3),
    "max_pool": jn.max_pool(),
    "mean_pool": jn.mean_pool(),
    "conv_of_series": jn.conv(2, 3, (3,), strides=2, dilation=2),
    "max_pool_of_series": jn.max_pool((2,)),
    "mean_pool_of_series": jn.mean_pool((2,)),
}


@needs_two_devices
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_batches_spread_over_explicit_axes(layer, key):
    random, shapes = np.random.default_rng(0), jax.eval_shape(layer.init, key)
    x = random.normal(size=(4, 6, 6, 2)).astype(np.float32)
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(leaf.dtype), shapes)

    def loss(params, x):
        return (layer.apply(params, x) ** 2).mean()

    expected = jax.jit(jax.value_and_grad(loss, (0, 1)))(params, x)
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    with jax.set_mesh(mesh):
        spread = jax.device_put(x, PartitionSpec("data"))
        params = jax.device_put(params, PartitionSpec())
        found = jax.jit(jax.value_and_grad(loss, (0, 1)))(params, spread)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected
    )


@pytest.mark.parametrize("algorithm", ["convolution", "cpu"])
def test_a_named_algorithm_leaves_no_choice_in_the_program(algorithm, key):
    layer = jn.conv(2, 3, algorithm=algorithm)
    params, x = jax.eval_shape(layer.init, key), jax.ShapeDtypeStruct((1, 4, 4, 2), jnp.float32)
    program = str(jax.make_jaxpr(layer.apply)(params, x))
    assert "platform_index" not in program
    with pytest.raises(ValueError, match='algorithm must be one of "auto"'):
        jn.conv(2, 3, algorithm="fft")


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_the_algorithm_for_cpu_stays_there(platform, key):
    layer = jn.conv(16, 16)
    params = jax.eval_shape(layer.init, key)

    def gradient(params, x):
        return jax.grad(lambda *args: layer.apply(*args).sum(), (0, 1))(params, x)

    text = jax.export.export(jax.jit(gradient), platforms=[platform])(
        params, jax.ShapeDtypeStruct((2, 8, 8, 16), jnp.float32)
    ).mlir_module()
    assert "stablehlo.convolution" in text
    assert ("optimization_barrier" in text) == (platform == "cpu")
