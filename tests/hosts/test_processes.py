"""Two processes train as one with two devices, and one that is killed costs nothing but time."""

import os
import random
import re
import shutil
import signal
import time

import pytest

from jaxnet.checkpoint import Checkpoints, read
from jaxnet.runs import compare_runs

pytestmark = pytest.mark.crash

# For the bar of 5 kills: JAXNET_TEST_KILLS=5.
NUM_KILLS = int(os.environ.get("JAXNET_TEST_KILLS", "2"))
SCRIPT = """
import sys
import jax, optax
import jaxnet as jn
from jaxnet import hosts, training
from sklearn.datasets import load_digits

folder, index, count, address = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if count == 1:
    jax.config.update("jax_num_cpu_devices", 2)
with hosts.connect(address, count, index):
    mesh = training.device_mesh(AXIS=2)
    x, y = load_digits(return_X_y=True)
    data = {"x": x[:896].astype("float32") / 16, "y": y[:896].astype("int32")}
    network = jn.mlp([64, 16, 10], dropout=0.2)
    learner = jn.gradient_learner(network.init, jn.classification(network), optax.adam(1e-3))
    with jn.runs.open_run(folder, config={}, data=data, checkpoint_every=20) as run:
        if "AXIS" == "data":
            learner = training.data_parallel(learner, mesh)
            state = training.replicate(jax.jit(learner.init)(jax.random.key(0)), mesh)
        else:
            # Each process has one of the two networks.
            keys = jax.random.split(jax.random.key(0), 2)
            state = training.shard_runs(jax.jit(jax.vmap(learner.init))(keys), mesh)
        placed = training.replicate(data, mesh)
        result = run.train(learner, state, placed, num_epochs=EPOCHS, batches=32)
        run.save_params(result.params)
        run.finish(loss=result.history["loss"]["train"][-1])
"""


def arguments(folder, address, count, *, axis="data", epochs):
    script = SCRIPT.replace("EPOCHS", str(epochs)).replace("AXIS", axis)
    return [["-c", script, folder / "run", index, count, address] for index in range(count)]


def steps(folder):
    return Checkpoints(folder / "run" / "checkpoints").steps() or [0]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143)])
def test_a_signal_to_one_process_stops_all_at_the_same_step(
    number, status, start, free_address, tmp_path
):
    group = start(arguments(tmp_path, free_address(), 2, epochs=600), tmp_path)
    group.wait_until(lambda: steps(tmp_path)[-1] > 0)
    group.processes[1].send_signal(number)
    assert group.wait() == [status, status], group
    found = [re.findall(r"interrupted at step (\d+)", "\n".join(group.output(i))) for i in (0, 1)]
    assert found == [[str(steps(tmp_path)[-1])]] * 2, group


@pytest.mark.parametrize(
    ("axis", "num_kills", "epochs"),
    # Each step of `data` is a message of both: ten epochs are the steps until a kill, and more.
    [("data", NUM_KILLS, 10 * NUM_KILLS), ("run", max(1, NUM_KILLS // 2), 60)],
    ids=["data", "run"],
)
def test_two_processes_equal_one_with_two_devices_and_survive_kills(
    axis, num_kills, epochs, start, free_address, tmp_path
):
    """Replicated over `data`, saved by process 0; split over `run`, saved by both together."""
    whole = tmp_path / "whole"
    one = start(arguments(whole, free_address(), 1, axis=axis, epochs=epochs), whole)
    assert one.wait() == [0], one
    generator = random.Random(1)
    for kill in range(num_kills):
        before = steps(tmp_path)[-1]
        each = arguments(tmp_path, free_address(), 2, axis=axis, epochs=epochs)
        group = start(each, tmp_path / f"kill-{kill}", killed=True)
        group.wait_until(lambda before=before: steps(tmp_path)[-1] > before)
        time.sleep(generator.uniform(0.0, 0.3))
        dead = kill % 2
        group.processes[dead].kill()
        killed = time.monotonic()
        statuses = group.wait(60)
        assert time.monotonic() - killed < 60
        assert (statuses[dead], statuses[1 - dead]) == (-signal.SIGKILL, 1), group
        errors = [line for line in group.output(1 - dead) if "error" in line]
        assert errors == [
            f"error: process {dead} ended without a message, perhaps killed or out of memory; "
            "this process ends too"
        ], group
        assert not (tmp_path / "run" / "summary.json").exists()
        # Its hashes are those of its content.
        newest = Checkpoints(tmp_path / "run" / "checkpoints").path(steps(tmp_path)[-1])
        assert read(newest)
        assert len([*newest.glob("shards-*")]) == (2 if axis == "run" else 0)
    shutil.copytree(tmp_path / "run", tmp_path / "alone" / "run")
    for folder, count in ((tmp_path, 2), (tmp_path / "alone", 1)):
        each = arguments(folder, free_address(), count, axis=axis, epochs=epochs)
        group = start(each, folder / "end")
        assert group.wait() == [0] * count, group
        assert any(line.startswith("resuming at step ") for line in group.output(0)), group
        assert all(not group.output(index) for index in range(1, count)), "only process 0 prints"
        assert compare_runs(whole / "run", folder / "run") == ()


MISTAKES = """
import sys, time
from jaxnet import hosts
try:
    with hosts.connect(sys.argv[2], 2, int(sys.argv[1]), timeout=30.0) as processes:
        import jax
        assert jax.device_count() == 2 * jax.local_device_count()
        if processes.index == 1:
            raise ValueError("data: there is no file digits.npz")
        # Computes, and looks at nothing.
        time.sleep(60)
except (ValueError, RuntimeError) as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(hosts.exit_status(error))
"""


def test_a_mistake_on_one_process_ends_all(start, free_address, tmp_path):
    address = free_address()
    group = start([["-c", MISTAKES, index, address] for index in (0, 1)], tmp_path)
    assert group.wait() == [2, 2], group
    message = "data: there is no file digits.npz"
    assert group.output(0) == [f"error: process 1: {message}"]
    assert group.output(1) == [f"error: {message}"]
