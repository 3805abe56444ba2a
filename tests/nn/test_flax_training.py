"""Flax modules train as with Flax and Optax alone, with batch statistics as state."""

import functools

import jax
import numpy as np
import optax
import pytest
from flax import linen, nnx

import jaxnet as jn
from jaxnet.nn.flax import from_linen, from_nnx

EXAMPLE = np.zeros((1, 64), np.float32)
BATCHES = jn.training.in_order(64)


class Told(linen.Module):
    """Is told by `train` what Linen's own layers are told by `deterministic`."""

    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.relu(linen.Dense(16)(x))
        x = linen.Dropout(0.5, deterministic=not train)(x)
        return linen.Dense(10)(x)


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
    optimizer = optax.adam(1e-2)

    @jax.jit
    def init(key):
        variables = module.init({"params": key}, EXAMPLE, train=False)
        params = variables["params"]
        return params, variables.get("batch_stats", {}), optimizer.init(params)

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

    length = BATCHES.num_steps(data)

    @jax.jit
    def step(params, stats, state, data, number):
        batch = BATCHES.take(data, (), number % length)
        noise = jax.random.fold_in(jax.random.fold_in(key, 2), number)
        (loss, stats), gradient = jax.value_and_grad(loss_fn, has_aux=True)(
            params, stats, batch, noise
        )
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), stats, state, loss

    params, stats, state = init(jax.random.fold_in(key, 0))
    losses = []
    for number in range(num_steps):
        params, stats, state, loss = step(params, stats, state, data, number)
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
    metrics = jn.training.begin_epoch(learner, state, data, batches=BATCHES)
    for _ in range(5):
        state, metrics = jn.training.advance(
            learner, state, metrics, data, batches=BATCHES, num_steps=num_steps // 5
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
    x, y = digits["test"]["x"], digits["test"]["y"]

    @jax.jit
    def run(keys, data, x):
        def fit(key, data):
            return jn.fit(learner, key, data, batches=BATCHES, num_epochs=4)[0]

        states = jax.vmap(fit, (0, None))(keys, data)
        variables = states.params, states.extra
        return variables, jax.vmap(network.evaluation.apply, (0, None))(variables, x)

    variables, outputs = jax.device_get(run(keys, digits["train"], x))
    assert ((outputs.argmax(-1) == np.asarray(y)).mean(axis=-1) > 0.85).all()
    # Evaluation looks at no other example, and leaves the statistics as they are.
    one = jax.tree.map(lambda leaf: leaf[0], variables)

    @jax.jit
    def modes(one, x, key):
        return (
            network.evaluation.apply(one, x[:1]),
            network.apply(*one, x)[1],
            network.apply(*one, x, key=key)[1],
        )

    first, kept, updated = jax.device_get(modes(one, x, key))
    np.testing.assert_allclose(first, outputs[0][:1], rtol=1e-4, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, kept, one[1])
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), updated, one[1])
    assert all(jax.tree.leaves(changed))
