"""A run on files, read in windows of blocks, killed at random moments and run again."""

import random
import signal
import time

import numpy as np
import pytest

from jaxnet.checkpoint import Checkpoints

pytestmark = pytest.mark.crash

SCRIPT = """
import jax, optax, jaxnet as jn
from jaxnet import streams
from jaxnet.runs import RunDirectory, TrainOptions, train
from jaxnet.training import index_shuffled

key = jax.random.key(1)
batches = index_shuffled(16, blocks=100, window=4)
source = streams.npy_source("../files")
network = jn.mlp([20, 32, 2], dropout=0.2)
learner = jn.gradient_learner(network.init, jn.classification(network), optax.adam(1e-3))
options = TrainOptions(num_epochs=3, checkpoint_every=11)
with RunDirectory.open("run", name="s", config={}, data_sha256="a", resume=None) as directory:
    if SOURCE == "memory":
        content = source.read_range(0, len(source))
        result = train(
            directory, learner, learner.init(key), content, batches=batches, options=options
        )
    else:
        data = streams.stream(source, batches, key)
        result = train(directory, learner, learner.init(key), data, batches=None, options=options)
    print("state", result.state_sha256)
"""
ON_DISK = "SOURCE = 'disk'" + SCRIPT


def steps(folder):
    return Checkpoints(folder / "run" / "checkpoints").steps() or [0]


def state_line(output):
    return next(line for line in output.splitlines() if line.startswith("state "))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream")
    (folder / "files").mkdir()
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4007, 20)).astype(np.float32)
    np.save(folder / "files" / "x.npy", x)
    np.save(folder / "files" / "y.npy", (x.sum(axis=1) > 0).astype(np.int32))
    return folder


@pytest.fixture(scope="module")
def whole(files, scripts):
    """The hash of the run that nothing interrupted."""
    return state_line(scripts(ON_DISK, files / "whole"))


def test_kill_9_at_random_moments(files, whole, scripts):
    assert whole == state_line(scripts("SOURCE = 'memory'" + SCRIPT, files / "memory"))
    generator, folder, interrupted = random.Random(0), files / "killed", set()
    for kill in range(6):
        before = steps(folder)[-1]
        process = scripts.start(ON_DISK, folder)
        if kill % 3 == 0:
            time.sleep(generator.uniform(0.0, 2.0))
        else:
            process.wait_until(lambda before=before: steps(folder)[-1] > before)
            time.sleep(generator.uniform(0.0, 0.02))
        process.end()
        interrupted.add(steps(folder)[-1])
    assert len(interrupted) >= 4 and max(interrupted) < 750
    output = scripts(ON_DISK, folder)
    assert "resuming at step" in output
    assert state_line(output) == whole


def test_a_signal_ends_the_threads(files, whole, scripts):
    process = scripts.start(ON_DISK, files / "signal")
    process.wait_until(lambda: steps(files / "signal")[-1] > 0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) != 0
    assert "interrupted at step" in process.output()
    output = scripts(ON_DISK, files / "signal")
    assert "resuming at step" in output
    assert state_line(output) == whole
