"""Autoencoders, their objectives and the penalties on their codes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from scipy import special
from sklearn import metrics

import jaxnet as jn


def identity(x):
    return x


def small(**options):
    return jn.autoencoders.mlp_autoencoder([6, 5, 3], activation=jnp.tanh, **options)


SIGMOID = small(code_activation=jax.nn.sigmoid)
TIED = small(tied=True)


def objectives():
    plain = jn.autoencoders.reconstruction(SIGMOID)
    bernoulli = jn.autoencoders.bernoulli_reconstruction(SIGMOID)
    return {
        "squared": (plain, SIGMOID),
        "linear": (jn.autoencoders.reconstruction(SIGMOID, mean=identity), SIGMOID),
        "bernoulli": (bernoulli, SIGMOID),
        "tied": (jn.autoencoders.bernoulli_reconstruction(TIED), TIED),
        "l1": (jn.autoencoders.with_l1_sparsity(plain, SIGMOID, 0.3), SIGMOID),
        "kl": (jn.autoencoders.with_kl_sparsity(plain, SIGMOID, 0.3), SIGMOID),
        "contractive": (jn.autoencoders.with_contraction(bernoulli, SIGMOID, 0.3), SIGMOID),
        "probed": (jn.autoencoders.with_contraction(plain, SIGMOID, 0.3, num_probes=2), SIGMOID),
        "denoising": (jn.with_noise(bernoulli, jn.nn.gaussian_noise(0.2)), SIGMOID),
        "binarized": (jn.with_augmentation(bernoulli, jn.nn.bernoulli_sampling()), SIGMOID),
    }


def initial(network, key):
    """Parameters, compiled at once, of the precision that holds in the test."""
    params = jax.jit(network.init)(key)
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), float), params)


def uniform(*shape):
    """NumPy draws the data: nothing is compiled for it."""
    return jnp.asarray(np.random.default_rng(0).uniform(size=shape), float)


@pytest.fixture
def batch():
    return {"x": uniform(8, 6)}


@pytest.mark.parametrize("name", objectives())
def test_gradients_and_masks(x64, key, name):
    objective, network = objectives()[name]
    params, x = initial(network, key), uniform(8, 6)
    weight = jnp.asarray(np.arange(8) < 5, float)
    run = jax.jit(objective)

    def loss(params):
        return run(params, {"x": x, "weight": weight}, key)[0]

    check_grads(loss, (params,), order=1, modes=["rev"], eps=1e-6, atol=1e-6, rtol=1e-6)
    # Noise has the shape of the batch, so what a masked example holds is changed, not its place.
    expected = run(params, {"x": x, "weight": weight}, key)
    found = run(params, {"x": x.at[5:].set(0.9), "weight": weight}, key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), found, expected)
    if name not in ("probed", "denoising", "binarized"):
        alone = run(params, {"x": x[:5]}, key)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), alone, expected)


def test_losses_equal_numpy_and_scikit_learn(key, batch):
    params = initial(SIGMOID, key)
    x = np.asarray(batch["x"], np.float64)
    logits = np.asarray(SIGMOID.apply(params, batch["x"]), np.float64)
    p = special.expit(logits)
    squared = ((x - p) ** 2).sum(axis=1).mean()
    loss, found = jn.autoencoders.reconstruction(SIGMOID)(params, batch, None)
    assert float(loss) == float(found["squared_error"]) == pytest.approx(squared, rel=1e-5)
    loss, found = jn.autoencoders.reconstruction(SIGMOID, mean=identity)(params, batch, None)
    assert float(loss) == pytest.approx(((x - logits) ** 2).sum(axis=1).mean(), rel=1e-5)
    bits = {"x": (batch["x"] > 0.5).astype(float)}
    p = special.expit(np.asarray(SIGMOID.apply(params, bits["x"]), np.float64))
    loss, found = jn.autoencoders.bernoulli_reconstruction(SIGMOID)(params, bits, None)
    mean = metrics.log_loss(np.asarray(bits["x"], int).ravel(), p.ravel())
    assert float(loss) == float(found["cross_entropy"]) == pytest.approx(6 * mean, rel=1e-5)
    squared = ((np.asarray(bits["x"]) - p) ** 2).sum(axis=1).mean()
    assert float(found["squared_error"]) == pytest.approx(squared, rel=1e-5)


def test_halves_make_the_whole_and_share_its_key(key, batch):
    encoder, decoder = jn.mlp([6, 4, 2], dropout=0.5), jn.mlp([2, 4, 6], dropout=0.5)
    network = jn.autoencoders.autoencoder(encoder, decoder)
    params = initial(network, key)
    for noise in (None, key):
        code = network.encode(params, batch["x"], key=noise)
        rebuilt = network.decode(params, code, key=noise)
        np.testing.assert_array_equal(network.apply(params, batch["x"], key=noise), rebuilt)
    # Encoder and decoder draw from different streams.
    same = jn.autoencoders.autoencoder(jn.dropout(0.5), jn.dropout(0.5))
    x = jnp.ones((100, 100))
    kept = [half(same.init(key), x, key=key) > 0 for half in (same.encode, same.decode)]
    assert abs(float((kept[0] & kept[1]).mean()) - 0.25) < 0.02


def test_tied_weights_are_one_array_used_twice(key, batch):
    params = initial(TIED, key)
    assert {name: set(part) for name, part in params["decoder"].items()} == {
        "dense_0": {"bias"},
        "dense_1": {"bias"},
    }
    untied = small()
    copied = {"encoder": params["encoder"], "decoder": TIED.decoder_params(params)}
    x = batch["x"]
    np.testing.assert_array_equal(TIED.apply(params, x), untied.apply(copied, x))

    def gradient_of(network):
        objective = jn.autoencoders.bernoulli_reconstruction(network)
        return jax.jit(jax.grad(lambda params: objective(params, batch, None)[0]))

    gradient = gradient_of(TIED)(params)
    both = gradient_of(untied)(copied)
    for first, last in (("dense_0", "dense_1"), ("dense_1", "dense_0")):
        encoder, decoder = (
            both[half][name] for half, name in (("encoder", first), ("decoder", last))
        )
        assert jnp.abs(encoder["kernel"]).max() > 0 and jnp.abs(decoder["kernel"]).max() > 0
        expected = encoder["kernel"] + decoder["kernel"].T
        np.testing.assert_allclose(
            gradient["encoder"][first]["kernel"], expected, rtol=1e-4, atol=1e-6
        )


def test_tied_kernels_without_biases_and_with_many_layers(key):
    def linear(in_dim, out_dim):
        return jn.chain(jn.dense(in_dim, out_dim, use_bias=False))

    network = jn.autoencoders.autoencoder(linear(6, 2), linear(2, 6), tied=True)
    params = initial(network, key)
    x = jax.random.normal(key, (3, 6))
    kernel = params["encoder"]["dense_0"]["kernel"]
    np.testing.assert_allclose(
        network.apply(params, x), x @ kernel @ kernel.T, rtol=1e-5, atol=1e-6
    )
    # Names sort as dense_0, dense_1, dense_10, dense_2: the order must be that of the layers.
    deep = jn.autoencoders.mlp_autoencoder(list(range(20, 7, -1)), tied=True)
    params = jax.eval_shape(deep.decoder_params, jax.eval_shape(deep.init, key))
    assert params["dense_2"]["kernel"].shape == (10, 11)
    assert params["dense_10"]["kernel"].shape == (18, 19)


def test_a_convolutional_autoencoder_rebuilds_the_shape(key):
    network = jn.autoencoders.cnn_autoencoder((8, 12, 2), [3, 4], [7, 5])
    jn.autoencoders.check_autoencoder(network, (8, 12, 2))
    params = jax.eval_shape(network.init, key)
    code = jax.eval_shape(network.encode, params, jnp.ones((3, 8, 12, 2)))
    assert code.shape == (3, 5)
    # As many numbers come back from the dense part as the encoder had pixels and channels.
    kernel = params["decoder"]["dense_1"]["kernel"]
    assert kernel.shape == (7, 2 * 3 * 4)


@pytest.mark.parametrize("factors", [(2, 2), (3, 1)])
def test_upsampling_repeats_pixels(key, factors):
    x = jax.random.normal(key, (2, 3, 4, 2))
    larger = jn.nn.upsample(factors).apply({}, x)
    np.testing.assert_array_equal(larger, np.repeat(np.repeat(x, factors[0], 1), factors[1], 2))
    np.testing.assert_allclose(jn.mean_pool(factors).apply({}, larger), x, rtol=1e-6)


def one_layer(key):
    encoder = jn.chain(jn.dense(6, 40), jn.activation(jax.nn.sigmoid))
    network = jn.autoencoders.autoencoder(encoder, jn.dense(40, 6))
    return network, initial(network, key)


def zero(params, batch, key):
    return jnp.zeros(()), {}


def test_contraction_equals_the_closed_form_of_a_sigmoid_layer(key, batch):
    network, params = one_layer(key)
    weight = jnp.arange(8.0)
    h = network.encode(params, batch["x"])
    # Rifai et al. (2011), section 3: sum_j (h_j (1 - h_j))^2 sum_i W_ij^2.
    kernel = params["encoder"]["dense_0"]["kernel"]
    norms = ((h * (1 - h)) ** 2) @ (kernel**2).sum(axis=0)
    expected = float((norms * weight).sum() / weight.sum())
    exact = jax.jit(jn.autoencoders.with_contraction(zero, network, 2.0))
    weighted = batch | {"weight": weight}
    assert float(exact(params, weighted, None)[0]) == pytest.approx(2 * expected, rel=1e-5)
    probed = jax.jit(jn.autoencoders.with_contraction(zero, network, 2.0, num_probes=4000))
    assert float(probed(params, weighted, key)[0]) == pytest.approx(2 * expected, rel=0.02)
    assert float(probed(params, weighted, None)[0]) == pytest.approx(2 * expected, rel=1e-5)


def test_contraction_equals_jacobians_of_a_deep_encoder(key, batch):
    params = initial(SIGMOID, key)
    jacobians = jax.jit(jax.vmap(jax.jacfwd(lambda x: SIGMOID.encode(params, x))))(batch["x"])
    found = jax.jit(jn.autoencoders.with_contraction(zero, SIGMOID, 1.0))(params, batch, key)[0]
    assert float(found) == pytest.approx(np.sum(np.square(jacobians)) / 8, rel=1e-5)


def test_sparsity_equals_scipy(key, batch):
    network, params = one_layer(key)
    weight = jnp.arange(8.0)
    weighted = batch | {"weight": weight}
    codes = np.asarray(network.encode(params, batch["x"]), np.float64)
    activity = np.average(codes, axis=0, weights=weight)
    expected = (special.rel_entr(0.1, activity) + special.rel_entr(0.9, 1 - activity)).sum()
    loss, found = jn.autoencoders.with_kl_sparsity(zero, network, 3.0, target=0.1)(
        params, weighted, key
    )
    assert float(loss) == pytest.approx(3 * expected, rel=1e-5)
    assert float(found["activity"]) == pytest.approx(activity.mean(), rel=1e-5)
    loss, _ = jn.autoencoders.with_l1_sparsity(zero, network, 3.0)(params, weighted, key)
    expected = np.average(np.abs(codes).sum(axis=1), weights=weight)
    assert float(loss) == pytest.approx(3 * expected, rel=1e-5)


def test_silent_units_keep_a_gradient_and_codes_outside_are_loud(batch):
    network = jn.autoencoders.autoencoder(jn.activation(identity), jn.activation(identity))
    penalty = jn.autoencoders.with_kl_sparsity(zero, network, 1.0)

    def loss(x):
        return penalty({"encoder": {}, "decoder": {}}, {"x": x}, None)[0]

    for silent in (jnp.zeros((4, 2)), jnp.ones((4, 2))):
        value, gradient = jax.jit(jax.value_and_grad(loss))(silent)
        assert jnp.isfinite(value) and jnp.isfinite(gradient).all() and (gradient != 0).all()
    assert jnp.isnan(loss(jnp.full((4, 2), 1.5)))


def test_strengths_may_be_traced(key, batch):
    params = initial(SIGMOID, key)
    for penalty in (
        jn.autoencoders.with_l1_sparsity,
        jn.autoencoders.with_kl_sparsity,
        jn.autoencoders.with_contraction,
    ):

        def loss(strength, penalty=penalty):
            return penalty(zero, SIGMOID, strength)(params, batch, None)[0]

        one, two = jax.jit(jax.vmap(loss))(jnp.array([1.0, 2.0]))
        assert float(two) == pytest.approx(2 * float(one), rel=1e-5)


def test_training_composes_with_fit_and_its_noise_is_new_each_step(key):
    x = uniform(64, 6)
    objective = jn.with_noise(jn.autoencoders.reconstruction(SIGMOID), jn.nn.masking_noise(0.2))
    objective = jn.autoencoders.with_kl_sparsity(objective, SIGMOID, 1e-3)
    learner = jn.gradient_learner(SIGMOID.init, objective, optax.adam(1e-2))

    @jax.jit
    def train(key, data):
        return jn.fit(learner, key, data, batch_size=16, num_epochs=30)

    state, history = train(key, {"x": x})
    assert history["squared_error"][-1] < history["squared_error"][0]
    assert set(history) == {"activity", "loss", "squared_error"}
    # The same parameters at another step: only the noise differs.
    losses = jax.jit(jax.vmap(lambda step: learner.step(state._replace(step=step), {"x": x})[1]))
    assert len(set(losses(jnp.arange(3))["loss"].tolist())) == 3


@pytest.mark.parametrize("dims", [[6, 6], [6, 8]])
def test_a_code_that_may_copy_the_input_is_warned_of(dims):
    network = jn.autoencoders.mlp_autoencoder(dims)
    with pytest.warns(
        UserWarning, match=rf"the code has {dims[-1]} numbers and the input 6: .*copy"
    ):
        jn.autoencoders.check_autoencoder(network, (6,))
    jn.autoencoders.check_autoencoder(network, (6,), regularized=True)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: jn.autoencoders.mlp_autoencoder([6]),
            r"mlp_autoencoder: dims must hold .* found \[6\]",
        ),
        (lambda: jn.autoencoders.mlp_autoencoder([6, 0]), r"each at least 1, found \[6, 0\]"),
        (
            lambda: jn.autoencoders.cnn_autoencoder((8, 8), [2], [2]),
            "image_shape must be height, width",
        ),
        (
            lambda: jn.autoencoders.cnn_autoencoder((8, 8, 1), [], [2]),
            "without stages use mlp_autoencoder",
        ),
        (lambda: jn.autoencoders.cnn_autoencoder((8, 8, 1), [2], []), "the size of the code"),
        (
            lambda: jn.autoencoders.cnn_autoencoder((6, 8, 1), [2, 2], [2]),
            "multiples of 4, found .* 6x8",
        ),
        (lambda: jn.nn.masking_noise(1.0), r"rate must lie in \[0, 1\), found 1.0"),
        (lambda: jn.nn.salt_and_pepper_noise(-0.1), r"rate must lie in \[0, 1\), found -0.1"),
        (lambda: jn.nn.gaussian_noise(-1.0), "scale must not be negative, found -1.0"),
        (
            lambda: jn.autoencoders.with_l1_sparsity(zero, TIED, -1.0),
            "strength must not be negative",
        ),
        (
            lambda: jn.autoencoders.with_kl_sparsity(zero, TIED, 1.0, target=1.0),
            r"target must lie in \(0, 1\)",
        ),
        (
            lambda: jn.autoencoders.with_contraction(zero, TIED, 1.0, num_probes=0),
            "num_probes must be",
        ),
        (lambda: jn.nn.reshape(()), "shape must be at least one size"),
        (lambda: jn.nn.reshape((2, 3)).apply({}, jnp.ones((2, 5))), "expected a last axis of 6"),
        (lambda: jn.nn.upsample((2,)), "factors must be"),
        (
            lambda: jn.autoencoders.autoencoder(jn.mlp([6, 4, 2]), jn.mlp([2, 5, 6]), tied=True),
            r"kernels of shapes \[\(2, 4\), \(4, 6\)\], .* found \[\(2, 5\), \(5, 6\)\]; reverse",
        ),
        (
            lambda: jn.autoencoders.autoencoder(jn.dense(6, 2), jn.dense(2, 6), tied=True),
            "need encoder to be a chain of dense layers",
        ),
        (
            lambda: jn.autoencoders.autoencoder(
                jn.mlp([6, 2]), jn.chain(jn.layer_norm(2)), tied=True
            ),
            "need decoder to be a chain of dense layers",
        ),
        (
            lambda: jn.autoencoders.check_autoencoder(
                jn.autoencoders.autoencoder(jn.dense(6, 2), jn.dense(2, 5)), (6,)
            ),
            r"outputs of shape \(5,\) for an input of shape \(6,\)",
        ),
        (
            lambda: jn.autoencoders.reconstruction(jn.dense(6, 5))(
                jn.dense(6, 5).init(jax.random.key(0)), {"x": jnp.ones((3, 6))}, None
            ),
            r"outputs have shape \(3, 5\), expected .* \(3, 6\)",
        ),
    ],
)
def test_errors_name_the_argument(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[0.0, 7.0], [16.0, 0.0]], "row 0 holds 7.0 at column 1; .* 0.0 to 16.0: divide by"),
        ([[0.0, 1.0], [-0.5, 0.0]], "row 1 holds -0.5 at column 0; .* Gaussian output"),
        ([[0.0, np.nan]], "row 0 holds nan"),
    ],
)
def test_pixels_outside_the_unit_interval_raise(x, message):
    with pytest.raises(ValueError, match=message):
        jn.check_unit_interval(x)
    jn.check_unit_interval(np.ones((2, 3, 3, 1), bool))
