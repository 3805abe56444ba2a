"""The checkpoints of a run: which are kept, which are restored, and what a kill leaves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet.checkpoint import CheckpointError, Checkpoints, CorruptCheckpointError, restore, save

ROOT = Path(__file__).resolve().parent.parent.parent


def state(step):
    return {"weights": np.full(50, step, np.float32), "step": jnp.int32(step)}


def damage(path):
    """Flip a bit of the arrays."""
    file = path / "arrays.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("keep_last", [1, 2, 3])
def test_the_newest_and_the_best_are_kept(keep_last, tmp_path):
    metrics = [0.9, 0.5, float("nan"), 0.2, None, 0.2, float("-inf"), 0.3, 0.8, 0.7]
    checkpoints = Checkpoints(tmp_path / "new" / "run", keep_last=keep_last)
    assert (checkpoints.steps(), checkpoints.best(), checkpoints.restore({})) == ([], None, None)
    known = {}
    for step, metric in enumerate(metrics):
        checkpoints.save(step, state(step), metric=metric)
        if metric is not None and np.isfinite(metric):
            known[step] = metric
        best = min(known, key=lambda step: (known[step], step))
        last = range(max(0, step - keep_last + 1), step + 1)
        assert checkpoints.steps() == sorted({best, *last})
        assert checkpoints.best() == best
    assert restore(checkpoints.path(3), like=state(0))["step"] == 3
    assert checkpoints.restore(state(0)).step == 9


def test_scalars_of_numpy_and_jax_are_numbers(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(np.int64(1), state(1), metric=jnp.float32(0.5))
    checkpoints.save(jnp.int32(2), state(2), metric=np.float32(0.25))
    assert (checkpoints.steps(), checkpoints.best()) == ([1, 2], 2)
    for bad in (lambda: checkpoints.save(-1, state(1)), lambda: Checkpoints(tmp_path, keep_last=0)):
        with pytest.raises(ValueError, match="must be at least"):
            bad()


def test_a_step_is_replaced(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for value in (1, 2):
        checkpoints.save(7, state(value), metric=value)
    found = checkpoints.restore(state(0))
    assert (found.step, int(found.state["step"]), found.rejected) == (7, 2, ())
    assert names(tmp_path) == ["00000007"]


def test_the_checkpoint_just_saved_is_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=1)
    checkpoints.save(20, state(20))
    checkpoints.save(5, state(5))
    assert checkpoints.steps() == [5, 20]


def test_other_names_are_left_alone(tmp_path):
    for name in ("7", "notes", "00000003x", "٣٣٣٣٣٣٣٣"):
        (tmp_path / name).mkdir()
    (tmp_path / "00000001").write_text("a file")
    (tmp_path / "00000002").symlink_to("notes")
    before = names(tmp_path)
    checkpoints = Checkpoints(tmp_path, keep_last=1)
    assert checkpoints.steps() == []
    for step in (100_000_000, 100_000_001):
        checkpoints.save(step, state(step))
    assert names(tmp_path) == sorted([*before, "100000001"])


def test_a_corrupt_checkpoint_is_named_and_the_good_one_is_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=2)
    for step in (10, 20):
        checkpoints.save(step, state(step), metric=1 / step)
    damage(checkpoints.path(20))
    found = checkpoints.restore(state(0))
    assert (found.step, int(found.state["step"]), len(found.rejected)) == (10, 10, 1)
    (reason,) = found.rejected
    assert f"checkpoint {checkpoints.path(20)} is corrupt: file 'arrays.safetensors' has" in reason
    assert "has SHA-256" in reason
    assert reason.endswith("it is now 00000020.rejected")
    assert (checkpoints.steps(), checkpoints.best()) == ([10], 10)
    # The good one counts among the newest, the corrupt one does not.
    checkpoints.save(15, state(15))
    assert names(tmp_path) == ["00000010", "00000015", "00000020.rejected"]
    checkpoints.save(20, state(20))
    assert names(tmp_path) == ["00000010", "00000015", "00000020"]
    assert checkpoints.restore(state(0)).step == 20


def test_after_any_flip_the_older_checkpoint_is_restored(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run")
    for step in (1, 2):
        checkpoints.save(step, state(step))
    generator = np.random.default_rng(0)
    for number in range(40):
        folder = shutil.copytree(tmp_path / "run", tmp_path / str(number))
        files = sorted((folder / "00000002").iterdir())
        file = files[generator.integers(len(files))]
        content = bytearray(file.read_bytes())
        content[generator.integers(len(content))] ^= 1 << generator.integers(8)
        file.write_bytes(content)
        found = Checkpoints(folder).restore(state(0))
        assert (found.step, int(found.state["step"]), len(found.rejected)) == (1, 1, 1)
        assert found.rejected[0].startswith(f"checkpoint {folder / '00000002'} is corrupt: ")


def test_a_corrupt_index_has_no_metric(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=3)
    for step in (1, 2, 3):
        checkpoints.save(step, state(step), metric=step)
    index = checkpoints.path(3) / "checkpoint.json"
    index.write_bytes(index.read_bytes().replace(b'"metric": 3.0', b'"metric": 0.0'))
    assert checkpoints.best() == 1


def test_where_all_are_corrupt_none_is_restored_and_none_renamed(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, state(step))
        damage(checkpoints.path(step))
    for _ in range(2):
        with pytest.raises(
            CorruptCheckpointError, match=r"00000002 is.*00000001 is.*no good check"
        ):
            checkpoints.restore(state(0))
    assert checkpoints.steps() == [1, 2]


def test_another_state_does_not_fall_back_to_an_older_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state(1))
    checkpoints.save(2, {"weights": np.zeros(3)})
    with pytest.raises(CheckpointError, match="00000002 does not fit") as error:
        checkpoints.restore(state(0))
    assert not isinstance(error.value, CorruptCheckpointError)
    assert checkpoints.steps() == [1, 2]


def test_a_state_whose_shapes_depend_on_the_step_is_restored(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (3, 5):
        checkpoints.save(step, {"history": np.arange(step)})
    damage(checkpoints.path(5))
    found = checkpoints.restore(lambda step: {"history": np.zeros(step, int)})
    assert (found.step, found.state["history"].tolist(), len(found.rejected)) == (3, [0, 1, 2], 1)


def test_a_callable_pytree_is_a_state(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, jax.tree_util.Partial(max, np.ones(2)))
    like = jax.tree_util.Partial(max, np.zeros(2))
    assert checkpoints.restore(like).state.args[0].tolist() == [1, 1]


def test_a_step_is_read_by_name(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, state(step))
    arrays = checkpoints.read(jnp.int32(1))
    assert sorted(arrays) == ["['step']", "['weights']"]
    assert (arrays["['step']"], arrays["['weights']"].sum()) == (1, 50)
    damage(checkpoints.path(2))
    with pytest.raises(CorruptCheckpointError, match="00000002 is corrupt"):
        checkpoints.read(2)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        checkpoints.read(3)
    assert checkpoints.steps() == [1, 2]


@pytest.mark.parametrize("failing", ["rename", "fsync", "mkdir", "posix_fallocate"])
def test_a_failing_replacement_leaves_the_old_one(failing, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state(1))
    real, calls = getattr(os, failing), []

    def fail(*arguments, **keywords):
        calls.append(arguments)
        # Of the renames, the one that gives the new checkpoint its name.
        if failing != "rename" or ("jaxnet-tmp" in str(arguments[0]) and arguments[1] == path):
            raise OSError(5, "Input/output error")
        return real(*arguments, **keywords)

    path = checkpoints.path(1)
    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match=r"00000001 could not be written \(Input/output error\)"):
        checkpoints.save(1, state(2))
    monkeypatch.undo()
    assert calls
    assert names(tmp_path) == ["00000001"]
    assert checkpoints.restore(state(0)).state["step"] == 1


# A server that imports once and forks a child for every kill. The child saves, and is killed by
# SIGKILL at the n-th change of the file system, or after a delay.
SERVER = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
import jax.numpy as jnp
from jaxnet.checkpoint import Checkpoints, save

def state(step):
    return {"weights": np.full(50, step, np.float32), "step": np.int32(step)}

def die_at(count):
    left = [count]
    def strike():
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def hook(event, arguments):
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
        if writes or event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir"):
            strike()
    sync = os.fsync
    def fsync(descriptor):
        strike()
        sync(descriptor)
    os.fsync = fsync
    sys.addaudithook(hook)

for line in sys.stdin:
    kind, folder, number = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        if kind == "loop":
            checkpoints = Checkpoints(folder)
            Path(folder, "started").touch()
            for step in range(4, 10_000):
                checkpoints.save(step // 2, state(step))
        # Whatever happens once in a process happens before the count starts.
        save(folder + "-warm", state(0))
        checkpoints = Checkpoints(folder)
        die_at(int(number))
        if kind == "save":
            save(folder + "/plain", state(3))
        else:
            checkpoints.save(2 if kind == "replace" else 3, state(3))
        os._exit(0)
    if kind == "loop":
        while not Path(folder, "started").exists():
            time.sleep(0.01)
        time.sleep(float(number))
        os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def killed():
    """`killed(kind, folder, number)`: the exit code of a child that saves there."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as server:

        def ask(kind, folder, number):
            server.stdin.write(f"{kind}\t{folder}\t{number}\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        yield ask
        server.stdin.close()


@pytest.mark.crash
@pytest.mark.parametrize("kind", ["new", "replace", "only", "save"])
def test_a_kill_at_any_call_leaves_the_old_or_the_new(kind, killed, tmp_path):
    start = tmp_path / "start"
    checkpoints = Checkpoints(start)
    for step in (2,) if kind == "only" else (1, 2):
        checkpoints.save(step, state(step))
    leftovers, results = 0, set()
    for number in range(200):
        folder = shutil.copytree(start, tmp_path / str(number))
        code = killed("replace" if kind == "only" else kind, folder, number)
        assert code in (0, -9)
        leftovers += any(name.startswith(".") for name in names(folder))
        found = Checkpoints(folder).restore(state(0))
        assert found.rejected == ()
        assert not [name for name in names(folder) if name.startswith(".")]
        if kind == "save":
            assert found.step == 2
            if (folder / "plain").exists():
                assert restore(folder / "plain", like=state(0))["step"] == 3
        value = int(found.state["step"])
        assert value in (2, 3)
        np.testing.assert_array_equal(found.state["weights"], np.full(50, value))
        results.add(value)
        Checkpoints(folder).save(3, state(4))
        assert Checkpoints(folder).restore(state(0)).state["step"] == 4
        if code == 0:
            break
    assert code == 0
    assert number >= 12
    assert leftovers >= 4
    assert results == ({2} if kind == "save" else {2, 3})


@pytest.mark.crash
def test_a_kill_at_any_time_leaves_the_old_or_the_new(killed, tmp_path):
    delays = np.random.default_rng(0).uniform(0.0, 0.6, 16)
    for number, delay in enumerate(delays):
        folder = tmp_path / str(number)
        Checkpoints(folder).save(1, state(2))
        assert killed("loop", folder, delay) == -9
        found = Checkpoints(folder, keep_last=2).restore(state(0))
        assert found.rejected == ()
        assert int(found.state["step"]) // 2 == found.step
        assert {"started"} == {name for name in names(folder) if not name.isdigit()}


@pytest.mark.parametrize("moment", ["between", "after"])
def test_a_crash_between_two_renames(moment, dead_pid, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state(1))
    if moment == "after":
        save(tmp_path / "new", state(2))
    os.rename(checkpoints.path(1), tmp_path / f".00000001.jaxnet-replaced-{dead_pid}-0123abcd")
    if moment == "after":
        os.rename(tmp_path / "new", checkpoints.path(1))
    assert Checkpoints(tmp_path).steps() == [1]
    assert checkpoints.restore(state(0)).state["step"] == (2 if moment == "after" else 1)
    assert names(tmp_path) == ["00000001"]
