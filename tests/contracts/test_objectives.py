"""Laws that every objective obeys, and every transformation of objectives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn
from tests.contracts.registry import OBJECTIVES, example_data


@pytest.mark.parametrize("name", OBJECTIVES)
def test_weight_zero_masks_and_randomness_comes_from_the_key(name, key):
    objective, init, shapes = OBJECTIVES[name]
    batch = example_data(shapes)
    batch["weight"] = batch["weight"].at[5:].set(0.0)
    run = jax.jit(objective)
    params = jax.jit(init)(key)
    loss, metrics = run(params, batch, key)
    assert loss.shape == () and jnp.isfinite(loss)
    assert all(value.shape == () for value in jax.tree.leaves(metrics))
    # The masked examples stay where they are, since noise has the shape of the batch.
    changed = batch | {"x": batch["x"].at[5:].set(0.5)}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5),
        (loss, metrics),
        run(params, changed, key),
    )
    jax.tree.map(np.testing.assert_array_equal, (loss, metrics), run(params, batch, key))


@pytest.mark.parametrize("kind", ["objective", "stateful"])
def test_transformations_of_two_kinds_draw_independent_numbers(kind, key):
    """Each keeps half of the inputs, both a quarter; the objective inside draws others again."""

    def kept(params, batch, key):
        own = jax.random.bernoulli(key, 0.5, batch["x"].shape)
        kept = batch["x"] > 0
        return kept.mean(), {"with_own": (kept & own).mean()}

    def stateful(params, extra, batch, key):
        loss, metrics = kept(params, batch, key)
        return loss, (extra + 1, metrics)

    def transform(objective):
        noise = jn.nn.masking_noise(0.5)
        return jn.with_augmentation(jn.with_noise(jn.with_l2(objective, 0.1), noise), noise)

    batch, params = {"x": jnp.ones((500, 40))}, {"kernel": jnp.zeros((2, 2))}
    if kind == "objective":
        loss, metrics = transform(kept)(params, batch, key)
    else:
        objective = transform(jn.typing.StatefulObjective(lambda *_: jnp.zeros(()), stateful))
        loss, (extra, metrics) = objective.apply(params, objective.init(params, key), batch, key)
        assert float(extra) == 1
    assert abs(float(loss) - 0.25) < 0.02
    assert abs(float(metrics["with_own"]) - 0.125) < 0.015
