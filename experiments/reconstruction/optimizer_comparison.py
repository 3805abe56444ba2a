"""Optimizers held against each other on the networks of experiments.reconstruction."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.command import finish, print_table, statistics, stopwatch
from experiments.data import Dataset, Split
from experiments.options import seed_keys
from experiments.reconstruction.models import Model
from experiments.report import figures
from jaxnet.checkpoint import params_sha256
from jaxnet.runs.directory import RunDirectory
from jaxnet.typing import Objective

# Shares of the default rate of each optimizer.
_GRID = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class Compared(NamedTuple):
    """What one optimizer did.

    Attributes:
        rates: the grid, `(rates,)`; None where the optimizer has no learning rate.
        losses: training loss of each epoch, `(num_epochs, rates, num_seeds)`.
        validation: validation loss of each epoch, of the same shape.
        seconds: since the start, after each epoch, of one network: those of the program that
            trains all, divided by how many these are; without compilation.
        errors: squared errors on the test examples after the last epoch, `(rates, num_seeds)`.
        state_sha256: of the last state of all networks.
    """

    rates: np.ndarray | None
    losses: np.ndarray
    validation: np.ndarray
    seconds: np.ndarray
    errors: np.ndarray
    state_sha256: str

    @property
    def best(self) -> int:
        """The rate of the least validation loss after the last epoch, mean over the seeds."""
        last = self.validation[-1].mean(axis=-1)
        return int(np.argmin(np.where(np.isfinite(last), last, np.inf)))


def compare(
    config: Any, model: Model, x: np.ndarray, parts: Split, dataset: Dataset
) -> dict[str, Any]:
    """Train the same networks by each optimizer over a grid of rates, all rates in one program.

    The rate of each optimizer is chosen on validation data, and the test error is that of this
    rate. Rates are constant: a schedule would bend the curves. It is not resumed when interrupted.

    Args:
        config: resolved options of `experiments.reconstruction`.
        model: the networks.
        x: all examples.
        parts: the split.
        dataset: where the examples come from.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: an unknown optimizer, before anything is written; a run to resume; a model
            without a loss.
    """
    if config.resume is not None:
        raise ValueError("resume: a comparison of optimizers starts anew; leave --resume out")
    if model.loss is None:
        raise ValueError("model: it has no loss to compare; choose an autoencoder (--model)")
    config = dataclasses.replace(config, optimizer=None, learning_rate=None, weight_decay=None)
    for name in config.compare_optimizers:
        jn.optim.default_learning_rate(name)
    with RunDirectory.open(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            compared = {}
            for name in config.compare_optimizers:
                compared[name] = _train(name, config, model, model.loss, x, parts)
                print("  ".join(_row(name, compared[name])), flush=True)
                directory.log(_record(name, compared[name]))
        epoch_length = len(parts.train) // config.batch_size
        curves = {
            name: (each.seconds, each.losses[:, each.best]) for name, each in compared.items()
        }
        figure = figures.optimizer_curves(curves, steps_per_epoch=epoch_length)
        directory.save_figure("optimizers", figure)
        directory.save_figure(
            "rates",
            figures.rate_curves(
                {
                    name: (each.rates, each.validation[-1])
                    for name, each in compared.items()
                    if each.rates is not None
                }
            ),
        )
        rows = [("optimizer", "rate", "training loss", "test squared error", "s / epoch")]
        rows += [_row(name, each) for name, each in compared.items()]
        print_table(rows)
        summary = {
            "metrics": {
                f"{name}_squared_error": statistics(each.errors[each.best])
                for name, each in compared.items()
            },
            "rates": {
                name: None if each.rates is None else float(each.rates[each.best])
                for name, each in compared.items()
            },
            "params_sha256": {name: each.state_sha256 for name, each in compared.items()},
            "state_sha256": {name: each.state_sha256 for name, each in compared.items()},
            "seconds": seconds,
            "tables": {"Optimizers": rows},
        }
        captions = {
            "optimizers": "Training loss under the best rate of each optimizer, against steps and "
            "seconds: mean and range of the networks.",
            "rates": "Validation loss after the last epoch over the grid of rates.",
        }
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)


def _train(
    name: str, config: Any, model: Model, loss: Objective, x: np.ndarray, parts: Split
) -> Compared:
    default = jn.optim.default_learning_rate(name)
    rates = None if default is None else default * np.array(_GRID)
    grid = jnp.asarray([0.0] if rates is None else rates, jnp.float32)

    def learner(rate: jax.Array) -> jn.Learner:
        return model.learner(
            lambda key: jn.optimizer(name, None if rates is None else rate, key=key)
        )

    # The rate is a leaf of the state, so one learner serves all networks of the stack.
    def init(key: jax.Array, rate: jax.Array) -> jn.TrainState:
        state = learner(rate).init(key)
        return state._replace(extra=(rate, state.extra))

    def step(state: jn.TrainState, batch: Any) -> tuple[jn.TrainState, Any]:
        rate, extra = state.extra
        inner, metrics = learner(rate).step(state._replace(extra=extra), batch)
        return inner._replace(extra=(rate, inner.extra)), metrics

    keys = seed_keys(config)
    num_seeds = len(keys)
    keys, grid = jnp.tile(keys, len(grid)), jnp.repeat(grid, num_seeds)
    states = jax.jit(jax.vmap(init))(keys, grid)
    validation = {"x": jnp.asarray(x[parts.validation])}
    key = seed_keys(config, "validation")[0]

    @jax.jit
    @jax.vmap
    def evaluate(state: jn.TrainState) -> jax.Array:
        return loss(jn.evaluation_params(state), validation, key)[0]

    stacked = jn.Learner(lambda key: init(key, grid[0]), step)
    data = {"x": jnp.asarray(x[parts.train])}
    options = {"batch_size": config.batch_size}
    # One step that is thrown away compiles the program, so that no epoch is timed with it.
    room = jn.training.begin_epoch(stacked, states, data, **options)
    jax.block_until_ready(jn.training.advance(stacked, states, room, data, num_steps=1, **options))
    run = jn.epochs(stacked, states, data, **options)
    losses, judged, seconds = [], [], []
    for _ in range(config.num_epochs):
        with stopwatch() as spent:
            states, metrics = next(run)
            losses.append(np.asarray(metrics["loss"]))
        seconds.append(spent["train"])
        judged.append(np.asarray(evaluate(states)))
        best = np.nanmin(losses[-1]) if np.isfinite(losses[-1]).any() else np.nan
        print(f"{name}: epoch {len(losses)}/{config.num_epochs}, best loss {best:.4g}", flush=True)
    test = jnp.asarray(x[parts.test])

    def error(state: jn.TrainState) -> jax.Array:
        rebuilt = jn.predict(model.rebuild, jn.evaluation_params(state), test)
        return ((rebuilt - test) ** 2).sum(axis=-1).mean()

    shape = (-1, num_seeds)
    return Compared(
        rates,
        np.stack(losses).reshape(config.num_epochs, *shape),
        np.stack(judged).reshape(config.num_epochs, *shape),
        np.cumsum(seconds) / len(keys),
        np.asarray(jax.lax.map(error, states)).reshape(shape),
        params_sha256(states),
    )


def _row(name: str, each: Compared) -> tuple[str, ...]:
    losses, errors = each.losses[-1, each.best], statistics(each.errors[each.best])
    return (
        name,
        "its own" if each.rates is None else f"{each.rates[each.best]:.2g}",
        f"{losses.mean():.4g}",
        f"{errors['mean']:.4f} ± {errors['std']:.4f}",
        f"{each.seconds[-1] / len(each.losses):.2f}",
    )


def _record(name: str, each: Compared) -> dict[str, Any]:
    return {
        "optimizer": name,
        "rates": None if each.rates is None else each.rates.tolist(),
        "train": each.losses.tolist(),
        "validation": each.validation.tolist(),
        "seconds": each.seconds.tolist(),
    }
