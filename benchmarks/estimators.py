"""Estimators beside scikit-learn's on tables, with the defaults of each.

    python -m benchmarks.estimators --out results.json
    python -m benchmarks.estimators --datasets --tables FOLDER --out results.json

Each seed is another split, of which a quarter is the test part, and another seed of each estimator.
All get columns that are standardized on the training part. Scores are accuracy, and R2 for targets
that are numbers. Seconds are those of `fit`; compiling is counted apart, as the time of the first
fit of a data set less that of the second. `--tables` names a folder of CSV files with a column
`label`; files that `experiments.classification` rejects, or with a class of fewer than four rows,
are left out, and said so; all others are one row of the results. Files of results belong in
`benchmarks/results/`.
"""

import argparse
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from benchmarks.harness import describe_device, spread, write_results
from experiments.classification import experiment as classification
from experiments.tables.inputs import TABLES
from jaxnet.estimators import NetworkClassifier, NetworkRegressor

_LEAST_MEMBERS = 4
_CLASSIFIERS = (NetworkClassifier, MLPClassifier, HistGradientBoostingClassifier)
_REGRESSORS = (NetworkRegressor, MLPRegressor, HistGradientBoostingRegressor)
_NAMES = ("jaxnet", "MLP", "boosting")
_RATIO = "seconds of MLP over those of jaxnet"


class Table(NamedTuple):
    """Rows and their targets.

    Attributes:
        name: of the data set.
        x: columns, `(n, columns)`.
        y: classes, or numbers, `(n,)`.
        is_numeric: whether the targets are numbers.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    is_numeric: bool = False


def _diabetes() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_diabetes(return_X_y=True)
    return np.asarray(x), np.asarray(y)


def _friedman() -> tuple[np.ndarray, np.ndarray]:
    return make_friedman1(1500, 10, noise=1.0, random_state=0)


_NUMERIC: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "diabetes": _diabetes,
    "friedman": _friedman,
}
DATASETS = (*TABLES, *_NUMERIC)


def load_dataset(name: str) -> Table:
    """A data set of scikit-learn, or one that it generates."""
    if name in _NUMERIC:
        return Table(name, *_NUMERIC[name](), is_numeric=True)
    dataset = TABLES[name]()
    return Table(name, dataset.x, dataset.y)


def load_folder(folder: Path) -> Iterator[Table]:
    """The tables of a folder that can be split, by file; others are reported.

    Args:
        folder: with CSV files that have a column `label`.
    """
    for path in sorted(folder.glob("*.csv")):
        try:
            config = classification.Config(data=path, label="label")
            dataset = classification.load_data(config)
        except (ValueError, KeyError) as error:
            print(f"{path.name} is left out: {str(error).splitlines()[0]}", flush=True)
            continue
        counts = np.bincount(dataset.y)
        if counts.min() < _LEAST_MEMBERS:
            print(f"{path.name} is left out: a class has {counts.min()} rows", flush=True)
            continue
        yield Table(path.stem, np.asarray(dataset.x, np.float64), np.asarray(dataset.y))


def compare(table: Table, num_seeds: int) -> dict[str, Any]:
    """Scores and seconds of all estimators on the same splits of a table.

    Args:
        table: rows and targets.
        num_seeds: splits.

    Returns:
        A record of the row of results.
    """
    start = time.perf_counter()
    scores: dict[str, list[float]] = {name: [] for name in _NAMES}
    seconds: dict[str, list[float]] = {name: [] for name in _NAMES}
    first = _fit(table, _NAMES[0], 0)[1]
    for seed in range(num_seeds):
        for name in _NAMES:
            score, taken = _fit(table, name, seed)
            scores[name].append(score)
            seconds[name].append(taken)
    ratios = np.array(seconds["MLP"]) / np.array(seconds["jaxnet"])
    differences = np.subtract(scores["jaxnet"], scores["MLP"])
    figures: dict[str, Any] = {
        ("R2 of " if table.is_numeric else "accuracy of ") + name: spread(values)
        for name, values in scores.items()
    }
    figures["difference from MLP"] = spread(differences)
    figures[_RATIO] = spread(ratios, 1)
    figures["milliseconds"] = ", ".join(
        f"{name} {1000 * np.median(values):.0f}" for name, values in seconds.items()
    )
    figures["seconds of compiling"] = round(first - seconds["jaxnet"][0], 1)
    kind = "numbers" if table.is_numeric else f"{len(np.unique(table.y))} classes"
    return {
        "name": table.name,
        "what": f"{len(table.x)} rows, {table.x.shape[1]} columns, {kind}; {num_seeds} splits",
        "reference": "MLP and boosting of scikit-learn",
        "status": "done",
        "seconds": round(time.perf_counter() - start, 1),
        "measured": {"figures": figures},
    }


def pool(rows: Sequence[dict[str, Any]], num_seeds: int) -> dict[str, Any]:
    """One row for several small tables: each value is the mean of a table.

    Args:
        rows: of the tables.
        num_seeds: splits of each.
    """
    figures = [row["measured"]["figures"] for row in rows]
    names = [name for name, value in figures[0].items() if isinstance(value, dict)]
    pooled: dict[str, Any] = {
        name: spread([each[name]["mean"] for each in figures]) for name in names
    }
    for name in ("difference from MLP", _RATIO):
        pooled[f"least {name}"] = min(pooled[name]["values"])
    return {
        "name": "small_tables",
        "what": f"{len(rows)} tables, {num_seeds} splits each: "
        + ", ".join(row["name"] for row in rows),
        "reference": "MLP and boosting of scikit-learn",
        "status": "done",
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "measured": {"figures": pooled},
    }


def _fit(table: Table, name: str, seed: int) -> tuple[float, float]:
    """Test score of an estimator with its defaults on a split, and the seconds of its fit."""
    strata = None if table.is_numeric else table.y
    parts = train_test_split(table.x, table.y, test_size=0.25, random_state=seed, stratify=strata)
    train, test, y_train, y_test = map(np.asarray, parts)
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    kinds = _REGRESSORS if table.is_numeric else _CLASSIFIERS
    model = kinds[_NAMES.index(name)](random_state=seed)
    with warnings.catch_warnings():
        # Defaults are what is compared, the number of iterations included.
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = time.perf_counter()
        model.fit(train, y_train)
        taken = time.perf_counter() - start
    return float(model.score(test, y_test)), taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison, print a table, and write a file of results.

    Args:
        arguments: of the command line; None takes those of the process.

    Returns:
        0.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimators", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="splits of each data set")
    parser.add_argument(
        "--datasets", nargs="*", choices=DATASETS, default=DATASETS, help="data sets to run"
    )
    parser.add_argument("--tables", type=Path, help="folder of CSV files with a column label")
    parser.add_argument("--out", type=Path, default=Path("results.json"), help="file of results")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, found {options.seeds}")
    small = [] if options.tables is None else list(load_folder(options.tables))
    header = {
        "command": _command(options, has_tables=bool(small)),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "smoke": False,
        "python": platform.python_version(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "load_average": round(os.getloadavg()[0], 2),
        "device": describe_device(),
    }
    rows, of_small = [], []
    for table in [*map(load_dataset, options.datasets), *small]:
        row = compare(table, options.seeds)
        (of_small if any(table is one for one in small) else rows).append(row)
        _print(row)
        pooled = [pool(of_small, options.seeds)] if of_small else []
        write_results(options.out, header | {"rows": rows + pooled})
    _summarize(rows + of_small)
    return 0


def _command(options: argparse.Namespace, *, has_tables: bool) -> str:
    """The command line, with FOLDER for the folder of tables, which is that of a machine."""
    words = ["python -m benchmarks.estimators", "--seeds", str(options.seeds)]
    if tuple(options.datasets) != DATASETS:
        words += ["--datasets", *options.datasets]
    return " ".join([*words, "--tables", "FOLDER"] if has_tables else words)


def _print(row: dict[str, Any]) -> None:
    figures = row["measured"]["figures"]
    cells = [
        f"{value['mean']:8.4f}" if isinstance(value, dict) else str(value)
        for value in figures.values()
    ]
    print(f"{row['name']:20}", "  ".join(cells), flush=True)


def _summarize(rows: Sequence[dict[str, Any]]) -> None:
    """Print the means over all data sets."""
    figures = [row["measured"]["figures"] for row in rows]
    for name in ("difference from MLP", _RATIO):
        means = [each[name]["mean"] for each in figures]
        print(f"{name}: mean {np.mean(means):.4f}, least {np.min(means):.4f}")


if __name__ == "__main__":
    sys.exit(main())
