"""Laws that every optimizer of the installed Optax obeys, by name, in the one training loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn

NETWORK = jn.mlp([64, 32, 10])
# A program without a draw of parameters or a permutation compiles in half the time.
BATCHES = jn.training.in_order(64)


def params_of(network):
    """He's initialization, drawn by NumPy."""
    random = np.random.default_rng(0)

    def draw(leaf):
        scale = (2 / leaf.shape[0]) ** 0.5 if leaf.ndim == 2 else 0.0
        return jnp.asarray(scale * random.normal(size=leaf.shape), leaf.dtype)

    return jax.tree.map(draw, jax.eval_shape(network.init, jax.random.key(0)))


def learner_of(name, rate=None, **options):
    def make(key):
        return jn.optimizer(name, rate, key=key, **options)

    return jn.gradient_learner(lambda key: params_of(NETWORK), jn.classification(NETWORK), make)


def accuracy(state, data):
    outputs = NETWORK.apply(jn.evaluation_params(state), data["x"])
    return float((outputs.argmax(axis=-1) == data["y"]).mean())


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", jn.optimizer_names())
def test_trains_digits_at_its_default_rate_and_takes_a_traced_one(name, digits, key):
    """Two runs of one program: at the default rate, and at a tenth of it."""
    rate = jn.optim.default_learning_rate(name)

    @jax.jit
    @jax.vmap
    def fit(traced):
        learner = learner_of(name, None if rate is None else traced)
        state, history = jn.fit(learner, key, digits["train"], batches=BATCHES, num_epochs=20)
        params = jn.evaluation_params(state)
        outputs = NETWORK.apply(params, digits["test"]["x"])
        correct = outputs.argmax(axis=-1) == digits["test"]["y"]
        return params, history["loss"], correct.mean()

    params, losses, accuracy = fit(jnp.zeros(2) if rate is None else jnp.array([rate, 0.1 * rate]))
    assert np.isfinite(losses).all()
    assert accuracy[0] >= 0.90
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    # The installed Optax's cocob, a betting scheme, takes a rate and ignores it.
    ignores = rate is None or name == "cocob"
    # The two networks of a program may differ in the last bits.
    assert np.allclose(losses[0], losses[1], rtol=1e-3, atol=0) == ignores


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", [n for n in jn.optimizer_names() if jn.optim.takes_schedule(n)])
def test_takes_a_schedule_weight_decay_and_clipping(name, digits, key):
    """Traced, not run: whether Optax computes its schedules rightly is for Optax to test."""
    data = jax.tree.map(lambda leaf: leaf[:64], digits["train"])
    rate = jn.schedule("warmup_cosine", jn.optim.default_learning_rate(name) or 1.0, num_steps=6)
    learner = learner_of(name, rate, weight_decay=1e-4, clip_norm=1.0)
    _, metrics = jax.eval_shape(lambda key: learner.step(learner.init(key), data), key)
    assert metrics["loss"].shape == ()


def test_optimizers_that_draw_numbers_follow_the_key_of_the_run(digits):
    data = jax.tree.map(lambda leaf: leaf[:64], digits["train"])
    for name in filter(jn.optim.needs_key, jn.optimizer_names()):
        states = jax.vmap(learner_of(name).init)(jax.random.split(jax.random.key(0), 2))
        keys = [
            leaf
            for leaf in jax.tree.leaves(states.optimizer_state)
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) or leaf.dtype == jnp.uint32
        ]
        assert keys, name
        data_of = jax.random.key_data if keys[0].dtype != jnp.uint32 else jnp.asarray
        assert (data_of(keys[0])[0] != data_of(keys[0])[1]).any(), name
    assert data


BROUGHT = {
    "chain": lambda: optax.chain(optax.clip(1.0), optax.adam(1e-2)),
    "sam_in_a_chain": lambda: optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.contrib.sam(
            optax.sgd(0.1),
            optax.chain(optax.contrib.normalize(), optax.sgd(0.05)),
            opaque_mode=True,
        ),
    ),
    "sam_transparent": lambda: optax.contrib.sam(
        optax.sgd(0.1), optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    ),
    "lookahead_in_a_chain": lambda: optax.chain(
        optax.clip_by_global_norm(1.0), optax.lookahead(optax.adam(1e-2), 5, 0.5)
    ),
    "schedule_free_in_a_chain": lambda: optax.chain(
        optax.clip(1.0), optax.contrib.schedule_free_adamw(1e-2)
    ),
    "multi_steps": lambda: optax.MultiSteps(optax.adam(1e-2), 2).gradient_transformation(),
    "line_search": lambda: optax.chain(
        optax.sgd(1.0), optax.scale_by_backtracking_linesearch(max_backtracking_steps=10)
    ),
    "injected": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=1e-2),
    "by_label": lambda: optax.partition(
        {"kernel": optax.adam(1e-2), "bias": optax.sgd(0.1)},
        lambda params: jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key, params),
    ),
}


@pytest.mark.parametrize("name", BROUGHT)
def test_any_transformation_that_a_user_brings_trains(name, digits, key):
    learner = jn.gradient_learner(
        lambda key: params_of(NETWORK), jn.classification(NETWORK), BROUGHT[name]()
    )
    fit = functools.partial(jn.fit, learner, batches=BATCHES, num_epochs=15)
    state, _ = jax.jit(fit)(key, digits["train"])
    assert accuracy(state, digits["test"]) >= 0.90
