"""Labeled and unlabeled examples, and a linear network in NumPy, for tests of objectives."""

import jax
import numpy as np
import scipy.special

import jaxnet as jn


def softmax(logits):
    return scipy.special.softmax(np.asarray(logits, np.float64), axis=-1)


def a_batch(dim=4, num_classes=3, num_labeled=5, num_unlabeled=7, seed=0):
    generator = np.random.default_rng(seed)
    return {
        "labeled": {
            "x": jax.device_put(generator.normal(size=(num_labeled, dim))),
            "y": jax.device_put(generator.integers(num_classes, size=num_labeled)),
        },
        "unlabeled": {"x": jax.device_put(generator.normal(size=(num_unlabeled, dim)))},
    }


def linear(seed=0, dim=4, num_classes=3):
    generator = np.random.default_rng(seed)
    params = {
        "kernel": jax.device_put(generator.normal(size=(dim, num_classes))),
        "bias": jax.device_put(generator.normal(size=num_classes)),
    }
    return jn.dense(dim, num_classes), params


def logits(params, x):
    return np.asarray(x) @ np.asarray(params["kernel"]) + np.asarray(params["bias"])


def cross_entropy(params, part):
    probabilities = softmax(logits(params, part["x"]))
    return -np.log(probabilities[np.arange(len(part["y"])), part["y"]]).mean()
