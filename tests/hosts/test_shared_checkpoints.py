"""Checkpoints that several processes write together: exact, rejected, or not there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxnet.checkpoint import Checkpoints, CorruptCheckpointError, read, restore
from jaxnet.checkpoint.leaves import containers, describe, to_numpy
from jaxnet.checkpoint.shards import Part, Snapshot
from jaxnet.checkpoint.shared import write_together
from jaxnet.hosts.processes import Processes
from tests.devices import needs_two_devices

KEYS = jax.random.split(jax.random.key(3), 6)
STATE = {
    "half": jnp.arange(12, dtype=jnp.bfloat16).reshape(6, 2),
    "keys": KEYS,
    "step": jnp.int32(7),
    "table": jnp.arange(24.0).reshape(4, 6),
}
# Where the parts of three processes begin and end along which axis.
CUTS = {"half": (0, (0, 1, 3, 6)), "keys": (0, (0, 2, 4, 6)), "table": (1, (0, 3, 4, 6))}


def copies(process):
    """What one of three processes has of the state."""
    found = []
    for leaf, (name, array) in zip(describe(STATE), STATE.items(), strict=True):
        if name not in CUTS:
            found.append(Snapshot(leaf, False, to_numpy(array), ()))
            continue
        axis, bounds = CUTS[name]
        start = tuple(bounds[process] if each == axis else 0 for each in range(len(leaf.shape)))
        box = tuple(
            slice(bounds[process], bounds[process + 1]) if each == axis else slice(None)
            for each in range(len(leaf.shape))
        )
        part = np.ascontiguousarray(to_numpy(array)[box])
        found.append(Snapshot(leaf, False, None, (Part(start, part),)))
    return found


def write(group, path, copies=copies):
    def call(link):
        write_together(path, copies(link.index), containers(STATE), Processes(link), metric=0.5)

    return group(3).everywhere(call)


@pytest.fixture
def saved(group, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    checkpoints = Checkpoints(folder)
    assert write(group, checkpoints.path(7)) == [None] * 3
    return checkpoints


def test_what_three_processes_wrote_is_restored_on_one(saved):
    names = sorted(path.name for path in saved.path(7).iterdir())
    assert names == [
        "SHA256SUMS",
        "arrays.safetensors",
        "checkpoint.json",
        *(f"shards-0000{index}.safetensors" for index in range(3)),
    ]
    restored = saved.restore(STATE)
    assert (restored.step, saved.best()) == (7, 7)
    for name, array in STATE.items():
        assert restored.state[name].dtype == array.dtype
        np.testing.assert_array_equal(to_numpy(restored.state[name]), to_numpy(array))
    arrays = read(saved.path(7))
    np.testing.assert_array_equal(arrays["['table']"], STATE["table"])
    np.testing.assert_array_equal(arrays["['keys']"], jax.random.key_data(KEYS))


@needs_two_devices
def test_it_is_restored_on_other_devices(saved):
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    like = dict(STATE)
    for name, spec in (("half", ("data",)), ("table", (None, "data"))):
        sharding = NamedSharding(mesh, PartitionSpec(*spec))
        like[name] = jax.device_put(jnp.zeros_like(STATE[name]), sharding)
    state = restore(saved.path(7), like=like)
    for name, array in like.items():
        assert state[name].sharding == array.sharding
        np.testing.assert_array_equal(to_numpy(state[name]), to_numpy(STATE[name]))


def test_a_box_of_an_array_reads_only_its_parts(saved):
    from jaxnet.checkpoint.index import read_index
    from jaxnet.checkpoint.shards import Pieces

    path = saved.path(7)
    entries = read_index(path).entries
    number = [entry.leaf.path for entry in entries].index("['table']")
    (path / "shards-00002.safetensors").unlink()
    pieces = Pieces(path, entries, number)
    table = np.asarray(STATE["table"])
    for box in ((slice(1, 3), slice(2, 4)), (slice(None), slice(0, 1)), (slice(0, 4),)):
        if len(box) == 1:
            with pytest.raises(FileNotFoundError):
                pieces[box]
        else:
            np.testing.assert_array_equal(pieces[box], table[box])


def test_no_flipped_bit_is_accepted(saved):
    generator = np.random.default_rng(0)
    for file in saved.path(7).iterdir():
        content = file.read_bytes()
        for position in generator.integers(0, len(content), 12):
            changed = bytearray(content)
            changed[position] ^= 1 << int(generator.integers(8))
            file.write_bytes(changed)
            with pytest.raises(CorruptCheckpointError):
                restore(saved.path(7), like=STATE)
        file.write_bytes(content[:-1])
        with pytest.raises(CorruptCheckpointError):
            restore(saved.path(7), like=STATE)
        file.write_bytes(content)
    restore(saved.path(7), like=STATE)


def test_the_parts_of_another_checkpoint_are_rejected(group, saved):
    """Files that are whole, with hashes that fit, of a state that differs."""
    other = {name: array for name, array in STATE.items()}
    other["table"] = STATE["table"] + 1

    def changed(process):
        table = np.asarray(other["table"])
        return [
            copy._replace(
                parts=tuple(
                    Part(
                        part.start,
                        np.ascontiguousarray(table[:, part.start[1] :][:, : part.values.shape[1]]),
                    )
                    for part in copy.parts
                )
            )
            if copy.leaf.path == "['table']"
            else copy
            for copy in copies(process)
        ]

    assert write(group, saved.path(9), changed) == [None] * 3
    file = "shards-00001.safetensors"
    (saved.path(7) / file).write_bytes((saved.path(9) / file).read_bytes())
    sums = saved.path(7) / "SHA256SUMS"
    lines = {line.split("  ")[1]: line for line in sums.read_text().splitlines()}
    lines |= {
        name: line
        for line in (saved.path(9) / "SHA256SUMS").read_text().splitlines()
        if (name := line.split("  ")[1]) == file
    }
    sums.write_text("".join(f"{line}\n" for line in lines.values()))
    with pytest.raises(CorruptCheckpointError, match=r"'table'.* is not what was saved"):
        restore(saved.path(7), like=STATE)


def test_a_process_that_cannot_write_leaves_no_checkpoint(group, saved, monkeypatch):
    from jaxnet.checkpoint import shared

    original = shared.write_parts

    def full(directory, process, copies):
        if process == 2:
            raise OSError(28, "No space left on device")
        return original(directory, process, copies)

    monkeypatch.setattr(shared, "write_parts", full)

    def call(link):
        try:
            write_together(saved.path(8), copies(link.index), containers(STATE), Processes(link))
        except OSError as error:
            link.fail(str(error), 2)
            raise

    errors = group(3).everywhere(call)
    assert "could not be written" in str(errors[2])
    assert all("process 2: " in str(error) for error in errors[:2])
    assert saved.steps() == [7]
    assert [path.name for path in saved.path(7).parent.iterdir()] == ["00000007"]
