"""Fixtures shared by all tests."""

import jax
import pytest


@pytest.fixture
def key() -> jax.Array:
    """A fixed typed PRNG key."""
    return jax.random.key(20)


@pytest.fixture
def x64():
    """Float64 inside one test: mathematics is checked where rounding does not hide errors."""
    with jax.enable_x64(True):
        yield
