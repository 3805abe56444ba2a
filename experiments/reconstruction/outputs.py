"""Files of a reconstruction besides its result: figures and exported codes."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxnet as jn
from experiments.data import Dataset, Split
from experiments.reconstruction.evaluation import Tested
from experiments.reconstruction.models import Model
from experiments.report import figures
from experiments.report.drawing import draw_figure
from experiments.training import network_at
from jaxnet._files import atomic_write
from jaxnet.runs.directory import RunDirectory

_NUM_SHOWN, _MAX_FILTERS, _MAX_POINTS = 12, 96, 3000
_MAX_FEATURES, _MAX_CLASSES = 40, 40


def export_features(path: Path, codes: np.ndarray, labels: np.ndarray, parts: Split) -> None:
    """Write codes for other programs, whole or not at all.

    Args:
        path: the NPZ file.
        codes: `(networks, n, code_dim)`.
        labels: `(n,)`.
        parts: the split, written as the name of the part of each example.

    Raises:
        OSError: it cannot be written.
    """
    names = np.empty(len(labels), "<U10")
    for name, part in parts._asdict().items():
        names[part] = name
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, codes=codes, labels=labels, split=names)


def draw(
    directory: RunDirectory,
    dataset: Dataset,
    x: np.ndarray,
    test: np.ndarray,
    history: dict[str, dict[str, np.ndarray]],
    tested: Tested,
) -> dict[str, str]:
    """Save the learning curves, and test examples beside their reconstructions.

    Args:
        directory: the run directory.
        dataset: the data.
        x: test examples as the networks see them, `(n, features)`.
        test: their indices in the data set.
        history: of the training.
        tested: the reconstructions.
    """
    captions = draw_figure(
        directory,
        "learning_curves",
        "Learning curves: mean and range over the networks.",
        lambda: figures.learning_curves(history),
    )
    if not dataset.is_image:
        deviations = {"model": tested.reconstructions - x, "PCA": tested.by_pca - x}
        largest = np.sort(np.argsort(-x.var(axis=0), kind="stable")[:_MAX_FEATURES])
        errors = {
            name: (values**2).mean(axis=tuple(range(values.ndim - 1)))[largest]
            for name, values in deviations.items()
        }
        names = [dataset.feature_names[index] for index in largest]
        unit = "squared error (range 1)"
        return captions | draw_figure(
            directory,
            "feature_errors",
            f"Squared error of each feature, mean over the networks; {len(largest)} of "
            f"{x.shape[1]} features, those that vary most.",
            lambda: figures.errors_by(errors, names, what="feature", unit=unit),
        )
    shown = _one_of_each_class(dataset, test)
    shape = (-1, *dataset.x.shape[1:])
    rows = {
        "original": x[shown].reshape(shape),
        "reconstructed": tested.reconstructions[0][shown].reshape(shape),
        "PCA": np.clip(tested.by_pca[shown], 0, 1).reshape(shape),
    }
    return captions | draw_figure(
        directory,
        "reconstructions",
        "Test images, their reconstructions by the first network, and those by principal "
        "components with a code of the same size.",
        lambda: figures.image_rows(rows),
    )


def _one_of_each_class(dataset: Dataset, test: np.ndarray) -> list[int]:
    """Some test examples, of each class in turn."""
    if not dataset.class_names:
        return list(range(min(_NUM_SHOWN, len(test))))
    by_class = [np.flatnonzero(dataset.y[test] == label) for label in range(dataset.num_classes)]
    shown = [rows[0] for rows in by_class] + [rows[1] for rows in by_class if len(rows) > 1]
    return shown[:_NUM_SHOWN]


def draw_codes(
    directory: RunDirectory, dataset: Dataset, test: np.ndarray, tested: Tested
) -> dict[str, str]:
    """Save the map of the codes of the first network and the errors of each class."""
    labels, captions, codes = dataset.y[test], {}, tested.codes[0]
    names = dataset.class_names
    if codes.shape[1] > 1:
        plane = jax.jit(lambda codes: jn.autoencoders.fit_pca(codes, 2).project(codes))
        points = np.asarray(plane(codes))[:_MAX_POINTS]
        colored = ", colored by class" if names else ""
        captions |= draw_figure(
            directory,
            "codes",
            f"Codes of test examples by the first network{colored}.",
            lambda: figures.code_map(points, labels[:_MAX_POINTS], names),
        )
    if not 1 < len(names) <= _MAX_CLASSES:
        return captions
    means = {
        name: np.array([values[labels == label].mean() for label in range(dataset.num_classes)])
        for name, values in (("model", tested.errors.mean(axis=0)), ("PCA", tested.pca_errors))
    }
    unit = "squared error of an example"
    return captions | draw_figure(
        directory,
        "class_errors",
        "Squared error of each class, mean over the networks.",
        lambda: figures.errors_by(means, names, what="class", unit=unit),
    )


def draw_model(
    directory: RunDirectory, model: Model, params: Any, dataset: Dataset, key: jax.Array
) -> dict[str, str]:
    """Save the kernels of the first network and, where it can draw, examples that it draws."""
    if not dataset.is_image:
        return {}
    shape = dataset.x.shape[1:]
    first = network_at(params, 0)
    kernels = np.moveaxis(np.asarray(model.first_kernel(first)), -1, 0)
    if kernels.ndim == 2:
        kernels = kernels.reshape(-1, *shape)
    # The units with the largest weights: others may have learned nothing.
    norms = np.linalg.norm(kernels.reshape(len(kernels), -1), axis=1)
    largest = np.argsort(-norms, kind="stable")[:_MAX_FILTERS]
    captions = draw_figure(
        directory,
        "filters",
        "Kernels of the first layer of the first network, largest first.",
        lambda: figures.filters(kernels[largest]),
    )
    if model.sample is not None:
        drawn = np.asarray(jax.jit(model.sample, static_argnums=2)(first, key, 40))
        samples = drawn.reshape(-1, *shape)
        captions |= draw_figure(
            directory,
            "samples",
            "Images that the first network draws: means of the pixels.",
            lambda: figures.image_grid(samples, [""] * len(samples), columns=10),
        )
    return captions
