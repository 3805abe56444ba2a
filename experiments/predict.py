"""Predict with the networks of a finished run, on rows that they have not seen.

    python -m experiments.predict runs/classification-penguins-... --data NEW.csv

The table must have the columns that the run was trained on, in any order; for pictures, an NPZ
file with an array `x`. All networks of the run predict, and the file that is written holds their
mean: for each row the class, its probability and, with two classes, the decision at the run's
threshold; or the number that a regression predicts, with the standard deviation over the networks.
"""

import dataclasses
import functools
import sys
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import polars
import tyro

import jaxnet as jn
from experiments.classification import experiment as classification
from experiments.classification.evaluation import class_logits
from experiments.command import main, recorded_config
from experiments.data import load_features, load_images, standardize
from experiments.model import SavedModel, load_model, stacked_shapes
from experiments.regression import experiment as regression
from jaxnet._files import atomic_write
from jaxnet.runs.directory import read_json
from jaxnet.runs.environment import fix_environment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Predict new rows with the networks of a finished run."""

    experiment: ClassVar[str] = "predict"

    run: tyro.conf.Positional[Path]
    """Run directory of experiments.classification or experiments.regression."""
    data: Path
    """Table of new rows: CSV, Parquet or NPZ."""
    out: Path | None = None
    """CSV file to write; by default beside the data, as NAME.predictions.csv."""


def run(config: Config) -> polars.DataFrame:
    """Write the predictions.

    Returns:
        The table that is written: a row for each row of the data.

    Raises:
        ValueError: no finished run there, columns or cells that do not match, a file in the way.
        OSError: it cannot be written.
    """
    out = config.out or config.data.with_name(f"{config.data.stem}.predictions.csv")
    if out.exists():
        raise ValueError(f"out: {out} exists already; name another file, or remove it")
    if not out.absolute().parent.is_dir():
        raise ValueError(f"out: there is no folder {out.absolute().parent}; make it first")
    experiment = read_json(config.run / "config.json").get("experiment")
    if experiment == "classification":
        options = recorded_config(classification.Config, config.run)
        build = functools.partial(classification.build_network, options)
    elif experiment == "regression":
        options = recorded_config(regression.Config, config.run)

        def build(in_shape, num_classes):
            return regression.build_network(options, in_shape)
    else:
        raise ValueError(
            f"run: {config.run} holds a run of {experiment!r}; expected one of classification or "
            "regression"
        )
    if not (config.run / "model.json").exists():
        raise ValueError(
            f"run: {config.run} holds no model: the run is not finished (continue it with "
            "--resume), or was a cross-validation, which leaves none"
        )
    fix_environment(options.num_threads)
    num_networks = options.num_seeds or 1
    model = load_model(
        config.run,
        lambda in_shape, num_classes: stacked_shapes(build(in_shape, num_classes), num_networks),
    )
    if model.preprocessing is None:
        x = load_images(config.data, model.in_shape)
    else:
        x = load_features(config.data, model.preprocessing)
    network = build(model.in_shape, len(model.class_names))
    inputs = standardize(model.inputs, x)
    if getattr(options, "model", None) != "cnn":
        inputs = inputs.reshape(len(inputs), -1)
    outputs = jax.jit(jax.vmap(functools.partial(jn.predict, network.apply), (0, None)))(
        model.params, jnp.asarray(inputs)
    )
    table = predictions(model, np.asarray(outputs))
    with atomic_write(out) as temporary:
        table.write_csv(temporary)
    print(f"{len(table)} predictions of {num_networks} networks: {out}")
    return table


def predictions(model: SavedModel, outputs: np.ndarray) -> polars.DataFrame:
    """The table of predictions.

    Args:
        model: the networks.
        outputs: their outputs `(num_networks, n, outputs)`.

    Returns:
        For classes `class`, `probability` (of that class), `decision` (with two classes) and
        the probability of every class; for a regression `prediction` and `std`.
    """
    if model.targets is not None:
        values = model.targets.mean + model.targets.scale * outputs[..., 0].astype(np.float64)
        std = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
        return polars.DataFrame({"prediction": values.mean(axis=0), "std": std})
    logits = class_logits(jnp.asarray(outputs))
    probabilities = np.asarray(jax.nn.softmax(logits)).mean(axis=0)
    names = np.asarray(model.class_names)
    columns = {
        "class": names[probabilities.argmax(axis=1)],
        "probability": probabilities.max(axis=1),
    }
    if model.threshold is not None:
        columns["decision"] = names[(probabilities[:, 1] >= model.threshold).astype(int)]
    columns |= {f"probability of {name}": probabilities[:, i] for i, name in enumerate(names)}
    return polars.DataFrame(columns)


if __name__ == "__main__":
    sys.exit(main(Config, run))
