"""Facts about JAX and its backends that the code relies on: docs/platform.md says what for."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType

ROOT = Path(__file__).resolve().parents[1]


def test_the_tests_named_by_the_page_exist():
    page = (ROOT / "docs" / "platform.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 20
    sources = {path: ROOT / path for path, _ in named}
    missing = [
        f"{path}::{test}"
        for path, test in named
        if not sources[path].is_file()
        or f"def {test}(" not in sources[path].read_text(encoding="utf-8")
    ]
    assert not missing


def test_the_requirements_leave_out_what_computes_wrong_sums():
    requirement = re.search(r'"(jaxlib[^"]*)"', (ROOT / "pyproject.toml").read_text())
    assert requirement is not None
    for version in ("0.10.2", "0.11.0", "0.11.1", "0.11.2"):
        assert f"!={version}" in requirement[1].split(">=0.10.1,")[1].split(",")


def test_two_cpu_devices():
    """The tests' configuration has them; a sum over both is a collective."""
    if jax.default_backend() != "cpu":
        pytest.skip("another backend has its own number of devices")
    assert len(jax.devices()) >= 2
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    x = jax.device_put(jnp.arange(8.0), sharding)
    total = jax.jit(jnp.sum)
    assert "all-reduce" in total.lower(x).compile().as_text()
    assert float(total(x)) == 28


def test_make_mesh_makes_explicit_axes_where_gathers_need_a_sharding():
    mesh = jax.make_mesh((1,), ("data",), devices=jax.devices()[:1])
    assert mesh.axis_types == (AxisType.Explicit,)
    with jax.set_mesh(mesh):
        x = jax.device_put(jnp.arange(8.0), jax.sharding.PartitionSpec("data"))
        with pytest.raises(Exception, match="out_sharding"):
            x.at[jnp.array([3, 1])].get(mode="promise_in_bounds")


def test_arrays_from_outside_a_program_are_constants_of_it():
    data = jnp.asarray(np.random.default_rng(0).normal(size=(300, 50)))
    closed_over = jax.jit(lambda params: params @ data).lower(jnp.ones(300)).as_text()
    passed = jax.jit(lambda params, data: params @ data).lower(jnp.ones(300), data).as_text()
    assert len(closed_over) > 300 * 50 * 4
    assert len(passed) < 5_000


def test_vmap_makes_a_branch_into_a_selection_and_keeps_a_loop():
    def branch(flag, x):
        return jax.lax.cond(flag, jnp.sin, jnp.cos, x)

    def loop(flag, x):
        return jax.lax.while_loop(lambda c: c[0], lambda c: (False, jnp.sin(c[1])), (flag, x))[1]

    arguments = jnp.array([True, False]), jnp.ones(2)
    branches = str(jax.make_jaxpr(jax.vmap(branch))(*arguments))
    assert "cond" not in branches and "sin" in branches and "cos" in branches
    assert "while" in str(jax.make_jaxpr(jax.vmap(loop))(*arguments))


def test_labels_and_slices_out_of_range_are_silent():
    logits = jnp.array([[0.0, 1.0, 5.0]])
    loss = optax.losses.softmax_cross_entropy_with_integer_labels
    assert jnp.isnan(loss(logits, jnp.array([3])))
    np.testing.assert_array_equal(loss(logits, jnp.array([-1])), loss(logits, jnp.array([2])))
    sliced = jax.lax.dynamic_slice_in_dim(jnp.arange(5), 4, 3)
    assert sliced.tolist() == [2, 3, 4]


def test_the_gradient_of_xlogy_is_not_finite_at_zero():
    gradient = jax.grad(lambda p: jax.scipy.special.xlogy(p, p))(0.0)
    assert not jnp.isfinite(gradient)
