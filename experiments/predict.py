"""Predict with the networks of a finished run, on rows that they were not trained on.

    python -m experiments.predict runs/classification-penguins-... --data NEW.csv --id name

The table must have the columns that the run was trained on, in any order; further columns are left
out, and those of --id are carried into the output. The spelling and the type of a cell do not
matter: 1 is 1.0, and TRUE is true. For images, an NPZ file with an array `x`; for series a .ts
file, for recordings a WAV file or a folder of them. The file that is
written holds

- of a classification: for each row the class, its probability, with two classes the decision at the
  threshold of the run, and the probability of each class, by the mean over the networks;
- of a regression: for each row the number, and its standard deviation over the networks;
- of a clustering: for each row the cluster and the memberships by the first network, which is the
  one that the report shows, and the cluster by each other network. n2d fits its UMAP again, on the
  data of the run and with its seed, since UMAP cannot be saved without pickle; this takes as long
  as it took in the run;
- of a reconstruction: the reconstruction error and the code of each row; for images an NPZ file
  with `codes`, `reconstruction_errors` and `reconstructions`, of all networks;
- of a run of few labels (semi_supervised): for each row the class, its probability and that of each
  class by the method that --predictor of the run names, and the class by each other method;
- of a recommendation, with --user NAME: the items with the highest ratings or scores that the user
  does not have, printed and with --out also written; with --data: the rating or score of each pair
  of a user and an item. For a user who is not known these are the items that are popular or have
  good ratings, and a pair with an unknown user or item has the bias of the other one;
- of logs of users: for each block of events the rows of its first and last one, the score, whether
  it is an alarm at the threshold of the run, and the events behind an alarm; events of users whom
  the run does not know are left out;
- where a cell was missing and filled, or a category is not in the training data, a column `note`
  that says so in its row.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import tyro

from experiments.command import main, print_table
from experiments.config import Options, PositiveInt, TableOptions
from experiments.data import NewRows, load_images, read_rows
from experiments.model import load_model, stacked_shapes
from experiments.parsing import recorded_config
from experiments.protocol import EXPERIMENTS, OWN_PREDICTION, find_experiment
from jaxnet._files import atomic_write
from jaxnet.runs import fix_environment, read_hashed_json, verify_run

# What a run was trained on: its name in messages, and the options of the prediction that it takes.
_CELLS = ("id", "ignore", "missing", "encoding")
_TAKEN: dict[str, tuple[str, tuple[str, ...]]] = {
    "table": ("a table", (*_CELLS, "unseen")),
    "texts": ("texts", _CELLS),
    "text_weights": ("texts", _CELLS),
    "series": ("series", ()),
    "recordings": ("recordings", ("resample",)),
    "images": ("images", ()),
    "logs": ("logs", ("missing", "encoding")),
    "recommendation": ("users and items", ("user", "top", "id", "missing", "encoding")),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Options):
    """Predict new rows with the networks of a finished run: classes, numbers, clusters, or codes
    and reconstruction errors. The clustering n2d fits its UMAP again for this, on the data of the
    run."""

    experiment: ClassVar[str] = "predict"

    run: tyro.conf.Positional[Path]
    """Run directory of a classification, regression, clustering, reconstruction, recommendation,
    run of few labels or of logs, or of a sweep, whose winner predicts."""
    data: Path | None = None
    """New examples, of the kind that the run was trained on: a CSV, Parquet or NPZ table, an NPZ
    file with images in x, a .ts file of series, or a WAV file or a folder of them. It is needed
    unless --user is given."""
    user: tuple[str, ...] = ()
    """Users to recommend items for, by a run of experiments.recommendation."""
    top: PositiveInt = 10
    """Number of items that are recommended for each user."""
    id: tuple[str, ...] = ()
    """Columns of the table that are carried into the output, such as an identifier."""
    ignore: tuple[str, ...] = ()
    """Columns of the table that are left out without a note."""
    unseen: Literal["other", "reject"] | None = None
    """What becomes of categories that are not in the training data: other predicts without them,
    reject predicts nothing; None does what the run was told."""
    missing: tuple[str, ...] = ()
    """More texts or numbers that mark a missing cell, beside those of the run."""
    encoding: str | None = None
    """Encoding of a text file; None detects it."""
    resample: bool = False
    """Resample recordings of another rate than those of the run, instead of rejecting them."""
    out: Path | None = None
    """File to write; None writes NAME.predictions.csv beside the data, or NAME.predictions.npz for
    reconstructed images."""


def run(config: Config) -> dict[str, np.ndarray]:
    """Write the predictions.

    Returns:
        What is written: columns `(n,)`, or arrays.

    Raises:
        ValueError: no finished run there, columns or cells that do not match, an existing file.
        OSError: the file cannot be written.
    """
    name = read_hashed_json(config.run / "config.json").get("experiment")
    if name == "sweep":
        # Its winner is a run by itself.
        verify_run(config.run)
        config = dataclasses.replace(config, run=config.run / "winner")
        name = read_hashed_json(config.run / "config.json").get("experiment")
    if name in OWN_PREDICTION:
        return _predict_otherwise(config, str(name))
    if config.data is None:
        raise ValueError("data: name the file of the new examples with --data")
    if name not in EXPERIMENTS:
        raise ValueError(
            f"run: {config.run} holds a run of {name!r}, from which nothing is predicted; expected "
            f"one of {', '.join(EXPERIMENTS)}"
        )
    experiment = find_experiment(str(name))
    options = recorded_config(experiment.Config, config.run)
    _require_model(config.run, options)
    verify_run(config.run)
    fix_environment(options.num_threads)

    def stacked(in_shape: tuple[int, ...], num_classes: int) -> Any:
        if hasattr(experiment, "saved_params"):
            return experiment.saved_params(options, in_shape, num_classes)
        network = experiment.build_network(options, in_shape, num_classes)
        return stacked_shapes(network.init, options.num_seeds)

    model = load_model(config.run, stacked)
    _require_taken(config, "images" if model.preprocessing is None else model.preprocessing.kind)
    out = _new_file(config, experiment.prediction_suffix(model))
    if model.preprocessing is None:
        rows = NewRows(load_images(config.data, model.in_shape), {}, [], [])
    else:
        rows = _load_rows(config, model.preprocessing)
    for note in rows.notes:
        print(f"note: {note}", flush=True)
    inputs = experiment.scale_inputs(options, model.inputs, rows.x)
    predictions = _with_rows(rows, experiment.predict(options, model, inputs))
    with atomic_write(out) as temporary:
        _write(temporary, out.suffix, predictions)
    print(f"predictions of {options.num_seeds} networks for {rows.num_rows} rows: {out}")
    return predictions


def _predict_otherwise(config: Config, name: str) -> dict[str, np.ndarray]:
    """By the experiment itself, which does not predict a row for each row of a table."""
    experiment = find_experiment(name)
    options = recorded_config(experiment.Config, config.run)
    _require_model(config.run, options)
    _require_taken(config, name)
    verify_run(config.run)
    fix_environment(options.num_threads)
    out = None if config.out is None and config.data is None else _new_file(config, ".csv")
    predictions = experiment.predict(config, options)
    if config.user:
        rows = zip(*(_shown(column) for column in predictions.values()), strict=True)
        print_table([tuple(predictions), *rows])
    if out is not None:
        with atomic_write(out) as temporary:
            _write(temporary, out.suffix, predictions)
        print(f"predictions: {out}")
    return predictions


def _shown(column: np.ndarray) -> list[str]:
    is_float = np.issubdtype(column.dtype, np.floating)
    return [f"{value:.3f}" if is_float else str(value) for value in column]


def _load_rows(config: Config, preprocessing: Any) -> NewRows:
    """The new rows of the user's file, read as the run read its own."""
    assert config.data is not None
    if config.unseen is not None:
        preprocessing = dataclasses.replace(preprocessing, unseen=config.unseen)
    table = TableOptions(ignore=config.ignore, missing=config.missing, encoding=config.encoding)
    return read_rows(
        config.data, preprocessing, options=table, carry=config.id, resample=config.resample
    )


def _require_taken(config: Config, kind: str) -> None:
    """Raise where an option is given that says nothing about the data of the run."""
    what, taken = _TAKEN[kind]
    for field in dataclasses.fields(Config):
        name = field.name
        if name in ("run", "data", "out", *taken) or getattr(config, name) == field.default:
            continue
        if name == "user":
            raise ValueError(
                f"user: {config.run} was trained on {what} and recommends nothing; name new "
                "examples with --data"
            )
        raise ValueError(
            f"{name}: {config.run} was trained on {what}, for which it means nothing; leave it out"
        )


def _with_rows(rows: NewRows, predictions: dict[str, Any]) -> dict[str, Any]:
    """The columns that are carried, the predictions, and notes about rows where there are any."""
    if both := [name for name in rows.carried if name in predictions]:
        raise ValueError(f"id: column {both[0]!r} is called like a prediction; rename it")
    notes = {"note": np.array(rows.row_notes)} if any(rows.row_notes) else {}
    carried = {name: np.array(cells) for name, cells in rows.carried.items()}
    return carried | predictions | notes


def _require_model(path: Path, options: Any) -> None:
    """Raise where a run has left no model, and say why."""
    if (path / "model.json").exists():
        return
    if getattr(options, "cross_validate", 0) or getattr(options, "group", None):
        raise ValueError(
            f"run: {path} was a cross-validation, which trains a network for each fold to estimate "
            "the error and leaves no model; train one without --cross-validate "
            "and --group"
        )
    if getattr(options, "compare_optimizers", ()):
        raise ValueError(
            f"run: {path} compared optimizers and leaves no model; train one without "
            "--compare-optimizers"
        )
    raise ValueError(
        f"run: {path} holds no model, since the run is not finished; continue it with --resume"
    )


def _new_file(config: Config, suffix: str) -> Path:
    out = config.out
    if out is None:
        assert config.data is not None
        out = config.data.with_name(f"{config.data.stem}.predictions{suffix}")
    if out.suffix != suffix:
        raise ValueError(f"out: the predictions are a {suffix} file, found {out}; rename it")
    if out.exists():
        raise ValueError(f"out: {out} exists already; name another file, or remove it")
    if not out.absolute().parent.is_dir():
        raise ValueError(f"out: there is no folder {out.absolute().parent}; make it first")
    return out


def _write(path: Path, suffix: str, predictions: dict[str, np.ndarray]) -> None:
    if suffix == ".npz":
        with open(path, "wb") as file:
            np.savez(file, allow_pickle=False, **predictions)
        return
    # Polars takes a quarter of a second to import.
    import polars

    table = polars.DataFrame(predictions)
    table.with_columns(polars.col(polars.String).replace("", None)).write_csv(path)


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
