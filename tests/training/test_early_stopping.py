"""The best parameters of one run, and of each run of a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet.training import init_best, keep_best, out_of_patience


def test_runs_of_a_batch_are_kept_one_by_one(key):
    """As many runs as columns: broadcasting along the last axis would mix them silently."""
    new = {"kernel": jax.random.normal(key, (3, 4, 3)), "bias": jax.random.normal(key, (3, 3))}
    zeros = jax.tree.map(jnp.zeros_like, new)
    values = jnp.array([1.0, jnp.nan, 2.0])
    # With and without an initial value for each run, and mapped.
    mapped = jax.vmap(lambda best, new, value: keep_best(best, new, value, 1, patience=2))
    for best in (
        keep_best(jax.vmap(init_best)(zeros), new, values, 1, patience=2),
        keep_best(init_best(zeros), new, values, 1, patience=2),
        mapped(jax.vmap(init_best)(zeros), new, values),
    ):
        for name, leaf in best.params.items():
            expected = np.asarray(new[name]).copy()
            expected[1] = 0
            np.testing.assert_array_equal(leaf, expected)
        assert best.value.tolist() == [1.0, np.inf, 2.0] and best.epoch.tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match=r"values have shape \(3,\).*one has shape \(4,\)"):
        keep_best(init_best({"a": jnp.zeros(4)}), {"a": jnp.ones(4)}, values, 1, patience=2)


def test_each_run_ends_by_itself():
    best = jax.vmap(init_best)({"a": jnp.zeros((2, 1))})
    for epoch, values in enumerate([[3.0, 3.0], [4.0, 2.0], [4.0, 1.0], [0.0, 0.0]], start=1):
        params = {"a": jnp.full((2, 1), float(epoch))}
        best = keep_best(best, params, jnp.array(values), epoch, patience=2)
    assert best.epoch.tolist() == [1, 4] and best.params["a"].ravel().tolist() == [1.0, 4.0]
    assert out_of_patience(best, 4, patience=2).tolist() == [True, False]
