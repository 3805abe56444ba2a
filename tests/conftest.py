"""Fixtures shared by all tests, and how fast their many small programs compile."""

import os

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

# Read when the first array is made. Most of the time of the suite is XLA's, which optimizes small
# programs that run for milliseconds. Commands in processes of their own run as users run them.
_QUICK = ("--xla_backend_optimization_level=1", "--xla_cpu_use_fusion_emitters=false")
_others = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if flag not in _QUICK]
os.environ["XLA_FLAGS"] = " ".join([*_others, *_QUICK])


@pytest.fixture(scope="session")
def user_flags() -> str:
    """XLA_FLAGS without those that the tests add."""
    return " ".join(_others)


@pytest.fixture
def key() -> jax.Array:
    """A fixed typed PRNG key."""
    return jax.random.key(20)


@pytest.fixture
def x64():
    """Float64 inside one test: mathematics is checked where rounding does not hide errors."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def digits() -> dict[str, dict[str, jax.Array]]:
    """The digits of scikit-learn, standardized by one mean and scale, in two parts."""
    bunch = load_digits()
    x = ((bunch.data - bunch.data.mean()) / bunch.data.std()).astype(np.float32)
    y = bunch.target.astype(np.int32)
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1400], order[1400:]
    parts = {"train": {"x": x[train], "y": y[train]}, "test": {"x": x[test], "y": y[test]}}
    return jax.tree.map(jax.numpy.asarray, parts)
