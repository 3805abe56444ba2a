"""Fixtures of the laws."""

import jax
import pytest


@pytest.fixture
def strict():
    """No implicit promotion of dtypes and ranks in what is traced, see test_strictness.py."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
