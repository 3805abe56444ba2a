"""Streams train as memory does, bit for bit, end their threads, and name what cannot be read."""

import functools
import gc
import itertools
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet.checkpoint import params_sha256
from jaxnet.runs import Interrupted, RunDirectory, TrainOptions, train
from jaxnet.streams import StreamError, array_source, grain_source, mapped, npy_source, stream
from jaxnet.training import HostData, index_shuffled, shuffled

ORDERS = {
    "examples": index_shuffled(8),
    "blocks": index_shuffled(8, blocks=16, window=3),
    "row_groups": index_shuffled(8, blocks=(30, 60, 13), window=1),
}
NETWORK = jn.mlp([5, 8, 3], dropout=0.2)


def arrays():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(103, 5)).astype(np.float32)
    return {"x": x, "y": generator.integers(0, 3, 103).astype(np.int32)}


LEARNER = jn.gradient_learner(
    NETWORK.init, jn.classification(NETWORK), optax.sgd(0.1, momentum=0.5)
)
init_one, init_two = jax.jit(LEARNER.init), jax.jit(jax.vmap(LEARNER.init))


def same(a, b):
    assert params_sha256(a) == params_sha256(b)


def reader_threads():
    def alive():
        return [t for t in threading.enumerate() if t.name.startswith("jaxnet-")]

    if alive():
        gc.collect()  # A thread ends with the data that nobody holds any more.
    return alive()


@pytest.fixture(autouse=True)
def no_thread_is_left():
    assert not reader_threads()
    yield
    deadline = time.monotonic() + 20
    while reader_threads():
        assert time.monotonic() < deadline, reader_threads()
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path):
    for name, values in arrays().items():
        np.save(tmp_path / f"{name}.npy", values)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "steps_per_item"),
    [("examples", 1), ("examples", None), ("blocks", 5), ("row_groups", 1)],
)
def test_the_bits_are_those_of_memory(name, steps_per_item, folder, key):
    batches, start = ORDERS[name], init_one(key)
    in_memory = jn.epochs(LEARNER, start, arrays(), batches=batches)
    source = npy_source(folder)
    data = stream(source, batches, key, steps_per_item=steps_per_item)
    on_disk = jn.epochs(LEARNER, start, data)
    for _ in range(3):
        expected, result = next(in_memory), next(on_disk)
        same(result, expected)
    assert int(result[0].step) == 36
    data.close()
    source.close()


@pytest.mark.parametrize("name", ORDERS)
def test_batches_are_a_function_of_the_step(name, key):
    batches, data = ORDERS[name], arrays()
    read = stream(array_source(data), batches, key, steps_per_item=4)
    order = [batches.host_order(103, key, epoch) for epoch in range(3)]
    for step in (0, 1, 4, 11, 12, 30, 3, 2, 25):
        epoch, index = divmod(step, 12)
        rows = batches.host_indices(103, order[epoch], np.arange(8 * index, 8 * index + 8))
        for batch in (read.batch(step), read.peek(step)):
            assert np.array_equal(batch["x"], data["x"][rows])
            assert np.array_equal(batch["y"], data["y"][rows])
    read.close()


def test_a_run_resumes_to_the_bit(folder, tmp_path, key):
    options = TrainOptions(num_epochs=3, checkpoint_every=5)

    def run(path, source, previous=None):
        states = init_two(jax.random.split(key, 2))
        data = stream(source, ORDERS["blocks"], key, steps_per_item=3)
        open_run = functools.partial(RunDirectory.open, name="test", config={}, data_sha256="a")
        with open_run(path, resume=previous) as directory:
            return train(directory, LEARNER, states, data, batches=None, options=options)

    whole = run(tmp_path / "whole", npy_source(folder))
    broken = npy_source(folder)
    reads = itertools.count()

    def interrupt(batch):
        # In the thread that loads a window of the second epoch.
        if next(reads) == 10:
            raise Interrupted(2)
        return batch

    with pytest.raises(Interrupted):
        run(tmp_path / "run", mapped(broken, interrupt))
    assert not reader_threads()
    resumed = run(tmp_path / "run", npy_source(folder))
    assert resumed.state_sha256 == whole.state_sha256
    assert resumed.history["loss"]["train"].shape[0] == 3
    with pytest.raises(ValueError, match=r"batches: .* has HostData\(steps_per_epoch=12, 103 exam"):
        other = stream(npy_source(folder), ORDERS["examples"], key)
        with RunDirectory.open(
            tmp_path / "run", name="test", config={}, data_sha256="a", resume=None
        ) as directory:
            states = init_two(jax.random.split(key, 2))
            train(directory, LEARNER, states, other, batches=None, options=options)


def test_what_is_read_ahead_is_bounded():
    read = []

    def iterate(step):
        for index in itertools.count(step):
            read.append(index)
            yield {"x": np.full((2, 3), index, np.float32)}

    data = HostData(iterate, steps_per_epoch=4, prefetch=3, steps_per_item=2)
    assert float(data.batch(0)["x"][0]) == 0
    deadline = time.monotonic() + 20
    while len(read) < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    # One is used, three are kept, and one waits for room.
    assert read == [0, 1, 2, 3, 4]
    data.close()
    assert not reader_threads()
    # It begins again where it is asked.
    assert float(data.batch(7)["x"][0]) == 7
    del data


def test_an_error_of_the_thread_is_raised_at_its_batch():
    def iterate(step):
        for index in range(step, 5):
            if index == 3:
                raise StreamError("file x.npy, record 3")
            yield {"x": np.full(2, index, np.float32)}

    data = HostData(iterate, steps_per_epoch=4, prefetch=2)
    assert [float(data.batch(step)["x"][0]) for step in range(3)] == [0, 1, 2]
    for _ in range(2):
        with pytest.raises(StreamError, match=r"file x\.npy, record 3"):
            data.batch(3)
    ended = HostData(lambda step: iter([{"x": np.zeros(2)}]), steps_per_epoch=4, prefetch=2)
    ended.batch(0)
    with pytest.raises(ValueError, match="the iterator ended at step 1"):
        ended.batch(1)
    wrong = HostData(
        lambda step: iter([{"x": np.zeros((2, 3), np.float32)}]), 4, prefetch=1, steps_per_item=3
    )
    with pytest.raises(ValueError, match="an item must have steps_per_item 3 batches"):
        wrong.batch(0)


def test_the_thread_keeps_the_precision_of_its_maker(x64):
    data = HostData(lambda step: itertools.repeat({"x": np.zeros(2)}), 4, prefetch=1)
    assert data.batch(0)["x"].dtype == jnp.float64


def test_files_that_cannot_be_read_are_named(folder, key):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        npy_source(folder / "none")
    (folder / "empty").mkdir()
    with pytest.raises(StreamError, match=r"empty holds no \.npy files"):
        npy_source(folder / "empty")
    with pytest.raises(TypeError, match=r"expected jaxnet\.training\.index_shuffled"):
        stream(npy_source(folder), shuffled(8), key)
    content = (folder / "x.npy").read_bytes()
    source = npy_source(folder)
    data = stream(source, ORDERS["examples"], key)
    data.batch(0)
    data.close()
    source.close()
    (folder / "x.npy").write_bytes(content[:-30])
    with pytest.raises(StreamError, match=r"x\.npy ends at example 101 of 103"):
        jax.block_until_ready([data.batch(step) for step in range(13)])
    data.close()
    source.close()
    with pytest.raises(StreamError, match=r"x\.npy is cut off: it has 2158 bytes"):
        npy_source(folder)
    for values, message in (
        (np.zeros((3, 2)), "must hold the same number of examples"),
        (np.array(["a", "b"]), "holds values of dtype <U1, expected numbers"),
        (np.array(3.0), "holds a single number"),
        (np.asfortranarray(np.zeros((103, 2))), "in the order of Fortran"),
        (b"no array", r"is not a \.npy file of numbers"),
    ):
        if isinstance(values, bytes):
            (folder / "x.npy").write_bytes(values)
        else:
            np.save(folder / "x.npy", values)
        with pytest.raises(StreamError, match=message):
            npy_source(folder)


def test_sources_are_data_sources_of_grain_and_the_reverse(key):
    grain = pytest.importorskip("grain")
    data, batches = arrays(), ORDERS["examples"]
    dataset = grain.MapDataset.source(array_source(data))
    assert np.array_equal(dataset[7]["x"], data["x"][7])
    doubled = grain_source(dataset.map(lambda example: {"x": 2 * example["x"]}))
    read = stream(doubled, batches, key)
    rows = batches.host_indices(103, batches.host_order(103, key, 0), np.arange(8))
    assert np.array_equal(read.batch(0)["x"], 2 * data["x"][rows])
    read.close()


def test_a_data_set_of_grain_begins_at_any_step(key):
    grain = pytest.importorskip("grain")
    dataset = grain.MapDataset.source(array_source(arrays())).shuffle(seed=3).repeat().batch(8)

    def opened():
        return HostData(lambda step: iter(dataset[step:]), steps_per_epoch=12, prefetch=2)

    start, whole = init_one(key), opened()
    metrics = jn.training.begin_epoch(LEARNER, start, whole)
    expected, _ = jn.training.advance(LEARNER, start, metrics, whole, num_steps=12)
    whole.close()
    state = start
    for num_steps in (5, 7):
        part = opened()
        state, metrics = jn.training.advance(LEARNER, state, metrics, part, num_steps=num_steps)
        part.close()
    same(state, expected)
