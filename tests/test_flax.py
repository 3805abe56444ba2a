"""Flax modules are networks like any other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import jaxnet as jn
from jaxnet.nn.flax import from_linen, from_nnx


class Told(linen.Module):
    """Is told by `train` what Linen's own layers are told by `deterministic`."""

    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.relu(linen.Dense(16)(x))
        x = linen.Dropout(0.5, deterministic=not train)(x)
        return linen.Dense(10)(x)


class Untold(linen.Module):
    @linen.compact
    def __call__(self, x, deterministic: bool = True):
        x = linen.relu(linen.Dense(16)(x))
        return linen.Dense(10)(linen.Dropout(0.5)(x, deterministic=deterministic))


class Module(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(64, 16, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.out = nnx.Linear(16, 10, rngs=rngs)

    def __call__(self, x):
        return self.out(self.dropout(nnx.relu(self.hidden(x))))


EXAMPLE = jnp.zeros((1, 64))
NETWORKS = {
    "train": lambda: from_linen(Told(), EXAMPLE),
    "deterministic": lambda: from_linen(Untold(), EXAMPLE),
    "nnx": lambda: from_nnx(Module),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_is_off_without_a_key_and_follows_it(name, key):
    network = NETWORKS[name]()
    params, apply = jax.jit(network.init)(key), jax.jit(network.apply)
    x = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    plain = np.asarray(apply(params, x))
    np.testing.assert_array_equal(plain, apply(params, x))
    first, second, again = (
        np.asarray(apply(params, x, key=jax.random.key(seed))) for seed in (1, 2, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert (first != plain).any()


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_is_the_same_mathematics(name, key):
    network = NETWORKS[name]()
    params, apply = jax.jit(network.init)(key), jax.jit(network.apply)
    first, second = (jax.device_get(params[layer]) for layer in sorted(params)[:2])
    x = np.random.default_rng(0).normal(size=(2, 3, 64)).astype(np.float32)
    hidden = np.maximum(x @ first["kernel"] + first["bias"], 0)
    expected = hidden @ second["kernel"] + second["bias"]
    np.testing.assert_allclose(apply(params, x), expected, rtol=1e-4, atol=1e-5)
    mapped = jax.jit(jax.vmap(network.apply, (None, 0)))(params, x)
    np.testing.assert_allclose(mapped, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_trains_through_the_one_loop(name, key, digits):
    network = NETWORKS[name]()
    learner = jn.gradient_learner(network.init, jn.classification(network), optax.adam(1e-2))

    @jax.jit
    def train(data):
        return jn.fit(learner, key, data, batch_size=64, num_epochs=10)[0].params

    outputs = np.asarray(jax.jit(network.apply)(train(digits["train"]), digits["test"]["x"]))
    assert (outputs.argmax(-1) == np.asarray(digits["test"]["y"])).mean() > 0.85


def test_linen_outputs_are_the_modules(key):
    module = linen.Conv(4, (3, 3))
    x = jax.random.normal(key, (2, 8, 8, 1))
    network = from_linen(module, x)
    params = network.init(key)
    np.testing.assert_array_equal(params["kernel"], module.init(key, x)["params"]["kernel"])
    np.testing.assert_array_equal(network.apply(params, x), module.apply({"params": params}, x))


class Normalized(linen.Module):
    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.Dense(16)(x)
        x = linen.relu(linen.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        return linen.Dense(10)(x)


class NormalizedNnx(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(64, 16, rngs=rngs)
        self.norm = nnx.BatchNorm(16, momentum=0.9, rngs=rngs)
        self.out = nnx.Linear(16, 10, rngs=rngs)

    def __call__(self, x):
        return self.out(nnx.relu(self.norm(self.hidden(x))))


def plain_flax(module, key, data, num_steps):
    """The same network on the same batches, by Flax and Optax alone."""
    init = jax.jit(functools.partial(module.init, train=False))
    variables = init({"params": jax.random.fold_in(key, 0)}, EXAMPLE)
    params, stats = variables["params"], variables.get("batch_stats", {})
    optimizer = optax.adam(1e-2)
    state = optimizer.init(params)

    def loss_fn(params, stats, batch, key):
        outputs, updated = module.apply(
            {"params": params, "batch_stats": stats},
            batch["x"],
            train=True,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(outputs, batch["y"])
        return losses.mean(), updated.get("batch_stats", {})

    @jax.jit
    def step(params, stats, state, batch, key):
        (loss, stats), gradient = jax.value_and_grad(loss_fn, has_aux=True)(
            params, stats, batch, key
        )
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), stats, state, loss

    source, losses = jn.training.shuffled(64), []
    length = source.num_steps(data)

    @jax.jit
    def inputs(data, number):
        plan = source.plan(data, key, number // length)
        noise = jax.random.fold_in(jax.random.fold_in(key, 2), number)
        return source.take(data, plan, number % length), noise

    for number in range(num_steps):
        batch, noise = inputs(data, number)
        params, stats, state, loss = step(params, stats, state, batch, noise)
        losses.append(float(loss))
    return {"params": params, "batch_stats": stats}, np.array(losses)


@pytest.mark.parametrize("module", [Told(), Normalized()], ids=["dropout", "batch_norm"])
def test_training_is_that_of_plain_flax_and_optax(module, key, digits):
    data, test = digits["train"], digits["test"]
    network = from_linen(module, EXAMPLE)
    learner = jn.gradient_learner(network.init, jn.classification(network), optax.adam(1e-2))
    num_steps = 5 * (len(data["y"]) // 64)
    variables, losses = plain_flax(module, key, data, num_steps)
    state, values = jax.jit(learner.init)(key), []
    metrics = jn.training.begin_epoch(learner, state, data, batch_size=64)
    for _ in range(5):
        state, metrics = jn.training.advance(
            learner, state, metrics, data, batch_size=64, num_steps=num_steps // 5
        )
        values.append(np.asarray(metrics["loss"]))
    np.testing.assert_allclose(np.concatenate(values)[:10], losses[:10], rtol=1e-5)
    labels = np.asarray(test["y"])
    outputs = jax.jit(functools.partial(module.apply, train=False))(variables, test["x"])
    expected = np.asarray(outputs).argmax(-1) == labels
    if isinstance(network, jn.nn.StatefulNetwork):
        apply, params = network.evaluation.apply, (state.params, state.extra)
    else:
        apply, params = network.apply, state.params
    accuracy = (np.asarray(jn.predict(apply, params, test["x"])).argmax(-1) == labels).mean()
    assert abs(float(accuracy - expected.mean())) < 0.01
    assert accuracy > 0.8


@pytest.mark.parametrize("name", ["linen", "nnx"])
def test_batch_statistics_are_state(name, key, digits):
    network = from_linen(Normalized(), EXAMPLE) if name == "linen" else from_nnx(NormalizedNnx)
    learner = jn.gradient_learner(network.init, jn.classification(network), optax.adam(1e-2))
    keys = jax.random.split(key, 2)
    run = jax.vmap(
        lambda key, data: jn.fit(learner, key, data, batch_size=100, num_epochs=4), (0, None)
    )
    states, _ = jax.jit(run)(keys, digits["train"])
    x, y = digits["test"]["x"], digits["test"]["y"]
    evaluate, apply = jax.jit(network.evaluation.apply), jax.jit(network.apply)
    evaluate_all = jax.jit(jax.vmap(network.evaluation.apply, (0, None)))
    outputs = np.asarray(evaluate_all((states.params, states.extra), x))
    assert ((outputs.argmax(-1) == np.asarray(y)).mean(axis=-1) > 0.85).all()
    # Evaluation looks at no other example, and leaves the statistics as they are.
    one = jax.tree.map(lambda leaf: leaf[0], jax.device_get((states.params, states.extra)))
    first = np.asarray(x)[:1]
    np.testing.assert_allclose(evaluate(one, first), outputs[0][:1], rtol=1e-4, atol=1e-5)
    _, extra = apply(*one, x)
    jax.tree.map(np.testing.assert_array_equal, extra, one[1])
    _, extra = jax.device_get(apply(*one, x, key=key))
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), extra, one[1])
    assert all(jax.tree.leaves(changed))


class Dropping(linen.Module):
    """Its flag has a name that nobody knows."""

    @linen.compact
    def __call__(self, x, dropping: bool = False):
        return linen.Dropout(0.5, deterministic=not dropping)(linen.Dense(8)(x))


class DroppingNnx(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(3, 8, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x, dropping: bool = False):
        return self.dropout(self.dense(x), deterministic=not dropping)


ONES = jnp.ones((2, 3))


def apply_in_training(network, key):
    return network.apply(network.init(key), ONES, key=key)


def test_dropout_that_training_does_not_switch_on_is_rejected(key):
    with pytest.raises(ValueError, match="dropout of Dropping stays off in training: Dropout_0"):
        from_linen(Dropping(), ONES)
    with pytest.raises(ValueError, match="dropout of DroppingNnx stays off in training: dropout"):
        apply_in_training(from_nnx(DroppingNnx), key)
    # A module that is meant to be the same in both modes.
    for network in (from_linen(Dropping(), ONES, training={}), from_nnx(DroppingNnx, training={})):
        assert (apply_in_training(network, key) != 0).all()


def test_a_flag_may_have_any_name(key):
    flags = {"dropping": True}
    for network in (
        from_linen(Dropping(), ONES, training=flags),
        from_nnx(DroppingNnx, training=flags),
    ):
        outputs = apply_in_training(network, key)
        assert 0 < (outputs == 0).mean() < 1
        assert (network.apply(network.init(key), ONES) != 0).all()
    with pytest.raises(
        ValueError, match=r"names the flag 'droping', and .* takes \['x', 'dropping'"
    ):
        from_linen(Dropping(), ONES, training={"droping": True})
    with pytest.raises(TypeError, match="must be True or False, found 1"):
        from_nnx(DroppingNnx, training={"dropping": 1})  # pyright: ignore[reportArgumentType]


class Attention(linen.Module):
    active: bool

    @linen.compact
    def __call__(self, x, train: bool):
        deterministic = not (train and self.active)
        layer = linen.MultiHeadDotProductAttention(2, dropout_rate=0.5, deterministic=deterministic)
        return layer(x[..., None, :])


def test_dropout_inside_attention_is_checked(key):
    x = jnp.ones((2, 4))
    with pytest.raises(ValueError, match="MultiHeadDotProductAttention_0"):
        from_linen(Attention(active=False), x)
    assert from_linen(Attention(active=True), x).apply is not None


class Noisy(linen.Module):
    """Draws from two streams that have other names than `dropout`."""

    @linen.compact
    def __call__(self, x, train: bool):
        if not train:
            return jnp.stack([x, x])
        names = ("noise", "augmentation")
        return jnp.stack([jax.random.normal(self.make_rng(name), x.shape) for name in names])


class NoisyNnx(nnx.Module):
    def __init__(self, rngs):
        self.first, self.second = rngs.noise.fork(), rngs.augmentation.fork()

    def __call__(self, x, train: bool):
        if not train:
            return jnp.stack([x, x])
        streams = (self.first, self.second)
        return jnp.stack([jax.random.normal(stream(), x.shape) for stream in streams])


@pytest.mark.parametrize("name", ["linen", "nnx"])
def test_every_random_stream_has_numbers_of_its_own(name, key):
    x = jnp.ones(1000)
    network = from_linen(Noisy(), x) if name == "linen" else from_nnx(NoisyNnx)
    params = network.init(key)
    first, second = np.asarray(network.apply(params, x, key=key))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    assert abs(first.mean()) < 0.15 and abs(first.std() - 1) < 0.1
    np.testing.assert_array_equal(network.apply(params, x), np.ones((2, 1000)))
    other = network.apply(params, x, key=jax.random.key(1))
    assert not (other == np.stack([first, second])).any()


class AlwaysRandom(linen.Module):
    @linen.compact
    def __call__(self, x):
        return x + jax.random.normal(self.make_rng("noise"), x.shape)


class AlwaysRandomNnx(nnx.Module):
    def __init__(self, rngs):
        self.noise = rngs.noise.fork()

    def __call__(self, x):
        return x + jax.random.normal(self.noise(), x.shape)


def test_random_numbers_in_evaluation_are_rejected(key):
    for network in (from_linen(AlwaysRandom(), ONES), from_nnx(AlwaysRandomNnx)):
        assert (apply_in_training(network, key) != 1).all()
        with pytest.raises(ValueError, match="draws random numbers in evaluation"):
            network.apply(network.init(key), ONES)


class Two(linen.Module):
    @linen.compact
    def __call__(self, images, table):
        return linen.Dense(1)(images) + 2 * linen.Dense(1)(table)


class TwoNnx(nnx.Module):
    def __init__(self, rngs):
        self.Dense_0, self.Dense_1 = nnx.Linear(3, 1, rngs=rngs), nnx.Linear(2, 1, rngs=rngs)

    def __call__(self, images, table):
        return self.Dense_0(images) + 2 * self.Dense_1(table)


@pytest.mark.parametrize("name", ["linen", "nnx"])
def test_several_inputs_are_a_tuple(name, key):
    x = (jax.random.normal(key, (6, 3)), jax.random.normal(key, (6, 2)))
    network = from_linen(Two(), x) if name == "linen" else from_nnx(TwoNnx)
    params = network.init(key)
    first, second = (inputs @ params[f"Dense_{i}"]["kernel"] for i, inputs in enumerate(x))
    expected = first + 2 * second
    np.testing.assert_allclose(network.apply(params, x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        jn.predict(network.apply, params, x, batch_size=4), expected, rtol=1e-5, atol=1e-6
    )
    learner = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.05))
    data = {"x": x, "y": x[0].sum(axis=1)}
    _, history = jn.fit(learner, key, data, batch_size=3, num_epochs=20)
    assert history["loss"][-1] < history["loss"][0]


def test_apply_of_an_nnx_module_runs_no_initializer(key):
    calls = []

    def kernel_init(key, shape, dtype=jnp.float32):
        calls.append(shape)
        return jnp.ones(shape, dtype)

    network = from_nnx(lambda rngs: nnx.Linear(3, 2, kernel_init=kernel_init, rngs=rngs))
    params = network.init(key)
    num_calls = len(calls)
    np.testing.assert_array_equal(network.apply(params, ONES), jnp.full((2, 2), 3.0))
    jax.eval_shape(lambda params: network.apply(params, ONES, key=key), params)
    assert len(calls) == num_calls
    # Nothing of a trace is left in the module.
    np.testing.assert_array_equal(network.apply(params, ONES), jnp.full((2, 2), 3.0))


class Sowing(linen.Module):
    @linen.compact
    def __call__(self, x):
        self.sow("losses", "size", jnp.sum(x))
        return linen.Dense(1)(x)


def test_variables_keep_their_structure():
    with pytest.raises(ValueError, match="the state of Sowing changes in training"):
        from_linen(Sowing(), ONES)
