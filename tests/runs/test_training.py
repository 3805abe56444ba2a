"""Watched training: early stopping, non-finite numbers, checkpoints, event files."""

import json
import struct

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet.checkpoint import Checkpoints
from jaxnet.runs import RunDirectory, TrainOptions, train

NETWORK = jn.mlp([64, 8, 10])


@pytest.fixture
def directory(tmp_path):
    """A new run directory."""
    with RunDirectory.open(
        tmp_path / "run", name="test", config={}, data_sha256="abc"
    ) as directory:
        yield directory


def gradient_states(optimizer, init=NETWORK.init):
    """A learner of a small network on the digits, and the initial states of two runs."""
    learner = jn.gradient_learner(init, jn.classification(NETWORK), optimizer)
    return learner, init_two(learner)


def init_two(learner):
    return jax.jit(jax.vmap(learner.init))(jax.random.split(jax.random.key(0), 2))


LEARNER = jn.gradient_learner(NETWORK.init, jn.classification(NETWORK), optax.sgd(0.1))


def _spoiled(updates, state, params):
    """From step 30 on: after two epochs of 14 steps, in the middle of the third."""
    scale = jnp.where(state + 1 == 30, jnp.nan, 0.1)
    return jax.tree.map(lambda leaf: -scale * leaf, updates), state + 1


SPOILED = jn.gradient_learner(
    NETWORK.init,
    jn.classification(NETWORK),
    optax.GradientTransformation(lambda params: jnp.zeros((), int), _spoiled),
)


def test_each_run_stops_by_itself_and_keeps_its_best(digits, directory):
    """The validation loss is scripted: it depends on the epoch through a bias that only counts."""

    def objective(params, batch, key):
        # The gradient is 1, so with a rate of 1 the bias is minus the number of steps.
        return params["bias"], {}

    learner = jn.gradient_learner(lambda key: {"bias": jnp.zeros(())}, objective, optax.sgd(1.0))
    states = init_two(learner)
    curves = np.array(
        [[5.0, 4.0, 4.5, 4.5, 4.5, 1.0, 1.0, 1.0], [5.0, 4.0, 3.0, 3.0, 2.0, 2.5, 2.5, 2.5]]
    )

    @jax.jit
    def evaluate(params, extra):
        epochs = (-params["bias"]).astype(int) // 2
        return {"loss": jnp.asarray(curves)[jnp.arange(2), epochs - 1]}

    options = TrainOptions(num_epochs=8, patience=2)
    result = train(
        directory, learner, states, digits["train"], batches=700, options=options, evaluate=evaluate
    )
    # The first run is out of patience in epoch 4, and the lower loss of epoch 6 does not count.
    assert result.best_epochs.tolist() == [2, 5]
    assert result.params["bias"].tolist() == [-4.0, -10.0]
    assert result.history["loss"]["validation"].shape == (7, 2)
    lines = (directory.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("what", ["loss", "parameters"])
def test_a_numerical_failure_ends_the_run(what, digits, directory):
    interval = {"loss": 14, "parameters": 15}[what]
    options = TrainOptions(num_epochs=6, checkpoint_every=interval)
    message = {
        "loss": r"loss of run 0 became nan in epoch 3 at step 31 \(the checkpoint of step 28 is"
        r" kept\); try a smaller",
        # A checkpoint is due just after the step that spoiled them.
        "parameters": r"parameters of run 0 became .* in epoch 3 at step 30 \(the checkpoint "
        r"of step 15 is",
    }[what]
    with pytest.raises(FloatingPointError, match=message):
        train(directory, SPOILED, init_two(SPOILED), digits["train"], batches=100, options=options)
    last = Checkpoints(directory.path / "checkpoints").steps()[-1]
    assert last == {"loss": 28, "parameters": 15}[what]


def test_the_best_checkpoint_by_validation_loss_is_kept(digits, directory):
    @jax.jit
    def evaluate(params, extra):
        # Best after the second of six epochs.
        kernel = params["dense_0"]["kernel"]
        return {"loss": jnp.abs(kernel[:, 0, 0] - 2.0)}

    def count(updates, state, params):
        change = jax.tree.map(lambda leaf: jnp.full_like(leaf, 1 / 14), updates)
        return change, state

    def init(key):
        return jax.tree.map(jnp.zeros_like, NETWORK.init(key))

    optimizer = optax.GradientTransformation(lambda params: (), count)
    learner, states = gradient_states(optimizer, init=init)
    options = TrainOptions(num_epochs=6, checkpoint_every=14)
    train(
        directory, learner, states, digits["train"], batches=100, options=options, evaluate=evaluate
    )
    checkpoints = Checkpoints(directory.path / "checkpoints")
    assert checkpoints.best() == 28
    assert checkpoints.steps() == [28, 70, 84]


@pytest.mark.parametrize("num_runs", [None, 2])
def test_event_files_hold_the_metrics(num_runs, digits, directory):
    states = init_two(LEARNER) if num_runs else jax.jit(LEARNER.init)(jax.random.key(0))
    options = TrainOptions(num_epochs=2, tensorboard=True)
    train(directory, LEARNER, states, digits["train"], batches=100, options=options)
    (file,) = (directory.path / "tensorboard").iterdir()
    lines = (directory.path / "metrics.jsonl").read_text().splitlines()
    expected = [np.mean(json.loads(line)["train"]["loss"]) for line in lines]
    values = {step: value for tag, step, value in events(file) if tag == "loss/train"}
    assert list(values) == [1, 2]
    np.testing.assert_allclose(list(values.values()), expected, rtol=1e-6)


def test_a_single_run_is_trained_as_fit_trains_it(digits, directory):
    state = jax.jit(LEARNER.init)(jax.random.key(0))
    result = train(
        directory, LEARNER, state, digits["train"], batches=100, options=TrainOptions(num_epochs=2)
    )
    pure, history = jax.jit(
        lambda key, data: jn.fit(LEARNER, key, data, batch_size=100, num_epochs=2)
    )(jax.random.key(0), digits["train"])
    for trained, expected in zip(
        jax.tree.leaves(result.params), jax.tree.leaves(pure.params), strict=True
    ):
        np.testing.assert_allclose(trained, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result.history["loss"]["train"], history["loss"], rtol=1e-5)


def test_the_first_epoch_has_the_program_of_the_others():
    """The initial state of L-BFGS has the types of the later ones, weak or not."""
    learner = jn.gradient_learner(NETWORK.init, jn.classification(NETWORK), optax.lbfgs())
    state = jax.eval_shape(learner.init, jax.eval_shape(lambda: jax.random.key(0)))
    batch = {"x": np.zeros((3, 64), np.float32), "y": np.zeros(3, np.int32)}
    after, _ = jax.eval_shape(learner.step, state, batch)
    before, after = (
        [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in jax.tree.leaves(tree)]
        for tree in (state, after)
    )
    assert before == after
    assert not any(weak for *_, weak in before)


def test_early_stopping_without_a_validation_loss_is_rejected(digits, directory):
    options = TrainOptions(num_epochs=2, patience=1)
    with pytest.raises(ValueError, match="patience 1 needs the validation loss"):
        train(directory, LEARNER, init_two(LEARNER), digits["train"], batches=100, options=options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_epochs": 0}, "num_epochs must be at least 1, found 0"),
        ({"num_epochs": 1, "patience": 0}, "patience must be at least 1, found 0"),
        ({"num_epochs": 1, "checkpoint_every": -1}, "checkpoint_every must be at least 0"),
    ],
)
def test_options_out_of_range_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        TrainOptions(**options)


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
