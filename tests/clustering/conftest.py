"""Data of the tests of deep clustering."""

import jax
import numpy as np
import pytest

from tests.clustering.small import N


@pytest.fixture(scope="session")
def data():
    """All examples, with their indices."""
    x = np.random.default_rng(3).uniform(size=(N, 5)).astype(np.float32)
    return jax.device_put({"x": x, "index": np.arange(N, dtype=np.int32)})
