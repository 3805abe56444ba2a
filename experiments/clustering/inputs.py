"""The data of experiments.clustering, and how they are scaled."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.clustering.config import Config, GaussianMixture, KMeans
from experiments.data import (
    Dataset,
    Inputs,
    Standardization,
    fit_idf,
    fit_standardization,
    fit_unit_interval,
    load,
    standardize_inputs,
    take,
    valid_steps,
)
from experiments.data.named.term_weights import min_documents
from experiments.data.texts.text_weights import weights_dataset
from experiments.prepare import is_text, load_unlabelled
from jaxnet.typing import Sequences

# Steps of a series as a vector.
NUM_STEPS = 16


def load_data(config: Config) -> Dataset:
    """The data set of a config, whose labels only evaluate; texts as weights of their words.

    Raises:
        ValueError: there is no such data set, or its data cannot be used.
    """
    if config.dataset != "mnist_test" or config.data is not None:
        dataset = load_unlabelled(config)
        return weights_dataset(dataset) if dataset.is_tokens else dataset
    whole = load("mnist", data_dir=config.data_dir)
    test = slice(len(whole.x) - whole.num_official_test, None)
    return dataclasses.replace(
        whole,
        name="mnist_test",
        x=whole.x[test],
        y=whole.y[test],
        num_official_test=0,
        published={},
    )


def example_shape(in_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an example as methods take it: series are resampled to few steps.

    >>> example_shape((230, 13)), example_shape((8, 8, 1)), example_shape((4,))
    ((16, 13), (8, 8, 1), (4,))
    """
    return (NUM_STEPS, in_shape[1]) if len(in_shape) == 2 else in_shape


def as_vectors(x: Inputs) -> np.ndarray:
    """Examples as vectors; series of any length are stretched to `NUM_STEPS` steps."""
    if isinstance(x, Sequences):
        x = np.asarray(jn.nn.resample(NUM_STEPS).apply({}, Sequences(*map(jnp.asarray, x))))
    return x.reshape(len(x), -1)


def fit_inputs(config: Config, dataset: Dataset, rows: np.ndarray) -> Standardization:
    """What scales the features: pixels and fractions stay as they are, others get one scale.

    Networks reconstruct numbers in [0, 1]; k-means and mixtures take features of equal variance.
    Words get their TF-IDF weights.
    """
    chosen = take(dataset.inputs, rows)
    # Series have one scale for each channel.
    x = valid_steps(chosen) if isinstance(chosen, Sequences) else as_vectors(chosen)
    if dataset.is_image:
        return Standardization(np.zeros((), np.float32), np.ones((), np.float32))
    if dataset.is_text:
        return fit_idf(x, min_documents=min_documents(len(x)))
    if x.min() >= 0 and x.max() <= 1:
        return Standardization(np.zeros(x.shape[1:], np.float32), np.ones(x.shape[1:], np.float32))
    return fit_unit_interval(x) if is_deep(config) else fit_standardization(x)


def scale_inputs(config: Config, fitted: Standardization, x: Inputs) -> np.ndarray:
    """Examples as vectors; those of texts get the length 1, so that distances are those of angles.

    Networks start from features whose mean square is 1, and for them a text has the length of the
    square root of the number of words.
    """
    if not isinstance(x, Sequences):
        x = as_vectors(x)
    vectors = as_vectors(standardize_inputs(fitted, x))
    if not is_text(config):
        return vectors
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.maximum(norms, np.finfo(np.float32).tiny)
    return vectors * np.float32(math.sqrt(vectors.shape[1])) if is_deep(config) else vectors


def is_deep(config: Config) -> bool:
    """Whether the method trains a network."""
    return not isinstance(config.method, KMeans | GaussianMixture)
