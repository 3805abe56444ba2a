"""Rows of speed: many networks in one program, and the rate of large matrix products."""

import functools
import itertools
import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

import jaxnet as jn
from benchmarks.data import digits
from benchmarks.harness import Clock, seconds_of, spread


def population(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Networks 64-32-10 on digits in one program, and single ones by jitted `fit`.

    Each network has its own seed and one of eight learning rates.
    """
    num_networks, chunk, num_epochs, rounds = (64, 32, 2, 2) if smoke else (100_000, 25_000, 20, 20)
    images = digits()
    data = {"x": jnp.asarray(images.x), "y": jnp.asarray(images.y)}
    network = jn.mlp([64, 32, 10])

    def run(key: Array, rate: Array, data: Any) -> Any:
        learner = jn.gradient_learner(network.init, jn.classification(network), optax.adam(rate))
        return jn.fit(learner, key, data, batch_size=64, num_epochs=num_epochs)[0].params

    keys = jax.random.split(jax.random.key(0), num_networks)
    rates = jnp.resize(jnp.logspace(-3.5, -1.75, 8), (num_networks,))
    together = jax.jit(jax.vmap(run, (0, 0, None)))
    one = jax.jit(run)
    compile_seconds = seconds_of(lambda: together(keys[:chunk], rates[:chunk], data))
    jax.block_until_ready(one(keys[0], rates[0], data))

    start = time.perf_counter()
    params = [
        together(keys[first : first + chunk], rates[first : first + chunk], data)
        for first in range(0, num_networks, chunk)
    ]
    jax.block_until_ready(params)
    seconds = time.perf_counter() - start
    single = [seconds_of(lambda i=index: one(keys[i], rates[i], data)) for index in range(rounds)]

    def accuracy(params: Any) -> Array:
        classes = jax.vmap(network.apply, (0, None))(params, jnp.asarray(images.test_x))
        return (classes.argmax(-1) == jnp.asarray(images.test_y)).mean(-1)

    reached = jnp.concatenate([jax.jit(accuracy)(part) for part in params])
    by_rate = [float(reached[index::8].mean()) for index in range(8)]
    one_after_the_other = sum(single) / rounds * num_networks
    return {
        "data": images.source,
        "networks": num_networks,
        "seconds": round(seconds, 2),
        "seconds_of_the_first_chunk": round(compile_seconds, 1),
        "milliseconds_of_one_network": spread([1000 * value for value in single], 1),
        "ratio": round(one_after_the_other / seconds, 1),
        "mean_test_accuracy_by_rate": [round(value, 4) for value in by_rate],
    }


def precision(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Steps of a large network in float32 and in bfloat16 with float32 parameters."""
    width, batch_size, num_batches, num_epochs = (64, 32, 2, 1) if smoke else (4096, 8192, 8, 10)
    dims = [784, width, width, 10]
    keys = jax.random.split(jax.random.key(0), 2)
    num_examples = num_batches * batch_size
    data = {
        "x": jax.random.uniform(keys[0], (num_examples, 784)),
        "y": jax.random.randint(keys[1], (num_examples,), 0, 10),
    }
    # Two operations a parameter forward and four backward, but no gradient of the inputs.
    products = [first * second for first, second in itertools.pairwise(dims)]
    operations = batch_size * (6 * sum(products) - 2 * products[0])
    peak = _matmul_rate(256 if smoke else 8192)
    result: dict[str, Any] = {"measured_peak_bfloat16_tflops": round(peak / 1e12, 1)}
    dtypes = {"float32": None, "float32_highest": None, "bfloat16": jnp.bfloat16}
    for name, dtype in dtypes.items():
        network = jn.mlp(dims)
        if dtype is not None:
            network = jn.compute_in(network, dtype)
        learner = jn.gradient_learner(network.init, jn.classification(network), optax.adam(1e-4))
        fit = jax.jit(
            lambda key, data, learner=learner: jn.fit(
                learner, key, data, batch_size=batch_size, num_epochs=num_epochs
            )
        )
        highest = "highest" if name.endswith("highest") else None
        with jax.default_matmul_precision(highest):
            jax.block_until_ready(fit(jax.random.key(0), data))
            seconds = [seconds_of(lambda fit=fit: fit(jax.random.key(1), data)) for _ in range(3)]
        rates = [num_batches * num_epochs * operations / value for value in seconds]
        result[name] = {
            "milliseconds_of_a_step": spread(
                [1000 * value / (num_batches * num_epochs) for value in seconds], 3
            ),
            "tflops": round(sum(rates) / len(rates) / 1e12, 1),
            "fraction_of_measured_peak": round(sum(rates) / len(rates) / peak, 3),
        }
    steps = {name: result[name]["milliseconds_of_a_step"]["mean"] for name in dtypes}
    result["bfloat16_over_float32"] = round(steps["float32"] / steps["bfloat16"], 2)
    return result


def _matmul_rate(size: int) -> float:
    """Operations a second of products of square bfloat16 matrices of random numbers."""
    a, b = jax.random.normal(jax.random.key(0), (2, size, size), jnp.bfloat16)
    count = 20

    @functools.partial(jax.jit, static_argnums=2)
    def products(a: Array, b: Array, count: int) -> Array:
        scale = jnp.bfloat16(1 / math.sqrt(size))
        return jax.lax.fori_loop(0, count, lambda _, c: (c @ b) * scale, a)

    jax.block_until_ready(products(a, b, count))
    seconds = min(seconds_of(lambda: products(a, b, count)) for _ in range(5))
    return count * 2 * size**3 / seconds
