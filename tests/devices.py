"""Marks of tests that need devices."""

import jax
import pytest

needs_two_devices = pytest.mark.skipif(jax.device_count() < 2, reason="needs two devices")
