"""Laws that every optimizer of the installed Optax obeys, by name, in the one training loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from tests.contracts.generator import quick_key

# An optimizer writes its operations for each array: two are fewer than those of hidden layers.
NETWORK = jn.mlp([64, 10])
# A program without a draw of parameters or a permutation compiles in half the time.
BATCHES = jn.training.in_order(64)
KEY = quick_key(20)


def params_of(network):
    """Small weights, drawn by NumPy."""
    random = np.random.default_rng(0)

    def draw(leaf):
        scale = 0.02 if leaf.ndim == 2 else 0.0
        return (scale * random.normal(size=leaf.shape)).astype(leaf.dtype)

    return jax.tree.map(draw, jax.eval_shape(network.init, jax.random.key(0)))


def learner_of(name, rate=None, **options):
    def make(key):
        return jn.optimizer(name, rate, key=key, **options)

    return jn.gradient_learner(lambda key: params_of(NETWORK), jn.classification(NETWORK), make)


@pytest.fixture(scope="module")
def train(digits):
    """Probabilities of classes instead of labels, whose programs scatter and compile longer."""
    y = np.eye(10, dtype=np.float32)[np.asarray(digits["train"]["y"])]
    return jax.device_put({"x": digits["train"]["x"], "y": y})


@jax.jit
def accuracy(params, data):
    return (NETWORK.apply(params, data["x"]).argmax(axis=-1) == data["y"]).mean()


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", jn.optimizer_names())
def test_trains_digits_at_its_default_rate_and_takes_a_traced_one(name, train, digits):
    """Two runs of one program: at the default rate, and at a tenth of it."""
    rate = jn.optim.default_learning_rate(name)

    @jax.jit
    def fit(traced, data):
        learner = learner_of(name, None if rate is None else traced)
        state, history = jn.fit(learner, KEY, data, batches=BATCHES, num_epochs=20)
        return jn.evaluation_params(state), history["loss"]

    params, losses = fit(np.float32(rate or 0.0), train)
    _, others = fit(np.float32(0.1 * (rate or 0.0)), train)
    assert np.isfinite(losses).all() and np.isfinite(others).all()
    assert accuracy(params, digits["test"]) >= 0.90
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    # The installed Optax's cocob, a betting scheme, takes a rate and ignores it, but for rounding.
    ignores = rate is None or name == "cocob"
    assert np.allclose(losses, others, rtol=1e-3, atol=0) == ignores


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", [n for n in jn.optimizer_names() if jn.optim.takes_schedule(n)])
def test_takes_a_schedule_weight_decay_and_clipping(name, train):
    """Traced, not run: whether Optax computes its schedules rightly is for Optax to test."""
    data = jax.tree.map(lambda leaf: leaf[:64], train)
    rate = jn.schedule("warmup_cosine", jn.optim.default_learning_rate(name) or 1.0, num_steps=6)
    learner = learner_of(name, rate, weight_decay=1e-4, clip_norm=1.0)
    _, metrics = jax.eval_shape(lambda key: learner.step(learner.init(key), data), KEY)
    assert metrics["loss"].shape == ()


def test_optimizers_that_draw_numbers_follow_the_key_of_the_run():
    names = [name for name in jn.optimizer_names() if jn.optim.needs_key(name)]

    @jax.jit
    def drawn(keys):
        """What the states of the optimizers hold of keys, of two runs each."""
        states = {name: jax.vmap(learner_of(name).init)(keys).optimizer_state for name in names}
        return {
            name: [
                leaf if leaf.dtype == jnp.uint32 else jax.random.key_data(leaf)
                for leaf in jax.tree.leaves(state)
                if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) or leaf.dtype == jnp.uint32
            ]
            for name, state in states.items()
        }

    for name, keys in drawn(jax.random.split(jax.random.key(0), 2)).items():
        assert keys, name
        first, second = np.asarray(keys[0])
        assert (first != second).any(), name


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
def test_any_transformation_that_a_user_brings_trains(name, train, digits):
    learner = jn.gradient_learner(
        lambda key: params_of(NETWORK), jn.classification(NETWORK), BROUGHT[name]()
    )

    @jax.jit
    def fit(data):
        state, _ = jn.fit(learner, KEY, data, batches=BATCHES, num_epochs=15)
        return jn.evaluation_params(state)

    assert accuracy(fit(train), digits["test"]) >= 0.90
