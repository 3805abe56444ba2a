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


TRANSFORMATIONS = {
    "with_noise": lambda objective: jn.with_noise(objective, jn.nn.masking_noise(0.5)),
    "with_augmentation": lambda objective: jn.with_augmentation(
        objective, jn.nn.masking_noise(0.5)
    ),
}
# An augmentation inside of noise is rejected: it would leave the target as it is.
PAIRS = [
    ("with_noise", "with_noise"),
    ("with_augmentation", "with_noise"),
    ("with_augmentation", "with_augmentation"),
]


@pytest.mark.parametrize("kind", ["objective", "stateful"])
@pytest.mark.parametrize(("outer", "inner"), PAIRS)
def test_two_transformations_draw_independent_numbers(outer, inner, kind, key):
    """Each keeps half of the inputs, both a quarter; the objective inside draws others again."""

    def kept(params, batch, key):
        own = jax.random.bernoulli(key, 0.5, batch["x"].shape)
        kept = batch["x"] > 0
        return kept.mean(), {"with_own": (kept & own).mean()}

    def stateful(params, extra, batch, key):
        loss, metrics = kept(params, batch, key)
        return loss, (extra + 1, metrics)

    batch = {"x": jnp.ones((500, 40))}
    if kind == "objective":
        objective = TRANSFORMATIONS[outer](TRANSFORMATIONS[inner](kept))
        loss, metrics = objective({}, batch, key)
    else:
        objective = jn.typing.StatefulObjective(lambda params, key: jnp.zeros(()), stateful)
        objective = TRANSFORMATIONS[outer](TRANSFORMATIONS[inner](objective))
        assert float(objective.init({}, key)) == 0
        loss, (extra, metrics) = objective.apply({}, jnp.zeros(()), batch, key)
        assert float(extra) == 1
    assert abs(float(loss) - 0.25) < 0.02
    assert abs(float(metrics["with_own"]) - 0.125) < 0.015
