"""Calibration error of the default network of a data set over several splits, pooled.

    python -m benchmarks.calibration --dataset digits --num-splits 10

The plain calibration error of few test examples has a floor: probabilities that are perfectly right
do not reach 0. The test examples of all splits together lower it. Each split has a network of its
own and a temperature of its own, fitted to the validation part. Printed are the plain error, its
floor by simulation, and the debiased error, before and after scaling; for each split alone (the
mean), and for all test examples together.
"""

import argparse
import sys
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.classification import experiment as classification
from experiments.classification.probabilities import class_logits
from experiments.protocol import configure
from experiments.training import batch_size, seed_keys
from jaxnet import calibration, metrics


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the errors of both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--num-splits", type=int, default=10)
    given = parser.parse_args(arguments)
    splits = [calibrated_split(given.dataset, seed) for seed in range(given.num_splits)]
    print(f"{given.dataset}, {given.num_splits} splits of one network each")
    print(f"{'':34}{'error':>8}{'floor':>8}{'debiased':>10}{'log loss':>10}")
    for index, name in enumerate(("before scaling", "after scaling")):
        alone = np.mean([scores(split[index], split[2]) for split in splits], axis=0)
        pooled = scores(
            np.concatenate([split[index] for split in splits]),
            np.concatenate([split[2] for split in splits]),
        )
        for kind, (error, floor, debiased, loss) in (("mean of splits", alone), ("pooled", pooled)):
            print(f"{name + ', ' + kind:34}{error:8.4f}{floor:8.4f}{debiased:10.4f}{loss:10.4f}")
    return 0


def calibrated_split(dataset: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train and calibrate a network on one split.

    Args:
        dataset: name of the data set.
        seed: of the split and the network.

    Returns:
        Logits of the test examples before and after scaling, and their labels.
    """
    options = {"dataset": dataset, "seed": seed, "num_seeds": 1, "calibrate": "temperature"}
    task = classification.prepare_task(configure(classification, **options))
    config, learner = task.config, task.learner(task.config)
    size = batch_size(config, task.num_train)

    def train(key: jax.Array) -> jn.TrainState:
        data = jax.device_put(task.data)
        return jn.fit(learner, key, data, batch_size=size, num_epochs=config.num_epochs)[0]

    params = jn.evaluation_params(jax.jit(train)(seed_keys(config)[0]))
    network = classification.build_network(config, task.dataset.in_shape, task.dataset.num_classes)
    known, new = (
        class_logits(network.apply(params, jnp.asarray(task.x[rows])))
        for rows in (task.held.scaling, task.parts.test)
    )
    labels = jnp.asarray(task.dataset.y[task.held.scaling])
    temperature = calibration.fit_temperature(known, labels, pseudocount=1.0)
    scaled = calibration.scale_logits(new, temperature)
    return np.asarray(new), np.asarray(scaled), task.dataset.y[task.parts.test]


def scores(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float, float, float]:
    """Plain calibration error, its floor, the debiased error, and the log loss."""
    probabilities, y = jax.nn.softmax(jnp.asarray(logits)), jnp.asarray(labels)
    return (
        float(metrics.expected_calibration_error(probabilities, y)),
        float(metrics.calibration_error_floor(probabilities, jax.random.key(0))),
        float(metrics.debiased_calibration_error(probabilities, y)),
        float(metrics.log_loss(jnp.asarray(logits), y)),
    )


if __name__ == "__main__":
    sys.exit(main())
