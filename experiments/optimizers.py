"""Every Optax optimizer at its default rate on one problem, through the same loop.

    python -m experiments.optimizers                      # all of them, 10 seeds each
    python -m experiments.optimizers --names adam muon lion

A network 64-64-10 on the digits, batch 64, 20 epochs, the default rate held constant, nothing
tuned. The table is that of docs/optimizers.md. It does not rank optimizers: given a rate and a
schedule chosen on validation data, most of them meet.
"""

import dataclasses
import sys
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.command import finish, main, print_table, statistics, stopwatch
from experiments.data import Dataset, fit_standardization, load, split, standardize
from experiments.model import stacked_sha256
from experiments.options import RunConfig, require_positive, resolve_threads, seed_keys
from jaxnet import metrics
from jaxnet.runs.directory import RunDirectory, read_log


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    """Train the digits with every optimizer at its default rate."""

    experiment: ClassVar[str] = "optimizers"
    dataset: ClassVar[str] = "digits"

    names: tuple[str, ...] = ()
    """Optimizers by name; by default all of the installed Optax."""
    num_epochs: int = 20
    """Passes over the training data."""
    batch_size: int = 64
    """Examples in a batch."""
    num_seeds: int | None = 10
    """Networks trained side by side by each optimizer, from the same seeds."""


def load_data(config: Config) -> Dataset:
    """The data set of every config."""
    return load(config.dataset)


def run(config: Config) -> dict[str, Any]:
    """Run the experiment; an interrupted one goes on with the optimizer that it was at.

    Returns:
        The summary, as it is written to `summary.json`: test accuracy of each optimizer.

    Raises:
        ValueError: a mistake in the options.
    """
    names = config.names or jn.optimizer_names()
    require_positive(config, "num_epochs", "batch_size", "num_seeds")
    for name in names:
        jn.optim.default_learning_rate(name)
    RunDirectory.check(config)
    config = resolve_threads(dataclasses.replace(config, names=tuple(names)))
    dataset = load_data(config)
    parts = split(dataset, seed=config.seed)
    inputs = dataset.x.reshape(len(dataset.x), -1)
    inputs = standardize(fit_standardization(inputs[parts.train], per_feature=False), inputs)
    data = {"x": jnp.asarray(inputs[parts.train]), "y": jnp.asarray(dataset.y[parts.train])}
    test = jnp.asarray(inputs[parts.test]), jnp.asarray(dataset.y[parts.test])
    network = jn.mlp([inputs.shape[1], 64, dataset.num_classes])

    @jax.jit
    @jax.vmap
    def accuracy(params: Any) -> jax.Array:
        return metrics.accuracy(jn.predict(network.apply, params, test[0]), test[1])

    def record(name: str) -> dict[str, Any]:
        """Train all seeds with one optimizer."""
        learner = jn.gradient_learner(
            network.init, jn.classification(network), lambda key: jn.optimizer(name, key=key)
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
            params = jax.block_until_ready(train(seed_keys(config), data))
        return {
            "optimizer": name,
            "accuracy": np.asarray(accuracy(params)).tolist(),
            "params_sha256": stacked_sha256(params),
            "seconds": spent["train"],
        }

    with RunDirectory.open(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            log = directory.path / "metrics.jsonl"
            records = read_log(log) if log.exists() else []
            directory.write_log(records)
            rows: list[tuple[str, ...]] = [
                ("optimizer", "default rate", "test accuracy", "seconds")
            ]
            for name in names:
                found = next((each for each in records if each["optimizer"] == name), None)
                if found is None:
                    found = record(name)
                    directory.log(found)
                    records.append(found)
                rows.append(_row(found))
                print("  ".join(rows[-1]), flush=True)
        print_table(rows)
        records = [each for name in names for each in records if each["optimizer"] == name]
        summary = {
            "metrics": {
                each["optimizer"]: statistics(np.asarray(each["accuracy"])) for each in records
            },
            "params_sha256": {each["optimizer"]: each["params_sha256"] for each in records},
            "seconds": seconds,
            "tables": {"Optimizers": rows},
        }
        return finish(directory, config, summary, {})


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    found = statistics(np.asarray(record["accuracy"]))
    rate = jn.optim.default_learning_rate(record["optimizer"])
    return (
        record["optimizer"],
        "its own" if rate is None else f"{rate:g}",
        f"{found['mean']:.4f} ± {found['std']:.4f}",
        f"{record['seconds']:.1f}",
    )


if __name__ == "__main__":
    sys.exit(main(Config, run))
