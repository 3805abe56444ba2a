"""Optimizers of members of a population: padding stays zero, and which can be selected."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn

CLASSES, DIM, N = 3, 6, 48


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, DIM)).astype(np.float32)
    return {"x": x, "y": rng.integers(0, CLASSES, N).astype(np.int32)}


PADDED, PLAIN = jn.nn.padded_mlp((DIM, DIM, DIM), [4]), jn.mlp((DIM, 4, DIM))
PARTS = [(jax.jit(net.init), jax.jit(jn.classification(net))) for net in (PADDED, PLAIN)]


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", [n for n in jn.optimizer_names() if jn.optim.allows_padding(n)])
def test_optimizers_keep_padding_and_train_the_rest_as_without(name, data):
    def train(init, objective):
        learner = jn.gradient_learner(init, objective, lambda key: jn.optimizer(name))
        state = learner.init(jax.random.key(3))
        for start in range(0, N, 16):
            batch = {part: data[part][start : start + 16] for part in ("x", "y")}
            # Not compiled: most operations are the same for all optimizers.
            state, _ = learner.step(state, batch)
        return jax.device_get(jn.evaluation_params(state))

    padded, plain = (train(*parts) for parts in PARTS)
    assert np.abs(padded["dense_0"]["kernel"][:, 4:]).max() == 0
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        jn.nn.unpad_mlp(padded, [4]),
        plain,
    )


def test_optimizers_that_need_more_than_an_update_are_not_selected():
    optimizer = jn.optim.select_optimizer([optax.sgd(0.1), jn.optimizer("schedule_free")], 0)
    with pytest.raises(ValueError, match="optimizer 1 has a ScheduleFreeState"):
        optimizer.init({"bias": jnp.zeros(1)})
    with pytest.raises(ValueError, match="index must"):
        jn.optim.select_optimizer([optax.sgd(0.1)], 1)
