"""Optimizers by name are those of Optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn


def test_finds_what_optax_has():
    names = set(jn.optimizer_names())
    aliases = {"adabelief", "adafactor", "adam", "adamw", "lamb", "lars", "lbfgs", "lion", "sgd"}
    contributed = {"cocob", "dadapt_adamw", "dog", "dowg", "momo", "muon", "prodigy", "sophia"}
    wrappers = {"dpsgd", "lookahead", "mechanize", "reduce_on_plateau", "sam", "schedule_free"}
    assert aliases | contributed | wrappers <= names
    assert len(names) >= 45
    assert not any(name.startswith(("_", "scale_by_")) for name in names)


def test_every_optimizer_is_the_one_of_optax(key):
    params, grads = {"w": jnp.array([1.0, -2.0])}, {"w": jnp.array([0.3, 0.1])}
    for name, expected in (("adam", optax.adam(1e-3)), ("sgd", optax.sgd(0.1))):
        found = jn.optimizer(name)
        update = found.update(grads, found.init(params), params)[0]
        np.testing.assert_array_equal(
            update["w"], expected.update(grads, expected.init(params), params)[0]["w"]
        )


def test_weight_decay_is_decoupled_where_the_optimizer_has_it():
    params, grads = {"w": jnp.array([2.0])}, {"w": jnp.array([0.0])}
    adamw = jn.optimizer("adamw", 0.1, weight_decay=0.5)
    sgd = jn.optimizer("sgd", 0.1, weight_decay=0.5)
    for optimizer in (adamw, sgd):
        update = optimizer.update(grads, optimizer.init(params), params)[0]
        assert float(update["w"][0]) == pytest.approx(-0.1 * 0.5 * 2.0)


def test_a_gradient_is_clipped_to_the_norm():
    params, grads = {"w": jnp.array([1.0, -2.0])}, {"w": jnp.array([3.0, -4.0])}
    for clip_norm, expected in ((0.5, [-0.03, 0.04]), (9.0, [-0.3, 0.4])):
        sgd = jn.optimizer("sgd", 0.1, clip_norm=clip_norm)
        update = sgd.update(grads, sgd.init(params), params)[0]
        np.testing.assert_allclose(update["w"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: jn.optimizer("adma"), "unknown optimizer 'adma'; did you mean"),
        (lambda: jn.optimizer("zzzzzz"), "unknown optimizer 'zzzzzz'; known: acprop, "),
        (lambda: jn.optimizer("adam", 0.0), "learning_rate must be greater than 0 and finite"),
        (lambda: jn.optimizer("adam", float("nan")), "learning_rate must be greater than 0"),
        (lambda: jn.optimizer("adam", weight_decay=-1.0), "weight_decay must not be negative"),
        (lambda: jn.optimizer("adam", clip_norm=0.0), "clip_norm must be greater than 0"),
        (lambda: jn.optimizer("noisy_sgd"), "draws random numbers: pass key="),
        (lambda: jn.optimizer("rprop", lambda step: 0.1), "takes a number as learning_rate"),
    ],
)
def test_errors_name_the_argument(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("name", ["adamw", "sgd", "lion", "lars", "adadelta", "lookahead"])
def test_a_mask_decays_kernels_alone(name):
    params = {"dense_0": {"kernel": jnp.full((2, 2), 3.0), "bias": jnp.full(2, 3.0)}}
    gradient = jax.tree.map(jnp.ones_like, params)

    def step(**options):
        transformation = jn.optimizer(name, 0.1, **options)
        start = params if name != "lookahead" else optax.LookaheadParams.init_synced(params)
        updates, _ = transformation.update(gradient, transformation.init(start), start)
        return (updates if name != "lookahead" else updates.fast)["dense_0"]

    def steps():
        masked = step(weight_decay=0.5, mask=jn.optim.kernel_mask)
        return masked, step(weight_decay=0.5), step(weight_decay=0.0)

    masked, whole, none = jax.jit(steps)()
    np.testing.assert_allclose(masked["bias"], none["bias"], rtol=1e-6)
    np.testing.assert_allclose(masked["kernel"], whole["kernel"], rtol=1e-6)


def test_a_mask_needs_weight_decay():
    with pytest.raises(ValueError, match="pass weight_decay too"):
        jn.optimizer("adamw", mask=jn.optim.kernel_mask)
    with pytest.raises(ValueError, match="'novograd' decays all weights, found a mask"):
        jn.optimizer("novograd", weight_decay=0.1, mask=jn.optim.kernel_mask)
