"""Rows of populations on CPU: networks that differ, beside one after the other, on two devices."""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from benchmarks.data import digits
from benchmarks.harness import ROOT, Clock, seconds_of, spread

SIZES = (
    *((8,), (12,), (16,), (24,), (32,), (48,), (64,)),
    *((8, 8), (16, 16), (32, 16), (32, 32), (64, 32)),
)
# With their learning rates in the middle of the range that is drawn.
OPTIMIZERS = {"adam": 1e-3, "sgd": 3e-2, "rmsprop": 1e-3, "adagrad": 1e-2}
BATCH_SIZE = 32


def member_sizes(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Networks of 12 sizes and 4 optimizers: a population, jitted `fit`, and MLPClassifier."""
    # Before the first array: one device for each core.
    jax.config.update("jax_num_cpu_devices", 2)
    num_members, num_epochs = (48, 2) if smoke else (1000, 20)
    members = [_settings(index) for index in range(num_members)]
    images = digits()
    data = {"x": jnp.asarray(images.x), "y": jnp.asarray(images.y)}
    options: dict[str, Any] = {
        "num_epochs": num_epochs,
        "batches": jn.training.shuffled(BATCH_SIZE, order_seed=0),
        "mesh": jn.training.device_mesh(run=2),
    }
    start = time.perf_counter()
    keys = jax.random.split(jax.random.key(0), num_members)
    population = jn.training.init_population(_build, members, keys)
    jax.block_until_ready(jn.training.fit_population(population, data, **options)[1])
    with_compilation = time.perf_counter() - start
    seconds = []
    for _ in range(1 if smoke else 3):
        start = time.perf_counter()
        trained, _ = jn.training.fit_population(population, data, **options)
        jax.block_until_ready([group.states.params for group in trained.groups])
        seconds.append(time.perf_counter() - start)
    compute = float(np.median(seconds))
    alone = min(
        (_in_process("alone", cores, num_epochs) for cores in (1, 2)),
        key=lambda measured: measured["milliseconds"],
    )
    peer = min(
        (_in_process("scikit_learn", cores, num_epochs) for cores in (1, 2)),
        key=lambda measured: measured["milliseconds"],
    )
    mine = 1000 * compute / num_members

    def accuracy(settings: Mapping[str, Any], state: Any, x: Any, y: Any) -> Any:
        outputs = _network(settings).apply(jn.evaluation_params(state), x)
        return jnp.mean(outputs.argmax(-1) == y)

    test = jnp.asarray(images.test_x), jnp.asarray(images.test_y)
    reached = np.asarray(jn.training.map_members(accuracy, trained, *test))
    return {
        "data": images.source,
        "networks": num_members,
        "programs": len(population.groups),
        "alone": alone,
        "scikit_learn": peer,
        "figures": {
            "seconds": spread(seconds, 1),
            "seconds with initialization and compilation": round(with_compilation, 1),
            "milliseconds a network": round(mine, 1),
            "one after the other, jitted fit": f"{alone['milliseconds']:.1f} ms a network",
            "ratio to jitted fit": round(alone["milliseconds"] / mine, 1),
            "ratio to MLPClassifier": round(peer["milliseconds"] / mine, 1),
            "mean test accuracy": round(float(reached.mean()), 4),
            "best tenth": round(float(np.sort(reached)[-num_members // 10 :].mean()), 4),
        },
    }


def two_devices(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """One population over two devices of a CPU, and on one of them, in turn."""
    jax.config.update("jax_num_cpu_devices", 2)
    num_members, num_epochs, rounds = (16, 2, 1) if smoke else (512, 20, 5)
    images = digits()
    data = {"x": jnp.asarray(images.x), "y": jnp.asarray(images.y)}
    members = [_settings(0) | {"learning_rate": 10 ** (-3 + i / 512)} for i in range(num_members)]
    members = [settings | {"dims": (32,), "hidden_dims": np.array([32])} for settings in members]
    keys = jax.random.split(jax.random.key(0), num_members)
    population = jn.training.init_population(_build, members, keys)
    batches = jn.training.shuffled(BATCH_SIZE, order_seed=0)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for index, devices in itertools.product(range(rounds + 1), seconds):
        mesh = None if devices == 1 else jn.training.device_mesh(run=devices)
        options: dict[str, Any] = {"num_epochs": num_epochs, "batches": batches, "mesh": mesh}
        start = time.perf_counter()
        jax.block_until_ready(jn.training.fit_population(population, data, **options)[1])
        # The first round compiles.
        if index:
            seconds[devices].append(time.perf_counter() - start)
    one, two = (np.array(seconds[devices]) for devices in (1, 2))
    return {
        "data": images.source,
        "networks": num_members,
        "figures": {
            "ratio": spread(one / two, 2),
            "milliseconds a network on one device": round(1000 * np.median(one) / num_members, 1),
            "on two": round(1000 * np.median(two) / num_members, 1),
        },
    }


def _settings(index: int) -> dict[str, Any]:
    """Settings of a member; its rate is drawn around that of its optimizer, by a fixed sequence."""
    sizes = SIZES[index % len(SIZES)]
    name = list(OPTIMIZERS)[index // len(SIZES) % len(OPTIMIZERS)]
    exponent = (index * 0.6180339887498949) % 1 - 0.5
    return {
        "dims": jn.nn.padded_sizes(sizes, smallest=16),
        "hidden_dims": np.array(sizes),
        "optimizer": name,
        "learning_rate": OPTIMIZERS[name] * 10**exponent,
    }


def _network(settings: Mapping[str, Any]) -> jn.Network:
    return jn.nn.padded_mlp((64, *settings["dims"], 10), settings["hidden_dims"])


def _build(settings: Mapping[str, Any]) -> jn.Learner:
    network = _network(settings)
    return _learner(network, settings["optimizer"], settings["learning_rate"])


def _learner(network: jn.Network, name: str, rate: Any) -> jn.Learner:
    objective = jn.classification(network)
    return jn.gradient_learner(network.init, objective, jn.optimizer(name, rate))


def _in_process(peer: str, cores: int, num_epochs: int) -> dict[str, Any]:
    """A peer in a process of its own, on this number of cores."""
    command = [sys.executable, "-m", "benchmarks.rows.populations", peer, str(num_epochs)]
    available = sorted(os.sched_getaffinity(0))[-cores:]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, available),
    )
    return {"cores": cores} | json.loads(done.stdout.splitlines()[-1])


def alone(num_epochs: int) -> dict[str, Any]:
    """Networks of each size and optimizer, one after the other, each by jitted `fit`."""
    images = digits()
    data = {"x": jnp.asarray(images.x), "y": jnp.asarray(images.y)}
    compiling, running = [], []
    for sizes, (name, rate) in itertools.product(SIZES, OPTIMIZERS.items()):
        network = jn.mlp((64, *sizes, 10))

        def run(key: Any, rate: Any, data: Any, network: Any = network, name: str = name) -> Any:
            learner = _learner(network, name, rate)
            return jn.fit(learner, key, data, batch_size=BATCH_SIZE, num_epochs=num_epochs)

        fit = jax.jit(run)
        compiling.append(seconds_of(lambda fit=fit, rate=rate: fit(jax.random.key(0), rate, data)))
        running += [
            seconds_of(lambda fit=fit, rate=rate, seed=seed: fit(jax.random.key(seed), rate, data))
            for seed in (1, 2)
        ]
    return {
        "milliseconds": round(1000 * float(np.mean(running)), 2),
        "seconds_of_the_first_calls": round(sum(compiling), 1),
    }


def scikit_learn(num_epochs: int) -> dict[str, Any]:
    """MLPClassifier with each of the sizes, by Adam and by SGD."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)
    images, seconds = digits(), []
    for sizes, solver in itertools.product(SIZES, ("adam", "sgd")):
        options: dict[str, Any] = {"solver": solver, "batch_size": BATCH_SIZE, "tol": 0.0}
        options |= {"max_iter": num_epochs, "random_state": 0}
        network = MLPClassifier(sizes, **options)
        seconds.append(seconds_of(lambda network=network: network.fit(images.x, images.y)))
    return {"milliseconds": round(1000 * float(np.mean(seconds)), 2)}


if __name__ == "__main__":
    peers = {"alone": alone, "scikit_learn": scikit_learn}
    print(json.dumps(peers[sys.argv[1]](int(sys.argv[2]))))
