"""One process of `benchmarks.streams`: data on disk, training on them, and what it took.

python -m benchmarks.stream_workload throughput FOLDER --rounds 5
python -m benchmarks.stream_workload train FOLDER RUN --num-steps 2000
python -m benchmarks.stream_workload bits FOLDER
"""

import argparse
import dataclasses
import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnet as jn
from jaxnet import streams
from jaxnet.checkpoint import params_sha256
from jaxnet.training import advance, begin_epoch, index_shuffled

IN_MEMORY = 60_000
_DIM, _BATCH, _BLOCK, _WINDOW = 784, 128, 1024, 64
_PIECE = 65_536
# Of 60 000 examples, so that several windows are read while the time is taken.
_EPOCHS_AT_ONCE = 5


def generate(folder: Path, num_examples: int) -> None:
    """Write `x.npy`, bytes `(n, 784)`, and `y.npy`: ten patterns with noise, in pieces.

    Args:
        folder: where they are written.
        num_examples: their number.
    """
    generator = np.random.default_rng(0)
    patterns = generator.integers(0, 160, (10, _DIM), dtype=np.uint8)
    noise = generator.integers(0, 96, (_PIECE + 997, _DIM), dtype=np.uint8)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, (num_examples, _DIM))
    offset = x.offset
    y = generator.integers(0, 10, num_examples, dtype=np.int32)
    np.save(folder / "y.npy", y)
    del x
    # Written and not mapped, so that the pages do not count as memory of this process.
    with open(folder / "x.npy", "r+b", buffering=0) as file:
        file.seek(offset)
        for start in range(0, num_examples, _PIECE):
            labels, shift = y[start : start + _PIECE], int(generator.integers(997))
            file.write((patterns[labels] + noise[shift : shift + len(labels)]).data)


def throughput(folder: Path, rounds: int) -> dict[str, Any]:
    """Examples a second in memory and on disk, in turn, and the largest resident memory.

    Args:
        folder: of `generate`.
        rounds: times that each is measured.
    """
    learner, key = _learner(), jax.random.key(0)
    source = streams.npy_source(folder)
    small = source.read_range(0, IN_MEMORY)
    batches = index_shuffled(_BATCH, blocks=_BLOCK, window=_WINDOW)
    num_steps = IN_MEMORY // _BATCH
    data = streams.stream(source, batches, key)
    # As long as the epochs in memory; the order of the examples is that of all of them.
    data = dataclasses.replace(data, steps_per_epoch=num_steps)
    cases: dict[str, tuple[Any, dict[str, Any]]] = {
        "memory": (small, {"batch_size": _BATCH}),
        "memory_in_blocks": (small, {"batches": batches}),
        "disk": (data, {}),
    }
    states = {name: learner.init(key) for name in cases}
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for measured in range(-1, rounds):
        for name, (values, options) in cases.items():
            metrics = begin_epoch(learner, states[name], values, **options)
            start = time.perf_counter()
            for _ in range(_EPOCHS_AT_ONCE):
                states[name], metrics = advance(
                    learner, states[name], metrics, values, num_steps=num_steps, **options
                )
            jax.block_until_ready(states[name].params)
            seconds = time.perf_counter() - start
            if measured >= 0:
                rates[name].append(_EPOCHS_AT_ONCE * num_steps * _BATCH / seconds)
    data.close()
    # Beside the faster of the two orders in memory: all at random, and in blocks as on the disk.
    medians = {name: statistics.median(values) for name, values in rates.items()}
    fastest = "memory" if medians["memory"] > medians["memory_in_blocks"] else "memory_in_blocks"
    ratios = [disk / memory for disk, memory in zip(rates["disk"], rates[fastest], strict=True)]
    return {
        "examples": len(source),
        "gigabytes": (folder / "x.npy").stat().st_size / 1e9,
        "examples_per_second": {name: round(value) for name, value in medians.items()},
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        **_memory(),
    }


def train(folder: Path, path: Path, num_steps: int) -> dict[str, Any]:
    """Train in a run directory, from the beginning or the newest checkpoint.

    Args:
        folder: of `generate`.
        path: the run directory.
        num_steps: steps of the whole training.
    """
    from jaxnet.runs import RunDirectory, TrainOptions
    from jaxnet.runs import train as watched

    learner, key, source = _learner(), jax.random.key(0), streams.npy_source(folder)
    data = streams.stream(source, index_shuffled(_BATCH, blocks=_BLOCK, window=_WINDOW), key)
    data = dataclasses.replace(data, steps_per_epoch=num_steps // 4)
    options = TrainOptions(num_epochs=4, checkpoint_every=max(1, num_steps // 40))
    described = {"config": {}, "data_sha256": "generated", "resume": None}
    with RunDirectory.open(path, name="streams", **described) as directory:
        state = learner.init(key)
        result = watched(directory, learner, state, data, batches=None, options=options)
    return {"state_sha256": result.state_sha256, **_memory()}


def bits(folder: Path) -> dict[str, Any]:
    """Whether one epoch on files ends with the parameters of one in memory, bit for bit.

    Args:
        folder: of `generate`, of a data set that fits into memory.
    """
    learner, key, source = _learner(), jax.random.key(0), streams.npy_source(folder)
    batches = index_shuffled(_BATCH, blocks=_BLOCK, window=_WINDOW)
    start, data = learner.init(key), streams.stream(source, batches, key)
    content = source.read_range(0, len(source))
    in_memory, _ = next(jn.epochs(learner, start, content, batches=batches))
    on_disk, _ = next(jn.epochs(learner, start, data))
    data.close()
    hashes = [params_sha256(state) for state in (in_memory, on_disk)]
    return {"steps": int(on_disk.step), "identical": hashes[0] == hashes[1]}


def _learner() -> jn.Learner:
    network = jn.mlp([_DIM, 512, 10], activation=jax.nn.relu)
    objective = jn.classification(network)

    def of_bytes(params: Any, batch: Any, key: Any) -> Any:
        x = batch["x"].astype(jnp.float32) / 255
        return objective(params, {"x": x, "y": batch["y"]}, key)

    return jn.gradient_learner(network.init, of_bytes, optax.adam(1e-3))


def _memory() -> dict[str, float]:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return {"max_resident_gigabytes": round(kilobytes * unit / 1e9, 3)}


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["generate", "throughput", "train", "bits"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--num-steps", type=int, default=2000)
    parser.add_argument("--num-examples", type=int, default=IN_MEMORY)
    given = parser.parse_args()
    if given.what == "generate":
        generate(given.folder, given.num_examples)
        result: dict[str, Any] = _memory()
    elif given.what == "throughput":
        result = throughput(given.folder, given.rounds)
    elif given.what == "train":
        result = train(given.folder, given.run, given.num_steps)
    else:
        result = bits(given.folder)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    _main()
