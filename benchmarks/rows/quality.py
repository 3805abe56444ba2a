"""Rows of quality on MNIST: settings chosen on validation images, then five seeds."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

import jaxnet as jn
from benchmarks.data import Images, mnist, small
from benchmarks.harness import Clock, spread
from jaxnet import boltzmann

_NUM_SEEDS = 5
Settings = Mapping[str, Any]


def permutation_invariant(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """Multi-layer perceptron with dropout and max-norm, Srivastava et al. (2014), section 6.1.1."""
    width, batch_size = (32, 100) if smoke else (4096, 250)
    network = jn.mlp([784, width, width, 10], dropout=0.5, input_dropout=0.2)

    def learner(settings: Settings, num_steps: int) -> jn.Learner:
        rate = jn.schedule("cosine", settings["rate"], num_steps=num_steps)
        optimizer = optax.chain(optax.adam(rate), max_norm(settings["norm"]))
        return jn.gradient_learner(network.init, jn.classification(network), optimizer)

    def error(params: Any, x: Array, y: Array, key: Array) -> Array:
        return 100 * (jn.predict(network.apply, params, x).argmax(-1) != y).mean()

    grid = {"rate": [3e-4, 1e-3, 3e-4, 1e-3], "norm": [2.0, 2.0, 4.0, 4.0]}
    epochs = (1, 2) if smoke else (40, 200)
    return _choose_and_train(learner, error, grid, epochs, batch_size, smoke)


def deep_autoencoder(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """The autoencoder of Hinton and Salakhutdinov (2006) by Adam, without pretraining.

    `penalty * ||kernels||^2 / 2` is part of the loss, as in Martens (2010), section 6. On
    validation images it does more than a decay that Adam does not scale (docs/results.md).
    """
    network = jn.autoencoders.mlp_autoencoder(
        [784, 32, 8] if smoke else [784, 1000, 500, 250, 30], activation=jax.nn.silu
    )
    objective = jn.autoencoders.bernoulli_reconstruction(network)

    def learner(settings: Settings, num_steps: int) -> jn.Learner:
        rate = jn.schedule("warmup_cosine", settings["rate"], num_steps=num_steps)
        penalty = optax.add_decayed_weights(settings["penalty"], mask=_kernels)
        return jn.gradient_learner(network.init, objective, optax.chain(penalty, optax.adam(rate)))

    def error(params: Any, x: Array, y: Array, key: Array) -> Array:
        outputs = jax.nn.sigmoid(jn.predict(network.apply, params, x))
        return jnp.sum((outputs - x) ** 2, axis=-1).mean()

    grid = {"rate": [2e-3, 4e-3, 4e-3, 4e-3], "penalty": [1.2e-3, 6e-4, 1.2e-3, 2.4e-3]}
    epochs = (1, 2) if smoke else (100, 800)
    return _choose_and_train(learner, error, grid, epochs, 128, smoke)


def cd25(clock: Clock, *, smoke: bool) -> dict[str, Any]:
    """RBM by CD-25 and Adam, the log-probability by annealed importance sampling, 14 500 betas.

    Images are drawn from their gray levels, for training at each step and for the test once.
    """
    rbm = boltzmann.RBM(784, 16 if smoke else 500)
    images = _images(smoke)
    bias = rbm.data_bias(jnp.asarray(images.x))
    objective = boltzmann.contrastive_divergence(rbm, num_steps=2 if smoke else 25)
    binarization = jn.nn.bernoulli_sampling()
    objective = jn.with_augmentation(objective, binarization)
    betas = boltzmann.annealing_schedule(20 if smoke else 14_500)

    def init(key: Array) -> Any:
        return rbm.init(key) | {"visible_bias": bias}

    def learner(settings: Settings, num_steps: int) -> jn.Learner:
        rate = jn.schedule("cosine", settings["rate"], num_steps=num_steps)
        return jn.gradient_learner(init, objective, optax.adam(rate))

    def negative_log_probability(params: Any, x: Array, y: Array, key: Array) -> Array:
        sample_key, key = jax.random.split(key)
        x = binarization.apply({}, x, key=sample_key)
        estimate = boltzmann.annealed_importance_sampling(
            rbm, params, key, base_bias=bias, betas=betas, num_chains=10 if smoke else 200
        )
        return -rbm.log_probability(params, x, estimate.log_partition).mean()

    grid = {"rate": [0.002, 0.004, 0.008, 0.016]}
    epochs = (1, 2) if smoke else (40, 220)
    return _choose_and_train(learner, negative_log_probability, grid, epochs, 100, smoke)


def max_norm(largest: Any) -> optax.GradientTransformation:
    """Optax transformation that keeps the norm of the weights into each unit at most `largest`.

    To be the last of a chain. Srivastava et al. (2014), "Dropout", section 5.1.

    Args:
        largest: of the norms; may be traced.

    >>> transformation = max_norm(1.0)
    >>> params = {"kernel": jnp.zeros((2, 1)), "bias": jnp.zeros(1)}
    >>> updates = {"kernel": jnp.array([[3.0], [4.0]]), "bias": jnp.full(1, 9.0)}
    >>> updates, _ = transformation.update(updates, transformation.init(params), params)
    >>> bool(jnp.allclose(updates["kernel"].ravel(), jnp.array([0.6, 0.8])))
    True
    >>> updates["bias"].tolist()
    [9.0]
    """

    def project(update: Array, param: Array) -> Array:
        if param.ndim < 2:
            return update
        moved = param + update
        norm = jnp.sqrt(jnp.sum(moved**2, axis=0, keepdims=True))
        return moved * jnp.minimum(1, largest / jnp.maximum(norm, 1e-12)) - param

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return jax.tree.map(project, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _kernels(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim == 2, params)


def _images(smoke: bool) -> Images:
    return small(mnist()) if smoke else mnist()


def _choose_and_train(
    learner: Callable[[Settings, int], jn.Learner],
    error: Callable[[Any, Array, Array, Array], Array],
    grid: Mapping[str, list[float]],
    epochs: tuple[int, int],
    batch_size: int,
    smoke: bool,
) -> dict[str, Any]:
    """Choose settings by their error on a sixth of the training images, then train on all of them.

    Args:
        learner: from settings, which may be traced, and a number of steps to the learner.
        error: `(params, x, y, key)` to the error, which is to be small.
        grid: values of the settings, one for each candidate.
        epochs: of the choice, and of the training.
        batch_size: examples in a batch.
        smoke: whether the images are few.
    """
    images = _images(smoke)
    num_validation = len(images.x) // 6
    x, y = jnp.asarray(images.x), jnp.asarray(images.y)
    train = {"x": x[num_validation:], "y": y[num_validation:]}
    validation = x[:num_validation], y[:num_validation]
    test = jnp.asarray(images.test_x), jnp.asarray(images.test_y)
    select_key, final_key = jax.random.split(jax.random.key(0))

    def run(key: Array, settings: Settings, data: Any, held_out: Any, num_epochs: int) -> Any:
        train_key, error_key = jax.random.split(key)
        num_steps = num_epochs * (len(data["x"]) // batch_size)
        state, history = jn.fit(
            learner(settings, num_steps),
            train_key,
            data,
            batch_size=batch_size,
            num_epochs=num_epochs,
        )
        return error(state.params, held_out[0], held_out[1], error_key), history["loss"][-1]

    start = time.perf_counter()
    candidates = jax.tree.map(jnp.asarray, dict(grid), is_leaf=lambda leaf: isinstance(leaf, list))
    program = jax.jit(jax.vmap(run, (None, 0, None, None, None)), static_argnums=4)
    validated, _ = program(select_key, candidates, train, validation, epochs[0])
    errors = np.nan_to_num(np.asarray(validated), nan=np.inf)
    best = {name: jnp.float32(values[errors.argmin()]) for name, values in grid.items()}
    chosen = time.perf_counter() - start

    start = time.perf_counter()
    keys = jax.random.split(final_key, 2 if smoke else _NUM_SEEDS)
    program = jax.jit(jax.vmap(run, (0, None, None, None, None)), static_argnums=4)
    errors_of_seeds, losses = program(keys, best, {"x": x, "y": y}, test, epochs[1])
    errors_of_seeds = np.asarray(errors_of_seeds)
    return {
        "data": images.source,
        "seeds": len(keys),
        "test_error": spread(errors_of_seeds),
        "training_loss": spread(losses),
        "epochs": epochs[1],
        "seconds_of_training": round(time.perf_counter() - start, 1),
        "settings": {name: float(value) for name, value in best.items()},
        "validation": [
            {name: values[index] for name, values in grid.items()} | {"error": float(value)}
            for index, value in enumerate(errors)
        ],
        "epochs_of_validation": epochs[0],
        "seconds_of_validation": round(chosen, 1),
    }
