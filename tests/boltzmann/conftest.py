"""Machines small enough for brute force, and their exact joint distributions."""

import itertools
from typing import NamedTuple

import jax
import numpy as np
import pytest

from jaxnet import boltzmann


class Joint(NamedTuple):
    """All states of a machine of Bernoulli units with their probabilities, in float64."""

    v: np.ndarray  # (states, visible)
    h: np.ndarray
    probability: np.ndarray
    log_partition: float


def _states(num_units):
    return np.array(list(itertools.product([0.0, 1.0], repeat=num_units)))


def _enumerate_joint(params):
    kernel, b, c = (np.asarray(params[n]) for n in ("kernel", "visible_bias", "hidden_bias"))
    pairs = list(itertools.product(_states(len(b)), _states(len(c))))
    v, h = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    weight = np.exp(v @ b + h @ c + np.einsum("si,ij,sj->s", v, kernel, h))
    return Joint(v, h, weight / weight.sum(), float(np.log(weight.sum())))


def _random_params(rbm, key, scale=1.0):
    """Parameters so large that a missing term of a formula would be noticed, drawn by NumPy."""
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    shapes = {
        "kernel": (rbm.num_visible, rbm.num_hidden),
        "visible_bias": (rbm.num_visible,),
        "hidden_bias": (rbm.num_hidden,),
    }
    return {
        name: jax.device_put(scale * random.normal(size=shape)) for name, shape in shapes.items()
    }


@pytest.fixture
def bits():
    """`bits(num_rows, num_columns)`: examples of bits, drawn by NumPy."""
    random = np.random.default_rng(1)
    return lambda *shape: jax.device_put((random.random(shape) < 0.4).astype(float))


@pytest.fixture
def states():
    """`states(n)`: all states of n Bernoulli units, `(2^n, n)`."""
    return lambda num_units: jax.device_put(_states(num_units))


@pytest.fixture
def enumerate_joint():
    """`enumerate_joint(params)`: the joint distribution of a small machine, a `Joint`."""
    return _enumerate_joint


@pytest.fixture
def random_params():
    """`random_params(rbm, key, scale=1.0)`."""
    return _random_params


@pytest.fixture
def rbm():
    return boltzmann.RBM(num_visible=5, num_hidden=3)


@pytest.fixture
def params(rbm, key):
    return _random_params(rbm, key)


@pytest.fixture(scope="session")
def bars():
    """Bars and stripes: the 30 images of 4x4 with constant rows or constant columns."""
    rows = {tuple(np.repeat(bits, 4)) for bits in _states(4)}
    columns = {tuple(np.tile(bits, 4)) for bits in _states(4)}
    return jax.device_put(np.array(sorted(rows | columns), np.float32))
