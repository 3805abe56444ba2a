"""The watched training run: early stopping, numbers that are not finite, event files."""

import json
import struct

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from experiments.classification import experiment as classification
from experiments.classification.experiment import Config
from jaxnet.checkpoint import Checkpoints
from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.training import train

NETWORK = jn.mlp([64, 8, 10])


def run(out, digits, optimizer, evaluate, *, num_epochs=6, **options):
    """Train two networks on a few digits."""
    config = Config(
        out=out, num_epochs=num_epochs, batch_size=100, num_seeds=2, checkpoint_every=0, **options
    )
    learner = jn.gradient_learner(NETWORK.init, jn.classification(NETWORK), optimizer)
    states = jax.vmap(learner.init)(jax.random.split(jax.random.key(0), 2))
    with RunDirectory.open(config, "abc") as directory:
        return train(learner, states, digits["train"], evaluate, config, directory)


def test_each_network_stops_by_itself_and_keeps_its_best(digits, tmp_path):
    """The validation loss is scripted: it depends on the epoch through a bias that only counts."""

    def objective(params, batch, key):
        # The gradient is 1, so with a rate of 1 the bias is minus the number of steps.
        return params["bias"], {}

    learner = jn.gradient_learner(lambda key: {"bias": jnp.zeros(())}, objective, optax.sgd(1.0))
    states = jax.vmap(learner.init)(jax.random.split(jax.random.key(0), 2))
    curves = jnp.array(
        [[5.0, 4.0, 4.5, 4.5, 4.5, 1.0, 1.0, 1.0], [5.0, 4.0, 3.0, 3.0, 2.0, 2.5, 2.5, 2.5]]
    )

    def evaluate(params):
        epochs = (-params["bias"]).astype(int) // 2
        return {"loss": curves[jnp.arange(2), epochs - 1]}

    config = Config(out=tmp_path / "run", num_epochs=8, batch_size=700, patience=2)
    with RunDirectory.open(config, "abc") as directory:
        trained = train(learner, states, digits["train"], evaluate, config, directory)
    # The first network is out of patience in epoch 4, and the lower loss of epoch 6 is not its own.
    assert trained.best_epochs == [2, 5]
    assert trained.params["bias"].tolist() == [-4.0, -10.0]
    assert trained.history["loss"]["validation"].shape == (7, 2)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("what", ["loss", "parameters"])
def test_numbers_that_are_not_finite_end_the_run(what, digits, tmp_path):
    """From step 30 on: after two epochs of 14 steps, in the middle of the third."""

    def spoiled(updates, state, params):
        scale = jnp.where(state + 1 == 30, jnp.nan, 0.1)
        return jax.tree.map(lambda leaf: -scale * leaf, updates), state + 1

    optimizer = optax.GradientTransformation(lambda params: jnp.zeros((), int), spoiled)
    interval = {"loss": 14, "parameters": 15}[what]
    config = Config(out=tmp_path / "run", num_epochs=6, batch_size=100, checkpoint_every=interval)
    learner = jn.gradient_learner(NETWORK.init, jn.classification(NETWORK), optimizer)
    states = jax.vmap(learner.init)(jax.random.split(jax.random.key(0), 2))
    found = {
        "loss": r"loss of network 0 became nan in epoch 3 at step 31 \(the checkpoint of step 28 is"
        r" kept\); try a smaller",
        # A checkpoint is due just after the step that spoiled them.
        "parameters": r"parameters of network 0 became .* in epoch 3 at step 30 \(the checkpoint "
        r"of step 15 is",
    }[what]
    with (
        RunDirectory.open(config, "abc") as directory,
        pytest.raises(FloatingPointError, match=found),
    ):
        train(learner, states, digits["train"], lambda params: {}, config, directory)
    assert (
        Checkpoints(tmp_path / "run" / "checkpoints").steps()[-1]
        == {
            "loss": 28,
            "parameters": 15,
        }[what]
    )


def test_the_best_checkpoint_by_validation_loss_is_kept(digits, tmp_path):
    def evaluate(params):
        # Best after the second of six epochs.
        kernel = params["dense_0"]["kernel"]
        return {"loss": jnp.abs(kernel[:, 0, 0] - 2.0)}

    def count(updates, state, params):
        change = jax.tree.map(lambda leaf: jnp.full_like(leaf, 1 / 14), updates)
        return change, state

    def init(key):
        return jax.tree.map(jnp.zeros_like, NETWORK.init(key))

    learner = jn.gradient_learner(
        init, jn.classification(NETWORK), optax.GradientTransformation(lambda params: (), count)
    )
    states = jax.vmap(learner.init)(jax.random.split(jax.random.key(0), 2))
    config = Config(out=tmp_path / "run", num_epochs=6, batch_size=100, checkpoint_every=14)
    with RunDirectory.open(config, "abc") as directory:
        train(learner, states, digits["train"], evaluate, config, directory)
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    assert checkpoints.best() == 28
    assert checkpoints.steps() == [28, 70, 84]


def test_event_files_hold_the_metrics(tmp_path):
    config = Config(
        num_epochs=2, num_seeds=2, hidden_dims=(8,), tensorboard=True, out=tmp_path / "run"
    )
    classification.run(config)
    (file,) = (tmp_path / "run" / "tensorboard").iterdir()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    expected = [np.mean(json.loads(line)["train"]["loss"]) for line in lines]
    found = {step: value for tag, step, value in events(file) if tag == "loss/train"}
    assert list(found) == [1, 2]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-6)


def events(path):
    """Tag, step and value of each scalar: records are length, checksum, content, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    content, position = path.read_bytes(), 0
    while position < len(content):
        (length,) = struct.unpack_from("<Q", content, position)
        event = Event.FromString(content[position + 12 : position + 12 + length])
        for value in event.summary.value:
            yield value.tag, event.step, value.simple_value
        position += length + 16
