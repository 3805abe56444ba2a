"""Predict with the networks of a finished run, on rows that they were not trained on.

    python -m experiments.predict runs/classification-penguins-... --data NEW.csv

The table must have the columns that the run was trained on, in any order; for images, an NPZ file
with an array `x`. The file that is written holds

- of a classification: for each row the class, its probability, with two classes the decision at the
  threshold of the run, and the probability of each class, by the mean over the networks;
- of a regression: for each row the number, and its standard deviation over the networks;
- of a clustering: for each row the cluster and the memberships by the first network, which is the
  one that the report shows, and the cluster by each other network. n2d fits its UMAP again, on the
  data of the run and with its seed, since UMAP cannot be saved without pickle; this takes as long
  as it took in the run;
- of a reconstruction: the reconstruction error and the code of each row; for images an NPZ file
  with `codes`, `reconstruction_errors` and `reconstructions`, of all networks.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
import tyro

from experiments.command import main
from experiments.config import Options
from experiments.data import load_features, load_images
from experiments.model import load_model
from experiments.parsing import recorded_config
from experiments.protocol import EXPERIMENTS, find_experiment
from jaxnet._files import atomic_write
from jaxnet.runs import fix_environment, read_hashed_json, verify_run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Options):
    """Predict new rows with the networks of a finished run: classes, numbers, clusters, or codes
    and reconstruction errors. The clustering n2d fits its UMAP again for this, on the data of the
    run."""

    experiment: ClassVar[str] = "predict"

    run: tyro.conf.Positional[Path]
    """Run directory of a classification, regression, clustering or reconstruction."""
    data: Path
    """File of new rows: a CSV, Parquet or NPZ table, or an NPZ file with images in x."""
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
        network = experiment.build_network(options, in_shape, num_classes)
        keys = jax.random.split(jax.random.key(0), options.num_seeds)
        return jax.eval_shape(jax.vmap(network.init), keys)

    model = load_model(config.run, stacked)
    out = _new_file(config, experiment.prediction_suffix(model))
    if model.preprocessing is None:
        x = load_images(config.data, model.in_shape)
    else:
        x = load_features(config.data, model.preprocessing)
    inputs = experiment.scale_inputs(options, model.inputs, x)
    predictions = experiment.predict(options, model, inputs)
    with atomic_write(out) as temporary:
        _write(temporary, out.suffix, predictions)
    print(f"predictions of {options.num_seeds} networks for {len(x)} rows: {out}")
    return predictions


def _require_model(path: Path, options: Any) -> None:
    """Raise where a run has left no model, and say why."""
    if (path / "model.json").exists():
        return
    if getattr(options, "cross_validate", 0):
        raise ValueError(
            f"run: {path} was a cross-validation, which trains a network for each fold to estimate "
            "the error and leaves no model; train one without --cross-validate"
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
    out = config.out or config.data.with_name(f"{config.data.stem}.predictions{suffix}")
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

    polars.DataFrame(predictions).write_csv(path)


if __name__ == "__main__":
    sys.exit(main(sys.modules[__name__]))
