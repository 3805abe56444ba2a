"""Every Optax optimizer at its default rate on one problem, through the same loop.

    python -m experiments.optimizers                      # all of them, 10 seeds each
    python -m experiments.optimizers --names adam muon lion

A network 64-64-10 on the digits, batch 64, 20 epochs, the default rate held constant, nothing
tuned. The table is that of docs/optimizers.md. It does not rank optimizers: given a rate and a
schedule chosen on validation data, most of them meet.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import jaxnet as jn
from experiments.datasets import fit_standardization, load, split, standardize
from experiments.run import (
    finish,
    main,
    print_table,
    require_positive,
    seed_keys,
    statistics,
    stopwatch,
)
from experiments.run_directory import RunDirectory, stacked_sha256
from jaxnet import metrics


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Train the digits with every optimizer at its default rate."""

    names: tuple[str, ...] = ()
    """Optimizers by name; by default all of the installed Optax."""
    num_epochs: int = 20
    """Passes over the training data."""
    batch_size: int = 64
    """Examples in a batch."""
    num_seeds: int = 10
    """Networks trained side by side by each optimizer, from the same seeds."""
    seed: int = 0
    """Decides the split of the data and, with the index of the network, all random numbers."""
    out: Path | None = None
    """Run directory, new or empty; by default runs/optimizers-digits-TIME."""

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return "digits"


def run(config: Config) -> dict[str, Any]:
    """Run the experiment.

    Returns:
        The summary, as it is written to `summary.json`: test accuracy of each optimizer.

    Raises:
        ValueError: a mistake in the options.
    """
    names = config.names or jn.optimizer_names()
    require_positive(config, "num_epochs", "batch_size", "num_seeds")
    for name in names:
        jn.default_learning_rate(name)
    RunDirectory.check(config.out)
    dataset = load(config.dataset)
    parts = split(dataset, seed=config.seed)
    inputs = dataset.x.reshape(len(dataset.x), -1)
    inputs = standardize(fit_standardization(inputs[parts.train], per_feature=False), inputs)
    data = {"x": jnp.asarray(inputs[parts.train]), "y": jnp.asarray(dataset.y[parts.train])}
    test = jnp.asarray(inputs[parts.test]), jnp.asarray(dataset.y[parts.test])
    network = jn.mlp([inputs.shape[1], 64, dataset.num_classes])
    directory = RunDirectory.create("optimizers", config, dataset.sha256, config.out)

    @jax.jit
    @jax.vmap
    def accuracy(state: jn.TrainState) -> jax.Array:
        outputs = jn.predict(network.apply, jn.evaluation_params(state), test[0])
        return metrics.accuracy(outputs, test[1])

    found: dict[str, Any] = {}
    hashes: dict[str, list[str]] = {}
    rows = [("optimizer", "default rate", "test accuracy", "seconds")]
    with stopwatch() as seconds:
        for name in names:
            learner = jn.gradient_learner(
                network.init,
                jn.classification(network),
                lambda key, name=name: jn.optimizer(name, key=key),
            )

            @jax.jit
            def train(keys: jax.Array, learner: jn.Learner = learner) -> jn.TrainState:
                options = {"batch_size": config.batch_size, "num_epochs": config.num_epochs}
                return jax.vmap(lambda key: jn.fit(learner, key, data, **options)[0])(keys)

            with stopwatch() as spent:
                states = jax.block_until_ready(train(seed_keys(config)))
            found[name] = statistics(accuracy(states))
            hashes[name] = stacked_sha256(states)
            rate = jn.default_learning_rate(name)
            rows.append(
                (
                    name,
                    "its own" if rate is None else f"{rate:g}",
                    f"{found[name]['mean']:.4f} ± {found[name]['std']:.4f}",
                    f"{spent['train']:.1f}",
                )
            )
            print("  ".join(rows[-1]), flush=True)
    print_table(rows)
    summary = {"metrics": found, "params_sha256": hashes, "seconds": seconds}
    return finish(directory, config, summary | {"tables": {"Optimizers": rows}}, {})


if __name__ == "__main__":
    sys.exit(main(Config, run))
