"""Rows of learning from 100 labels: ten draws of labels, ten networks, in one program."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
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
Settings = Mapping[str, Any]


class Setup(NamedTuple):
    """What a row trains.

    Attributes:
        network: from images to logits.
        learner: from settings, which may be traced, and a number of steps to the learner.
        unlabeled_size: images without labels in a batch; all 100 with labels are in each.
        num_steps: of the training.
    """

    network: jn.nn.StatefulNetwork
    learner: Callable[[Settings, int], jn.Learner]
    unlabeled_size: int
    num_steps: int


def vat(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Virtual adversarial training with minimal entropy, Miyato et al. (2018), eq. 18.

    Network, batch sizes and rate are those of the authors' first program: 784, 1200, 1200, 10, all
    layers normalized; 100 images with labels, and 250 without in the divergence; Adam at 0.002,
    times 0.9 after each hundredth of the training. Without the entropy classes merge in longer
    trainings (docs/results.md). Radius, distance of the gradients and number of steps are chosen by
    the error on 1 000 training images, whose labels are used for nothing else. A distance of 1e-6,
    that of the authors' program, is of the order of the rounding, which matrix products of a lower
    precision would change.
    """
    network = jn.nn.batch_norm_mlp([784, 32, 10] if smoke else [784, 1200, 1200, 10])

    def learner(settings: Settings, num_steps: int) -> jn.Learner:
        objective = jn.objectives.virtual_adversarial(
            network,
            radius=settings["radius"],
            entropy_weight=1.0,
            difference=settings["difference"],
        )
        rate = optax.exponential_decay(0.002, num_steps, 0.9**100)
        return jn.gradient_learner(network.init, objective, optax.adam(rate))

    choices = itertools.product([2.0, 3.0, 4.0], [1e-6, 1e-3])
    radii, differences = map(list, zip(*choices, strict=True))
    grid = {"radius": radii, "difference": differences}
    setup = Setup(network, learner, 250, 0)
    with jax.default_matmul_precision("highest"):
        chosen = _choose(setup, grid, [5, 10] if smoke else [2_500, 7_500], smoke=smoke)
        setup = setup._replace(num_steps=chosen["chosen"]["num_steps"])
        return _train(setup, chosen.pop("settings"), clock, smoke=smoke) | chosen


def ladder(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Ladder network, Rasmus et al. (2015), section 4.1.2.

    Layers, weights, noise and learning rate are those of the authors' program: Adam at 0.002 for
    100 epochs, then 50 epochs in which the rate falls to 0.
    """
    dims = [784, 32, 16, 10] if smoke else [784, 1000, 500, 250, 250, 250, 10]
    weights = [1000.0, 10.0, *[0.1] * (len(dims) - 2)]
    network, objective = jn.objectives.ladder(dims, denoising_weights=weights)

    def learner(settings: Settings, num_steps: int) -> jn.Learner:
        falling = num_steps // 3
        rate = optax.linear_schedule(settings["rate"], 0.0, falling, num_steps - falling)
        return jn.gradient_learner(network.init, objective, optax.adam(rate))

    setup = Setup(network, learner, 100, 40 if smoke else 150 * 600)
    return _train(setup, {"rate": 0.002}, clock, smoke=smoke)


def draw_labeled(y: Int[np.ndarray, " n"], seed: int) -> Int[np.ndarray, " labeled"]:
    """Indices of ten images of each class, drawn by a seed.

    >>> chosen = draw_labeled(np.arange(1000) % 10, 0)
    >>> np.bincount(chosen % 10).tolist()
    [10, 10, 10, 10, 10, 10, 10, 10, 10, 10]
    """
    order = np.random.default_rng(seed).permutation(len(y))
    chosen = [order[y[order] == label][:_LABELS_PER_CLASS] for label in range(_NUM_CLASSES)]
    return np.concatenate(chosen)


def _images(smoke: bool) -> Images:
    return small(mnist(), 1500) if smoke else mnist()


def _labeled(images: Images, seeds: Sequence[int]) -> dict[str, Array]:
    chosen = np.stack([draw_labeled(images.y, seed) for seed in seeds])
    return {"x": jnp.asarray(images.x[chosen]), "y": jnp.asarray(images.y[chosen])}


def _choose(
    setup: Setup, grid: Mapping[str, list[float]], numbers_of_steps: Sequence[int], *, smoke: bool
) -> dict[str, Any]:
    """The settings with the least error on 1 000 training images, for one more draw of labels."""
    images = _images(smoke)
    num_validation = 500 if smoke else 1000
    held_out = images._replace(
        x=images.x[num_validation:],
        y=images.y[num_validation:],
        test_x=images.x[:num_validation],
        test_y=images.y[:num_validation],
    )
    candidates = {name: jnp.asarray(values) for name, values in grid.items()}
    num_candidates = len(next(iter(grid.values())))
    labeled = _labeled(held_out, [_NUM_SEEDS] * num_candidates)
    start, tried = time.perf_counter(), []
    errors_of = _errors_function(setup.network, held_out)
    for num_steps in numbers_of_steps:
        program, states, unlabeled, per_epoch = _compiled(
            setup, candidates, labeled, held_out, num_steps
        )
        for _ in range(-(-num_steps // per_epoch)):
            states, _ = jax.block_until_ready(program(states, candidates, labeled, unlabeled))
        for index, error in enumerate(errors_of(states)):
            settings = {name: values[index] for name, values in grid.items()}
            tried.append((float(np.nan_to_num(error, nan=np.inf)), num_steps, settings))
    _, num_steps, settings = min(tried, key=lambda each: each[0])
    return {
        "settings": settings,
        "chosen": {**settings, "num_steps": num_steps},
        "validation": [
            {**settings, "num_steps": num_steps, "error": round(error, 2)}
            for error, num_steps, settings in tried
        ],
        "seconds_of_validation": round(time.perf_counter() - start, 1),
    }


def _compiled(
    setup: Setup, settings: dict[str, Array], labeled: Any, images: Images, num_steps: int
) -> tuple[Callable[..., Any], jn.TrainState, Any, int]:
    """The program of an epoch, the first states, the images without labels, steps of an epoch."""
    unlabeled = {"x": jnp.asarray(images.x)}

    def learner(settings: Settings) -> jn.Learner:
        return setup.learner(settings, num_steps)

    run_epoch, per_epoch = epoch_program(learner, labeled, unlabeled, setup.unlabeled_size)
    keys = jax.random.split(jax.random.key(0), len(labeled["y"]))
    states = jax.jit(jax.vmap(lambda key, settings: learner(settings).init(key)))(keys, settings)
    lowered = jax.jit(run_epoch, donate_argnums=0).lower(states, settings, labeled, unlabeled)
    return lowered.compile(), states, unlabeled, per_epoch


def _train(setup: Setup, settings: Settings, clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Train all seeds for the number of steps, or as long as there is time."""
    images = _images(smoke)
    num_seeds = 2 if smoke else _NUM_SEEDS
    labeled = _labeled(images, range(num_seeds))
    repeated = {name: jnp.full(num_seeds, value) for name, value in settings.items()}
    start = time.perf_counter()
    program, states, unlabeled, per_epoch = _compiled(
        setup, repeated, labeled, images, setup.num_steps
    )
    compiled = time.perf_counter() - start
    errors = _errors_function(setup.network, images)
    num_epochs, curve, trained = -(-setup.num_steps // per_epoch), [], 0
    metrics: dict[str, Array] = {}
    start = time.perf_counter()
    for epoch in range(num_epochs):
        states, metrics = jax.block_until_ready(program(states, repeated, labeled, unlabeled))
        trained = epoch + 1
        if trained in (1, num_epochs // 8, num_epochs // 4, num_epochs // 2):
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
        "steps": trained * per_epoch,
        "curve": curve,
        "last_epoch": {name: spread(value) for name, value in metrics.items()},
        "run_seconds": {"total": round(seconds + compiled, 1), "compile": round(compiled, 1)},
    }


def epoch_program(
    learner: Callable[[Settings], jn.Learner], labeled: Any, unlabeled: Any, unlabeled_size: int
) -> tuple[Callable[..., Any], int]:
    """One epoch of all runs: each has labels of its own, and all share the images without.

    Args:
        learner: from the settings of a run.
        labeled: data of each run, `(runs, n, ...)`; all of them are in each batch.
        unlabeled: data of all runs.
        unlabeled_size: of them in a batch.

    Returns:
        `(states, settings, labeled, unlabeled) -> (states, metrics)`, means over the epoch; and the
        number of steps of an epoch.
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

    def epoch(state: jn.TrainState, settings: Settings, labeled: Any, unlabeled: Any) -> Any:
        data = {"labeled": labeled, "unlabeled": unlabeled}
        step_of = learner(settings).step
        plan = batches.plan(data, state.key, state.step // num_steps)

        def step(state: jn.TrainState, index: Array) -> Any:
            return step_of(state, batches.take(data, plan, index))

        state, metrics = jax.lax.scan(step, state, jnp.arange(num_steps))
        return state, jax.tree.map(jnp.mean, metrics)

    return jax.vmap(epoch, (0, 0, 0, None)), num_steps


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
