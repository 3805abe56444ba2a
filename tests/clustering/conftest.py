"""Data of the tests of deep clustering."""

import jax
import jax.numpy as jnp
import pytest

from tests.clustering.small import N


@pytest.fixture(scope="session")
def data():
    """All examples, with their indices."""
    return {"x": jax.random.uniform(jax.random.key(3), (N, 5)), "index": jnp.arange(N)}
