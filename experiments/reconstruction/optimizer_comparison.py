"""Optimizers compared on the networks of experiments.reconstruction."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.command import finish, print_table, show, statistics, stopwatch
from experiments.placement import Placement
from experiments.prepare import Prepared
from experiments.reconstruction.config import Config
from experiments.reconstruction.models import Model
from experiments.report import figures
from experiments.report.drawing import draw_figure
from experiments.training import batch_size, open_directory, seed_keys
from jaxnet import runs
from jaxnet.checkpoint import params_sha256

# Multiples of the default rate of each optimizer.
_GRID = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class Compared(NamedTuple):
    """Results of one optimizer.

    Attributes:
        rates: the grid, `(rates,)`; None where the optimizer has no learning rate.
        losses: training loss of each epoch, `(num_epochs, rates, num_seeds)`.
        validation: validation loss of each epoch, of the same shape.
        seconds: since the start, after each epoch, of one network: those of the program that
            trains all, divided by their number; without compilation.
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


def compare(prepared: Prepared[Config], model: Model, placement: Placement) -> dict[str, Any]:
    """Train the same networks by each optimizer over a grid of rates, all rates in one program.

    The rate of each optimizer is chosen on validation data, and the test error is that of this
    rate. Rates are constant: a schedule would bend the curves. An interrupted comparison continues
    with the optimizer that it was at.

    Args:
        prepared: config and data.
        model: the networks, which have a loss.
        placement: how the networks are spread over devices.

    Returns:
        The summary, as it is written to `summary.json`.
    """
    config, dataset, parts, _, _ = prepared
    names = config.compare_optimizers
    with open_directory(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            compared = _finished(directory)
            for name in names:
                if name not in compared:
                    compared[name] = _train(name, prepared, model, placement)
                    directory.log(_record(name, compared[name]))
                print("  ".join(_row(name, compared[name])), flush=True)
        compared = {name: compared[name] for name in names}
        epoch_length = len(parts.train) // batch_size(config, len(parts.train))
        curves = {
            name: (result.seconds, result.losses[:, result.best])
            for name, result in compared.items()
        }
        by_rate = {
            name: (result.rates, result.validation[-1])
            for name, result in compared.items()
            if result.rates is not None
        }
        captions = draw_figure(
            directory,
            "optimizers",
            "Training loss under the best rate of each optimizer, against steps and seconds: mean "
            "and range of the networks.",
            lambda: figures.optimizer_curves(curves, steps_per_epoch=epoch_length),
        )
        captions |= draw_figure(
            directory,
            "rates",
            "Validation loss after the last epoch over the grid of rates.",
            lambda: figures.rate_curves(by_rate),
        )
        rows = [("optimizer", "rate", "training loss", "test squared error", "s / epoch")]
        rows += [_row(name, result) for name, result in compared.items()]
        print_table(rows)
        hashes = {name: result.state_sha256 for name, result in compared.items()}
        summary = {
            "metrics": {
                f"{name}_squared_error": statistics(result.errors[result.best])
                for name, result in compared.items()
            },
            "rates": {
                name: None if result.rates is None else float(result.rates[result.best])
                for name, result in compared.items()
            },
            "params_sha256": hashes,
            "state_sha256": hashes,
            "seconds": seconds,
            "tables": {"Optimizers": rows},
        }
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)


def _train(name: str, prepared: Prepared[Config], model: Model, placement: Placement) -> Compared:
    config, _, parts, _, x = prepared
    loss = model.loss
    assert loss is not None
    default = jn.optim.default_learning_rate(name)
    rates = None if default is None else default * np.array(_GRID)
    grid = jnp.asarray([0.0] if rates is None else rates, jnp.float32)

    def learner(rate: jax.Array) -> jn.Learner:
        return model.learner(
            lambda key: jn.optimizer(name, None if rates is None else rate, key=key), model.init
        )

    # The rate is part of the state, so that one learner serves all networks.
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
    states = placement.over_runs(jax.jit(jax.vmap(init))(keys, grid))
    validation = placement.everywhere({"x": jax.device_put(x[parts.validation])})
    key = seed_keys(config, "validation")[0]

    @jax.jit
    @jax.vmap
    def evaluate(state: jn.TrainState) -> jax.Array:
        return loss(jn.evaluation_params(state), validation, key)[0]

    batched = placement.learner(jn.Learner(lambda key: init(key, grid[0]), step))
    data = placement.everywhere({"x": jax.device_put(x[parts.train])})
    options: dict[str, Any] = {"batch_size": batch_size(config, len(parts.train))}
    # One step, which is not used, compiles the program, so that no epoch is timed with it.
    empty = jn.training.begin_epoch(batched, states, data, **options)
    jax.block_until_ready(jn.training.advance(batched, states, empty, data, num_steps=1, **options))
    run = jn.epochs(batched, states, data, **options)
    losses, evaluated, seconds = [], [], []
    for _ in range(config.num_epochs):
        with stopwatch() as spent:
            states, metrics = next(run)
            losses.append(np.asarray(metrics["loss"]))
        seconds.append(spent["train"])
        evaluated.append(np.asarray(evaluate(states)))
        best = np.nanmin(losses[-1]) if np.isfinite(losses[-1]).any() else np.nan
        print(f"{name}: epoch {len(losses)}/{config.num_epochs}, best loss {best:.4g}", flush=True)
    test = placement.everywhere(jax.device_put(x[parts.test]))

    def error(state: jn.TrainState) -> jax.Array:
        reconstructed = jn.predict(model.reconstruct, jn.evaluation_params(state), test)
        return ((reconstructed - test) ** 2).sum(axis=-1).mean()

    shape = (-1, num_seeds)
    return Compared(
        rates,
        np.stack(losses).reshape(config.num_epochs, *shape),
        np.stack(evaluated).reshape(config.num_epochs, *shape),
        np.cumsum(seconds) / len(keys),
        np.asarray(jax.lax.map(error, states)).reshape(shape),
        params_sha256(states),
    )


def _row(name: str, result: Compared) -> tuple[str, ...]:
    losses, errors = result.losses[-1, result.best], statistics(result.errors[result.best])
    return (
        name,
        "none" if result.rates is None else f"{result.rates[result.best]:.2g}",
        f"{losses.mean():.4g}",
        show(errors),
        f"{result.seconds[-1] / len(result.losses):.2f}",
    )


def _record(name: str, result: Compared) -> dict[str, Any]:
    """The results of an optimizer for `metrics.jsonl`, from which they can be read again."""
    return {"optimizer": name} | {
        field: value.tolist() if isinstance(value, np.ndarray) else value
        for field, value in result._asdict().items()
    }


def _finished(directory: runs.RunDirectory) -> dict[str, Compared]:
    """The results of the optimizers with which an interrupted comparison was done."""
    log = directory.path / "metrics.jsonl"
    records = runs.read_log(log) if log.exists() else []
    directory.write_log(records)
    finished = {}
    for record in records:
        values: dict[str, Any] = {
            field: np.array(record[field]) if isinstance(record[field], list) else record[field]
            for field in Compared._fields
        }
        finished[record["optimizer"]] = Compared(**values)
    return finished
