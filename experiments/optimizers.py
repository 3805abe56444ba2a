"""Every Optax optimizer at its default rate on one problem, through the same training.

    python -m experiments.optimizers                      # all of them, 10 seeds each
    python -m experiments.optimizers --names adam muon lion

A network 64-64-10 on the digits, batch 64, 20 epochs, at a constant default rate; nothing is tuned.
The table is that of docs/optimizers.md. It does not rank optimizers: with a rate and a schedule
chosen on validation data, most of them reach about the same accuracy.
"""

import dataclasses
import sys
from typing import Any, ClassVar

import jax
import numpy as np

import jaxnet as jn
from experiments.command import finish, main, print_table, show, statistics, stopwatch
from experiments.config import PositiveInt, RunOptions
from experiments.data import Dataset, fit_standardization, load, split, standardize
from experiments.model import stacked_sha256
from experiments.placement import place
from experiments.precision import in_precision, scaled
from experiments.prepare import require_vectors, resolve_threads
from experiments.training import check_directory, open_directory, seed_keys
from jaxnet import metrics
from jaxnet.runs.records import read_log


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunOptions):
    """Train the same network on the digits with every optimizer at its default rate."""

    experiment: ClassVar[str] = "optimizers"
    dataset: ClassVar[str] = "digits"

    names: tuple[str, ...] = ()
    """Names of the optimizers; none of them means all of the installed Optax."""
    num_epochs: PositiveInt = 20
    """Passes over the training data."""
    batch_size: PositiveInt = 64
    """Examples in a batch."""


def load_data(config: Config) -> Dataset:
    """The data set of every config."""
    return load(config.dataset)


def run(config: Config) -> dict[str, Any]:
    """Train with each optimizer; an interrupted run continues with the optimizer that it was at.

    Returns:
        The summary, as it is written to `summary.json`: test accuracy of each optimizer.

    Raises:
        ValueError: a mistake in the options.
    """
    names = config.names or jn.optimizer_names()
    for name in names:
        jn.optim.default_learning_rate(name)
    check_directory(config)
    config = resolve_threads(dataclasses.replace(config, names=tuple(names)))
    config, placement = place(config, config.num_seeds, [config.batch_size])
    dataset = load_data(config)
    require_vectors(dataset, config.experiment)
    parts = split(dataset, seed=config.seed)
    inputs = dataset.x.reshape(len(dataset.x), -1)
    inputs = standardize(fit_standardization(inputs[parts.train], per_feature=False), inputs)
    data = {"x": jax.device_put(inputs[parts.train]), "y": jax.device_put(dataset.y[parts.train])}
    test = jax.device_put(inputs[parts.test]), jax.device_put(dataset.y[parts.test])
    data, test = placement.everywhere((data, test))
    network = in_precision(config, jn.mlp([inputs.shape[1], 64, dataset.num_classes]))
    objective = scaled(config, jn.classification(network))

    @jax.jit
    @jax.vmap
    def accuracy(params: Any) -> jax.Array:
        return metrics.accuracy(jn.predict(network.apply, params, test[0]), test[1])

    def record(name: str) -> dict[str, Any]:
        """Train all seeds with one optimizer."""
        learner = placement.learner(
            jn.gradient_learner(network.init, objective, lambda key: jn.optimizer(name, key=key))
        )

        @jax.jit
        def train(keys: jax.Array, data: dict[str, jax.Array]) -> Any:
            options: dict[str, Any] = {
                "batch_size": config.batch_size,
                "num_epochs": config.num_epochs,
            }
            states, _ = jax.vmap(lambda key: jn.fit(learner, key, data, **options))(keys)
            return jax.vmap(jn.evaluation_params)(states)

        with stopwatch() as spent:
            params = jax.block_until_ready(train(placement.over_runs(seed_keys(config)), data))
        return {
            "optimizer": name,
            "accuracy": np.asarray(accuracy(params)).tolist(),
            "params_sha256": stacked_sha256(params),
            "seconds": spent["train"],
        }

    with open_directory(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            log = directory.path / "metrics.jsonl"
            records = read_log(log) if log.exists() else []
            directory.write_log(records)
            rows: list[tuple[str, ...]] = [
                ("optimizer", "default rate", "test accuracy", "seconds")
            ]
            for name in names:
                done = [result for result in records if result["optimizer"] == name]
                if not done:
                    done = [record(name)]
                    directory.log(done[0])
                    records += done
                rows.append(_row(done[0]))
                print("  ".join(rows[-1]), flush=True)
        print_table(rows)
        records = [result for name in names for result in records if result["optimizer"] == name]
        summary = {
            "metrics": {
                result["optimizer"]: statistics(np.asarray(result["accuracy"]))
                for result in records
            },
            "params_sha256": {result["optimizer"]: result["params_sha256"] for result in records},
            "seconds": seconds,
            "tables": {"Optimizers": rows},
        }
        return finish(directory, config, summary, {})


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    accuracy = statistics(np.asarray(record["accuracy"]))
    rate = jn.optim.default_learning_rate(record["optimizer"])
    return (
        record["optimizer"],
        "its own" if rate is None else f"{rate:g}",
        show(accuracy),
        f"{record['seconds']:.1f}",
    )


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
