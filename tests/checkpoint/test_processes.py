"""Checkpoints of a program of two processes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.crash

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
index, address, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jax.distributed.initialize(address, 2, index)
import jax.numpy as jnp, optax
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec
import jaxnet as jn
from jaxnet import checkpoint
mesh = jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
whole, parts = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("d"))
network = jn.dense(2, 3)
learner = jn.gradient_learner(network.init, jn.regression(network), optax.adam(0.1))
state = jax.jit(learner.init, out_shardings=whole)(jax.random.key(7))
assert not state.key.is_fully_addressable
checkpoint.save(f"{folder}/{index}", state)
checkpoint.export_params(f"{folder}/{index}.safetensors", state.params)
multihost_utils.sync_global_devices("saved")
restored = checkpoint.restore(f"{folder}/0", like=state)
assert restored.key.sharding == state.key.sharding
assert checkpoint.params_sha256(restored) == checkpoint.params_sha256(state)
sharded = {"w": jax.jit(lambda: jnp.arange(4.0), out_shardings=parts)()}
for call in (
    lambda: checkpoint.save(f"{folder}/s{index}", sharded),
    lambda: checkpoint.export_params(f"{folder}/s{index}.safetensors", sharded),
    lambda: checkpoint.params_sha256(sharded),
):
    try:
        call()
    except ValueError as error:
        assert "leaf ['w'] is sharded over several processes" in str(error), error
        assert "process_allgather" in str(error), error
    else:
        raise AssertionError("no error")
multihost_utils.sync_global_devices("done")
print("equal")
"""


def test_replicated_states_are_saved_and_restored_and_sharded_ones_are_named(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(index), address, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path, "XLA_FLAGS": ""},
        )
        for index in range(2)
    ]
    for process in processes:
        out, errors = process.communicate(timeout=120)
        assert out.endswith("equal\n"), errors
