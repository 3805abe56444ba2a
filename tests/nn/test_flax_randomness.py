"""Random numbers of Flax modules: flags, streams, and dropout that stays off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxnet.nn.flax import from_linen, from_nnx


class Dropping(linen.Module):
    """Its flag has a name that nobody knows."""

    @linen.compact
    def __call__(self, x, dropping: bool = False):
        return linen.Dropout(0.5, deterministic=not dropping)(linen.Dense(8)(x))


class DroppingNnx(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(3, 8, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x, dropping: bool = False):
        return self.dropout(self.dense(x), deterministic=not dropping)


ONES = jnp.ones((2, 3))


def apply_in_training(network, key):
    return network.apply(network.init(key), ONES, key=key)


def test_dropout_that_training_does_not_switch_on_is_rejected(key):
    with pytest.raises(ValueError, match="dropout of Dropping stays off in training: Dropout_0"):
        from_linen(Dropping(), ONES)
    with pytest.raises(ValueError, match="dropout of DroppingNnx stays off in training: dropout"):
        apply_in_training(from_nnx(DroppingNnx), key)
    # A module that is meant to be the same in both modes.
    for network in (from_linen(Dropping(), ONES, training={}), from_nnx(DroppingNnx, training={})):
        assert (apply_in_training(network, key) != 0).all()


def test_a_flag_may_have_any_name(key):
    flags = {"dropping": True}
    for network in (
        from_linen(Dropping(), ONES, training=flags),
        from_nnx(DroppingNnx, training=flags),
    ):
        outputs = apply_in_training(network, key)
        assert 0 < (outputs == 0).mean() < 1
        assert (network.apply(network.init(key), ONES) != 0).all()
    with pytest.raises(
        ValueError, match=r"names the flag 'droping', and .* takes \['x', 'dropping'"
    ):
        from_linen(Dropping(), ONES, training={"droping": True})
    with pytest.raises(TypeError, match="must be True or False, found 1"):
        from_nnx(DroppingNnx, training={"dropping": 1})  # pyright: ignore[reportArgumentType]


class Attention(linen.Module):
    active: bool

    @linen.compact
    def __call__(self, x, train: bool):
        deterministic = not (train and self.active)
        layer = linen.MultiHeadDotProductAttention(2, dropout_rate=0.5, deterministic=deterministic)
        return layer(x[..., None, :])


def test_dropout_inside_attention_is_checked(key):
    x = jnp.ones((2, 4))
    with pytest.raises(ValueError, match="MultiHeadDotProductAttention_0"):
        from_linen(Attention(active=False), x)
    assert from_linen(Attention(active=True), x).apply is not None


class Noisy(linen.Module):
    """Draws from two streams that have other names than `dropout`."""

    @linen.compact
    def __call__(self, x, train: bool):
        if not train:
            return jnp.stack([x, x])
        names = ("noise", "augmentation")
        return jnp.stack([jax.random.normal(self.make_rng(name), x.shape) for name in names])


class NoisyNnx(nnx.Module):
    def __init__(self, rngs):
        self.first, self.second = rngs.noise.fork(), rngs.augmentation.fork()

    def __call__(self, x, train: bool):
        if not train:
            return jnp.stack([x, x])
        streams = (self.first, self.second)
        return jnp.stack([jax.random.normal(stream(), x.shape) for stream in streams])


@pytest.mark.parametrize("name", ["linen", "nnx"])
def test_every_random_stream_has_numbers_of_its_own(name, key):
    x = jnp.ones(1000)
    network = from_linen(Noisy(), x) if name == "linen" else from_nnx(NoisyNnx)
    params = network.init(key)
    first, second = np.asarray(network.apply(params, x, key=key))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    assert abs(first.mean()) < 0.15 and abs(first.std() - 1) < 0.1
    np.testing.assert_array_equal(network.apply(params, x), np.ones((2, 1000)))
    other = network.apply(params, x, key=jax.random.key(1))
    assert not (other == np.stack([first, second])).any()


class AlwaysRandom(linen.Module):
    @linen.compact
    def __call__(self, x):
        return x + jax.random.normal(self.make_rng("noise"), x.shape)


class AlwaysRandomNnx(nnx.Module):
    def __init__(self, rngs):
        self.noise = rngs.noise.fork()

    def __call__(self, x):
        return x + jax.random.normal(self.noise(), x.shape)


def test_random_numbers_in_evaluation_are_rejected(key):
    for network in (from_linen(AlwaysRandom(), ONES), from_nnx(AlwaysRandomNnx)):
        assert (apply_in_training(network, key) != 1).all()
        with pytest.raises(ValueError, match="draws random numbers in evaluation"):
            network.apply(network.init(key), ONES)
