"""The peer of a sweep: Optuna with scikit-learn's MLPClassifier, in a Python that has both.

    python benchmarks/rows/optuna_peer.py DATA.npz TRIALS EPOCHS BATCH_SIZE

Prints one JSON object. It imports nothing of jaxnet, so that any environment runs it.
"""

import json
import sys
import time
import warnings
from typing import Any

import numpy as np

LAYERS = {"32": (32,), "64": (64,), "128": (128,), "128-128": (128, 128)}


def main(path: str, num_trials: int, num_epochs: int, batch_size: int) -> dict[str, float]:
    """Search by Optuna's default sampler for the accuracy on the validation examples.

    Args:
        path: an NPZ file with the arrays `x`, `y`, `validation_x` and `validation_y`.
        num_trials: number of trials.
        num_epochs: epochs of each trial; none stops early, as in the sweep.
        batch_size: examples in a batch.
    """
    import optuna  # pyright: ignore[reportMissingImports]
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with np.load(path) as file:
        data = {name: file[name] for name in file.files}

    # The annotation of its batch size lacks int.
    options: dict[str, Any] = {"batch_size": batch_size, "max_iter": num_epochs}
    options["n_iter_no_change"] = num_epochs

    def objective(trial: optuna.Trial) -> float:
        network = MLPClassifier(
            LAYERS[trial.suggest_categorical("hidden_dims", list(LAYERS))],
            learning_rate_init=trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
            alpha=trial.suggest_float("l2_weight", 1e-5, 1e-1, log=True),
            **options,
            random_state=trial.number,
        )
        network.fit(data["x"], data["y"])
        return float(network.score(data["validation_x"], data["validation_y"]))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    start = time.perf_counter()
    study.optimize(objective, n_trials=num_trials)
    seconds = time.perf_counter() - start
    return {
        "trials": num_trials,
        "seconds": round(seconds, 2),
        "trials_per_minute": round(60 * num_trials / seconds, 1),
        "best_validation_accuracy": round(study.best_value, 4),
    }


if __name__ == "__main__":
    file_name, *counts = sys.argv[1:]
    print(json.dumps(main(file_name, *map(int, counts))))
