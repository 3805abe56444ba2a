"""Flax modules are networks like any other."""

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
    params = network.init(key)
    x = jax.random.normal(key, (4, 64))
    np.testing.assert_array_equal(network.apply(params, x), network.apply(params, x))
    first, second = (network.apply(params, x, key=jax.random.key(seed)) for seed in (1, 2))
    again = network.apply(params, x, key=jax.random.key(1))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert (first != network.apply(params, x)).any()


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_is_the_same_mathematics(name, key):
    network = NETWORKS[name]()
    params = network.init(key)
    first, second = (params[layer] for layer in sorted(params)[:2])
    x = jax.random.normal(key, (2, 3, 64))
    hidden = jnp.maximum(x @ first["kernel"] + first["bias"], 0)
    expected = hidden @ second["kernel"] + second["bias"]
    np.testing.assert_allclose(network.apply(params, x), expected, rtol=1e-4, atol=1e-5)
    mapped = jax.vmap(lambda each: network.apply(params, each))(x)
    np.testing.assert_allclose(mapped, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_trains_through_the_one_loop(name, key, digits):
    network = NETWORKS[name]()
    learner = jn.gradient_learner(network.init, jn.classification(network), optax.adam(1e-2))

    @jax.jit
    def train(data):
        return jn.fit(learner, key, data, batch_size=64, num_epochs=10)[0].params

    outputs = network.apply(train(digits["train"]), digits["test"]["x"])
    assert (outputs.argmax(-1) == digits["test"]["y"]).mean() > 0.85


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
    variables = module.init({"params": jax.random.fold_in(key, 0)}, EXAMPLE, train=False)
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
    for number in range(num_steps):
        if number % length == 0:
            plan = source.plan(data, key, number // length)
        batch = source.take(data, plan, number % length)
        noise = jax.random.fold_in(jax.random.fold_in(key, 2), number)
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
    state, values = learner.init(key), []
    metrics = jn.training.begin_epoch(learner, state, data, batch_size=64)
    for _ in range(5):
        state, metrics = jn.training.advance(
            learner, state, metrics, data, batch_size=64, num_steps=num_steps // 5
        )
        values.append(np.asarray(metrics["loss"]))
    np.testing.assert_allclose(np.concatenate(values)[:10], losses[:10], rtol=1e-5)
    expected = module.apply(variables, test["x"], train=False).argmax(-1) == test["y"]
    if isinstance(network, jn.nn.StatefulNetwork):
        apply, params = network.evaluation.apply, (state.params, state.extra)
    else:
        apply, params = network.apply, state.params
    accuracy = (jn.predict(apply, params, test["x"]).argmax(-1) == test["y"]).mean()
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
    outputs = jax.vmap(network.evaluation.apply, (0, None))((states.params, states.extra), x)
    assert ((outputs.argmax(-1) == y).mean(axis=-1) > 0.85).all()
    # Evaluation looks at no other example, and leaves the statistics as they are.
    one = jax.tree.map(lambda leaf: leaf[0], (states.params, states.extra))
    np.testing.assert_allclose(
        network.evaluation.apply(one, x[:1]), outputs[0][:1], rtol=1e-4, atol=1e-5
    )
    _, extra = network.apply(*one, x)
    jax.tree.map(np.testing.assert_array_equal, extra, one[1])
    _, extra = network.apply(*one, x, key=key)
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), extra, one[1])
    assert all(jax.tree.leaves(changed))
