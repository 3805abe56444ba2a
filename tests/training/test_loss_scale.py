"""The dynamic scale of the loss, for gradients in float16."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet.objectives import LossScaled
from jaxnet.training import evaluation_extra, replace_extra
from tests.contracts.registry import AUTOENCODER, CLUSTERS, CODE, example_data

NETWORK = jn.mlp([6, 5, 4])
DENSE = jn.dense(6, 4)
BATCHES = jn.training.in_order(4)
# One of each kind: momentum, a line search, a second gradient, a Hessian, gradients of each
# example, averages. Pairs of parameters are below.
KINDS = ("adam", "lbfgs", "sam", "sophia", "dpsgd", "schedule_free")


def half(x):
    """Round to float16, whatever the compiler would keep."""
    return jax.lax.reduce_precision(x, exponent_bits=5, mantissa_bits=10)


def params_of(network):
    random = np.random.default_rng(0)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(
        lambda leaf: jnp.asarray(random.normal(size=leaf.shape) / 2, leaf.dtype), shapes
    )


def data_of(num_classes=4):
    random = np.random.default_rng(1)
    return {
        "x": random.normal(size=(12, 6)).astype(np.float32),
        "y": random.integers(num_classes, size=12).astype(np.int32),
    }


def learner_of(objective, name, network=NETWORK):
    def optimizer(key):
        return jn.optimizer(name, key=key)

    return jn.gradient_learner(lambda key: params_of(network), objective, optimizer)


def identical(first, second):
    def same(a, b):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)

    jax.tree.map(same, first, second)


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", KINDS)
def test_a_power_of_two_changes_no_bit_in_float32(name, key):
    # Adam trains two layers; of the other optimizers one layer is compiled in half the time.
    network = NETWORK if name == "adam" else DENSE
    objective = jn.classification(network)

    def run(learner):
        state, history = jn.fit(learner, key, data_of(), batches=BATCHES, num_epochs=2)
        return state.params, state.optimizer_state, history["loss"]

    @jax.jit
    def scaled(scale):
        return run(learner_of(jn.with_loss_scale(objective, initial_scale=scale), name, network))

    plain = jax.jit(lambda: run(learner_of(objective, name, network)))()
    assert np.isfinite(plain[-1]).all()
    for scale in (2.0**15, 2.0**-3):
        identical(scaled(scale), plain)


def test_twenty_steps_are_those_of_numpy(key):
    """Products in float16 whose gradients overflow, beside NumPy's float16 and Optax's momentum."""
    random = np.random.default_rng(3)
    x = random.normal(size=(4, 3)).astype(np.float16)
    y = (20 * random.normal(size=4)).astype(np.float32)
    start = random.normal(size=3).astype(np.float32)
    network = jn.Network(
        lambda key: jnp.asarray(start),
        lambda params, x, *, key=None: half(x * half(params)).sum(axis=-1, keepdims=True),
    )
    objective = jn.with_loss_scale(jn.regression(network), initial_scale=2.0**15, growth_interval=4)
    optimizer = optax.sgd(0.02, momentum=0.5)
    learner = jn.gradient_learner(network.init, objective, optimizer)
    state, step = learner.init(key), jax.jit(learner.step)
    batch = {"x": x.astype(np.float32), "y": y}

    params, momentum = start.copy(), np.zeros(3, np.float32)
    scale, good, skipped, scales = 2.0**15, 0, 0, []
    for _ in range(20):
        products = x * params.astype(np.float16)
        errors = products.astype(np.float32).sum(axis=1) - y
        with np.errstate(over="ignore", invalid="ignore"):
            of_products = (np.float32(scale) * errors / 2).astype(np.float16)
            gradient = of_products.astype(np.float32)[:, None] * x.astype(np.float32)
            gradient = gradient.sum(axis=0).astype(np.float16).astype(np.float32) / scale
        scales.append(scale)
        if np.isfinite(gradient).all():
            momentum = gradient + np.float32(0.5) * momentum
            params = params - np.float32(0.02) * momentum
            good += 1
            if good == 4:
                scale, good = 2 * scale, 0
        else:
            scale, good, skipped = scale / 2, 0, skipped + 1
        state, metrics = step(state, batch)
        assert float(metrics["loss_scale"]) == scales[-1]
        np.testing.assert_allclose(metrics["loss"], (errors**2).mean(), rtol=1e-3)
        np.testing.assert_allclose(state.params, params, rtol=1e-3, atol=1e-4)
    assert [float(state.extra.scale), *map(int, state.extra[1:3])] == [scale, good, skipped]
    # It went both ways.
    changes = np.sign(np.diff(scales))
    assert skipped >= 3 and (changes > 0).any() and (changes < 0).any()


def clustering(key):
    return {
        "autoencoder": AUTOENCODER.init(key),
        "centers": jax.random.normal(key, (CLUSTERS, CODE)),
    }


def learners():
    rebuild = jn.autoencoders.reconstruction(AUTOENCODER)
    embedded = jn.clustering.with_targets(
        jn.clustering.deep_embedded_clustering(AUTOENCODER), num_examples=8
    )
    plain = jn.gradient_learner(AUTOENCODER.init, jn.with_loss_scale(rebuild), optax.adam(1e-2))
    return {
        "averaged": jn.training.averaged_learner(
            jn.training.augmented_learner(plain, jn.nn.gaussian_noise(0.1)), 0.9
        ),
        "targets": jn.gradient_learner(
            clustering, jn.with_loss_scale(embedded), optax.lookahead(optax.adam(1e-2), 2, 0.5)
        ),
        "centers": jn.clustering.deep_clustering_network_learner(
            clustering,
            AUTOENCODER,
            rebuild,
            optax.adam(1e-2),
            strength=0.1,
            transform=jn.with_loss_scale,
        ),
    }


LOSS_SCALED = learners()


@pytest.mark.parametrize("name", LOSS_SCALED)
def test_an_overflow_skips_the_step(name, key):
    learner = LOSS_SCALED[name]
    data = example_data({"x": jax.ShapeDtypeStruct((8, 6), jnp.float32)})
    data |= {"index": jnp.arange(8)} if name == "targets" else {}
    state, step = jax.jit(learner.init)(key), jax.jit(learner.step)
    for _ in range(3):
        state, _ = step(state, data)
    overflow, _ = step(state, data | {"x": jnp.full((8, 6), jnp.inf)})

    def scaled(state):
        nodes = jn.optim.adapters.find_nodes(state.extra, LossScaled)
        return nodes[0]

    before, after = scaled(state), scaled(overflow)
    assert float(after.scale) == float(before.scale) / 2 == 2.0**14
    assert [int(leaf) for leaf in (*before[1:3], *after[1:3])] == [3, 0, 0, 1]
    assert int(overflow.step) == 4

    def without_scale(state):
        extra = state.extra
        if isinstance(extra, jn.training.Averaged):
            extra = extra._replace(extra=extra.extra.extra)
        else:
            extra = extra.extra
        return state._replace(extra=extra, step=())

    identical(without_scale(overflow), without_scale(state))
    # The next step goes on, with the smaller scale.
    next_state, metrics = step(overflow, data)
    assert float(metrics["loss_scale"]) == 2.0**14 and int(scaled(next_state).good_steps) == 1
    # What stands inside is found and replaced.
    inside = evaluation_extra(state)
    identical(evaluation_extra(replace_extra(state, inside)), inside)
    assert not jn.optim.adapters.find_nodes(inside, LossScaled)


def test_at_the_smallest_scale_a_training_diverges(key):
    objective = jn.with_loss_scale(jn.classification(NETWORK), initial_scale=2.0**-13)
    learner = learner_of(objective, "sgd")
    step, state = jax.jit(learner.step), learner.init(key)
    broken = data_of() | {"x": jnp.full((12, 6), jnp.inf)}
    state, _ = step(state, broken)
    assert float(state.extra.scale) == 2.0**-14
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    state, _ = step(state, broken)
    assert not all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


def test_each_run_of_a_batch_has_its_own_scale(key):
    """Losses of 2**12 times a number: the gradient in float16 overflows for large scales alone."""
    network = jn.Network(
        lambda key: jnp.ones(1),
        lambda params, x, *, key=None: half(half(x) * half(params)),
    )

    def run(scale):
        objective = jn.with_loss_scale(
            jn.regression(network), initial_scale=scale, growth_interval=3
        )
        learner = jn.gradient_learner(network.init, objective, optax.sgd(1e-8))
        data = {"x": jnp.full((8, 1), 64.0), "y": jnp.zeros(8)}
        state, history = jn.fit(learner, key, data, batches=BATCHES, num_epochs=3)
        return state.params, state.extra, history["loss_scale"]

    scales = jnp.array([2.0**15, 2.0**2])
    both = jax.jit(jax.vmap(run))(scales)
    for index in range(2):
        alone = jax.jit(run)(scales[index])
        jax.tree.map(
            lambda a, b, index=index: np.testing.assert_allclose(a[index], b, rtol=1e-6),
            both,
            alone,
        )
    assert int(both[1].num_skipped[0]) > 0 and int(both[1].num_skipped[1]) == 0


def test_early_stopping_keeps_the_best_parameters_and_the_scale(key):
    objective = jn.classification(NETWORK)
    scaled = jn.with_loss_scale(objective)
    data = jax.tree.map(jnp.asarray, data_of())
    results = []
    for trained, evaluated in ((objective, objective), (scaled, scaled)):
        validation = jn.Validation(evaluated, data, patience=2)
        learner = learner_of(trained, "sgd")
        state, history = jn.fit(
            learner, key, data, batches=BATCHES, num_epochs=4, validation=validation
        )
        results.append((jn.evaluation_params(state), history["validation_loss"]))
    identical(results[1], results[0])


def test_float16_learns_digits(digits, key):
    network = jn.compute_in(jn.mlp([64, 32, 10]), jnp.float16, output_dtype=jnp.float32)
    objective = jn.with_loss_scale(jn.classification(network))
    learner = jn.gradient_learner(network.init, objective, optax.adam(3e-3))
    state, history = jn.fit(
        learner, key, digits["train"], batches=jn.training.in_order(64), num_epochs=8
    )
    assert {leaf.dtype for leaf in jax.tree.leaves((state.params, history))} == {jnp.dtype("f4")}
    outputs = jax.jit(network.apply)(state.params, digits["test"]["x"])
    assert outputs.dtype == jnp.float32
    assert float((outputs.argmax(axis=-1) == digits["test"]["y"]).mean()) >= 0.9


def test_a_scale_at_the_wrong_place_raises(key):
    scaled = jn.with_loss_scale(jn.classification(NETWORK))
    with pytest.raises(ValueError, match="has a loss scale already"):
        learner_of(jn.with_loss_scale(scaled), "sgd").init(key)

    def init(params, key):
        return (scaled.init(params, key),)

    def apply(params, extra, batch, key):
        loss, (inside, metrics) = scaled.apply(params, extra[0], batch, key)
        return loss, ((inside,), metrics)

    learner = learner_of(jn.StatefulObjective(init, apply), "sgd")
    with pytest.raises(ValueError, match="put with_loss_scale outside of all others"):
        jax.eval_shape(learner.step, learner.init(key), data_of())
