"""What experiments.reconstruction leaves behind besides its result: figures and exported codes."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments import figures
from experiments.datasets import Dataset, Split
from experiments.files import whole_file
from experiments.reconstruction_models import Model
from experiments.run_directory import RunDirectory

_NUM_SHOWN, _MAX_FILTERS, _MAX_POINTS = 12, 96, 3000


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
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, codes=codes, labels=labels, split=names)


def draw(
    directory: RunDirectory,
    dataset: Dataset,
    test: np.ndarray,
    history: dict[str, dict[str, np.ndarray]],
    rebuilt: np.ndarray,
    by_pca: np.ndarray,
) -> dict[str, str]:
    """Save the learning curves, and test pictures over what is made of them."""
    directory.save_figure("learning_curves", figures.learning_curves(history))
    # One of each class in turn.
    by_class = [np.flatnonzero(dataset.y[test] == label) for label in range(dataset.num_classes)]
    shown = [own[0] for own in by_class] + [own[1] for own in by_class if len(own) > 1]
    shown = shown[:_NUM_SHOWN]
    shape = (-1, *dataset.x.shape[1:])
    rows = {
        "original": dataset.x[test][shown],
        "rebuilt": rebuilt[shown].reshape(shape),
        "PCA": np.clip(by_pca[shown], 0, 1).reshape(shape),
    }
    directory.save_figure("reconstructions", figures.picture_rows(rows))
    return {
        "learning_curves": "Learning curves: mean and range over the networks.",
        "reconstructions": (
            "Test pictures, what the first network makes of their codes, and what as many "
            "principal components make of them."
        ),
    }


def draw_codes(
    directory: RunDirectory,
    dataset: Dataset,
    test: np.ndarray,
    codes: np.ndarray,
    errors: np.ndarray,
    pca_errors: np.ndarray,
) -> dict[str, str]:
    """Save the map of the codes of a network and the errors of each class."""
    labels, captions = dataset.y[test], {}
    if codes.shape[1] > 1:
        plane = jn.pca(jnp.asarray(codes), 2)
        points = np.asarray(plane.project(jnp.asarray(codes)))[:_MAX_POINTS]
        figure = figures.code_map(points, labels[:_MAX_POINTS], dataset.class_names)
        directory.save_figure("codes", figure)
        captions["codes"] = "Codes of test pictures by the first network, colored by class."
    means = {
        name: np.array([values[labels == label].mean() for label in range(dataset.num_classes)])
        for name, values in (("model", errors.mean(axis=0)), ("PCA", pca_errors))
    }
    directory.save_figure("class_errors", figures.class_errors(means, dataset.class_names))
    return captions | {"class_errors": "Squared error of each class, mean over the networks."}


def draw_model(
    directory: RunDirectory,
    model: Model,
    params: Any,
    shape: tuple[int, ...],
    seed: int,
) -> dict[str, str]:
    """Save what the first network looks for and, where it can draw, what it draws."""
    first = jax.tree.map(lambda leaf: leaf[0], params)
    kernels = np.asarray(model.kernel(first)).T
    # The units with the largest weights: others may have learned nothing.
    largest = np.argsort(-np.linalg.norm(kernels, axis=1), kind="stable")[:_MAX_FILTERS]
    directory.save_figure("filters", figures.filters(kernels[largest].reshape(-1, *shape)))
    captions = {"filters": "Kernels of the first layer of the first network, largest first."}
    if model.sample is not None:
        drawn = np.asarray(model.sample(first, jax.random.key(seed), 40))
        figure = figures.pictures(drawn.reshape(-1, *shape), [""] * len(drawn), columns=10)
        directory.save_figure("samples", figure)
        captions["samples"] = "Pictures that the first network draws: means of the pixels."
    return captions
