"""Rows of learning from 100 labels: ten draws of labels, ten networks, in one program."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

import jaxnet as jn
from benchmarks.data import Images, mnist, small
from benchmarks.harness import Clock, spread
from jaxnet import training

_NUM_CLASSES, _LABELS_PER_CLASS, _NUM_SEEDS = 10, 10, 10


class Setup(NamedTuple):
    """What a row trains.

    Attributes:
        network: from images to logits.
        objective: of the network.
        rate: a schedule of the learning rate of Adam.
        unlabeled_size: images without labels in a batch; all 100 with labels are in each.
        num_steps: of the training.
    """

    network: jn.nn.StatefulNetwork
    objective: jn.StatefulObjective
    rate: optax.Schedule
    unlabeled_size: int
    num_steps: int


def vat(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Virtual adversarial training, Miyato et al. (2018), section 4.2.

    Network, batch sizes, learning rate and radius are those of the authors' first program: 784,
    1200, 1200, 10, all layers normalized; Adam at 0.002, times 0.9 after each 500 of 50 000 steps.
    """
    num_steps = 40 if smoke else 50_000
    network = jn.nn.batch_norm_mlp([784, 32, 10] if smoke else [784, 1200, 1200, 10])
    objective = jn.objectives.virtual_adversarial(network, radius=0.3)
    rate = optax.exponential_decay(0.002, max(num_steps // 100, 1), 0.9, staircase=True)
    return _train(Setup(network, objective, rate, 250, num_steps), clock, smoke=smoke)


def ladder(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Ladder network, Rasmus et al. (2015), section 4.1.2.

    Layers, weights, noise and learning rate are those of the authors' program: Adam at 0.002 for
    100 epochs, then 50 epochs in which the rate falls to 0.
    """
    num_steps = 40 if smoke else 150 * 600
    dims = [784, 32, 16, 10] if smoke else [784, 1000, 500, 250, 250, 250, 10]
    weights = [1000.0, 10.0, *[0.1] * (len(dims) - 2)]
    network, objective = jn.objectives.ladder(dims, denoising_weights=weights)
    falling = num_steps // 3
    rate = optax.linear_schedule(0.002, 0.0, falling, num_steps - falling)
    return _train(Setup(network, objective, rate, 100, num_steps), clock, smoke=smoke)


def draw_labeled(y: Int[np.ndarray, " n"], seed: int) -> Int[np.ndarray, " labeled"]:
    """Indices of ten images of each class, drawn by a seed.

    >>> chosen = draw_labeled(np.arange(1000) % 10, 0)
    >>> np.bincount(chosen % 10).tolist()
    [10, 10, 10, 10, 10, 10, 10, 10, 10, 10]
    """
    order = np.random.default_rng(seed).permutation(len(y))
    chosen = [order[y[order] == label][:_LABELS_PER_CLASS] for label in range(_NUM_CLASSES)]
    return np.concatenate(chosen)


def _train(setup: Setup, clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Train all seeds for the number of steps, or as long as there is time."""
    images = small(mnist(), 1000) if smoke else mnist()
    num_seeds = 2 if smoke else _NUM_SEEDS
    learner = jn.gradient_learner(setup.network.init, setup.objective, optax.adam(setup.rate))
    chosen = np.stack([draw_labeled(images.y, seed) for seed in range(num_seeds)])
    labeled = {"x": jnp.asarray(images.x[chosen]), "y": jnp.asarray(images.y[chosen])}
    unlabeled = {"x": jnp.asarray(images.x)}
    run_epoch, steps_per_epoch = epoch_program(learner, labeled, unlabeled, setup.unlabeled_size)

    start = time.perf_counter()
    states = jax.jit(jax.vmap(learner.init))(jax.random.split(jax.random.key(0), num_seeds))
    program = jax.jit(run_epoch, donate_argnums=0).lower(states, labeled, unlabeled).compile()
    compiled = time.perf_counter() - start
    errors = _errors_function(setup.network, images)
    num_epochs, curve, trained = -(-setup.num_steps // steps_per_epoch), [], 0
    metrics: dict[str, Array] = {}
    start = time.perf_counter()
    for epoch in range(num_epochs):
        states, metrics = jax.block_until_ready(program(states, labeled, unlabeled))
        trained = epoch + 1
        if trained in (1, num_epochs // 4, num_epochs // 2):
            curve.append({"epoch": trained, "test_error": spread(errors(states))["mean"]})
        if clock.elapsed() >= clock.seconds - 5:
            break
    seconds = time.perf_counter() - start
    return {
        "figures": {
            "test_error": spread(errors(states)),
            "epochs": f"{trained} of {num_epochs}",
        },
        "data": images.source,
        "seeds": num_seeds,
        "steps": trained * steps_per_epoch,
        "curve": curve,
        "last_epoch": {name: spread(value) for name, value in metrics.items()},
        "run_seconds": {"total": round(seconds + compiled, 1), "compile": round(compiled, 1)},
    }


def epoch_program(
    learner: jn.Learner, labeled: Any, unlabeled: Any, unlabeled_size: int
) -> tuple[Callable[..., Any], int]:
    """One epoch of all runs: each has labels of its own, and all share the images without.

    Args:
        learner: of one run.
        labeled: data of each run, `(runs, n, ...)`; all of them are in each batch.
        unlabeled: data of all runs.
        unlabeled_size: of them in a batch.

    Returns:
        `(states, labeled, unlabeled) -> (states, metrics)`, means over the epoch; and the number of
        steps of an epoch.
    """
    num_labeled = labeled["y"].shape[1]
    batches = training.side_by_side(
        {
            "labeled": training.shuffled(num_labeled),
            "unlabeled": training.shuffled(unlabeled_size),
        }
    )
    one = {"labeled": jax.tree.map(lambda leaf: leaf[0], labeled), "unlabeled": unlabeled}
    num_steps = batches.num_steps(one)

    def epoch(state: jn.TrainState, labeled: Any, unlabeled: Any) -> Any:
        data = {"labeled": labeled, "unlabeled": unlabeled}
        plan = batches.plan(data, state.key, state.step // num_steps)

        def step(state: jn.TrainState, index: Array) -> Any:
            return learner.step(state, batches.take(data, plan, index))

        state, metrics = jax.lax.scan(step, state, jnp.arange(num_steps))
        return state, jax.tree.map(jnp.mean, metrics)

    return jax.vmap(epoch, (0, 0, None)), num_steps


def _errors_function(
    network: jn.nn.StatefulNetwork, images: Images
) -> Callable[[jn.TrainState], np.ndarray]:
    """Percent of wrong test images, for each run."""
    x, y = jnp.asarray(images.test_x), jnp.asarray(images.test_y)

    def error(state: jn.TrainState, x: Array, y: Array) -> Array:
        pair = training.evaluation_params(state), training.evaluation_extra(state)
        return 100 * (network.evaluation.apply(pair, x).argmax(-1) != y).mean()

    program = jax.jit(jax.vmap(error, (0, None, None)))
    return lambda states: np.asarray(program(states, x, y))
