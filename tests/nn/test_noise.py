"""Noise on the input, as layers and around objectives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn


def test_noise_has_the_statistics_it_is_named_for(key):
    x = jax.device_put(np.full((300, 100), 0.3, np.float32))

    def noisy(layer):
        return np.asarray(jax.jit(lambda x: layer.apply({}, x, key=key))(x))

    masked = noisy(jn.nn.masking_noise(0.3))
    assert abs((masked == 0).mean() - 0.3) < 0.01
    assert set(np.unique(masked)) == {np.float32(0), np.float32(0.3)}
    added = noisy(jn.nn.gaussian_noise(0.5)) - 0.3
    assert abs(added.mean()) < 0.01 and abs(added.std() - 0.5) < 0.01
    flipped = noisy(jn.nn.salt_and_pepper_noise(0.4))
    assert abs((flipped == 0).mean() - 0.2) < 0.01
    assert abs((flipped == 1).mean() - 0.2) < 0.01
    assert set(np.unique(flipped)) == {np.float32(0), np.float32(0.3), np.float32(1)}
    for noise in (jn.nn.masking_noise, jn.nn.gaussian_noise, jn.nn.salt_and_pepper_noise):

        def swept(rate, noise=noise):
            return noise(rate).apply({}, x, key=key)

        none, some = jax.jit(jax.vmap(swept))(np.array([0.0, 0.5], np.float32))
        assert (np.asarray(none) == np.asarray(x)).all() and (
            np.asarray(some) != np.asarray(x)
        ).any()
        assert noise(0.5).apply({}, x) is x


def test_denoising_hides_the_clean_input_from_the_network_alone(key):
    seen = []

    def spy(params, batch, key):
        seen.append((batch, key))
        return jnp.zeros(()), {}

    x = jnp.ones((50, 40))
    noisy = jn.with_noise(spy, jn.nn.masking_noise(0.5))
    noisy({}, {"x": x, "weight": jnp.ones(50)}, key)
    noisy({}, {"x": x}, None)
    (batch, inner), (quiet, no_key) = seen
    assert set(np.unique(batch["x"])) == {0.0, 1.0} and "weight" in batch
    np.testing.assert_array_equal(batch["target"], x)
    np.testing.assert_array_equal(quiet["x"], x)
    assert no_key is None and (jax.random.key_data(inner) != jax.random.key_data(key)).any()
    # Two noises, one inside the other, are drawn independently, and the target is the clean input.
    twice = jn.with_noise(jn.with_noise(spy, jn.nn.masking_noise(0.5)), jn.nn.masking_noise(0.5))
    twice({}, {"x": x}, key)
    np.testing.assert_array_equal(seen[-1][0]["target"], x)
    assert abs(float(seen[-1][0]["x"].mean()) - 0.25) < 0.05


def test_binarized_pixels_have_their_value_as_mean(key):
    def values(params, batch, key):
        return batch["x"].mean(), {"pixels": batch["x"].mean(axis=0)}

    x = np.broadcast_to(np.array([0.0, 0.3, 1.0], np.float32), (20_000, 3))
    binarized = jn.with_augmentation(values, jn.nn.bernoulli_sampling())

    @jax.jit
    def both(x, key):
        return [binarized({}, {"x": x}, each)[1]["pixels"] for each in (key, None)]

    found, kept = jax.device_get(both(x, key))
    np.testing.assert_allclose(found, x[0], atol=0.02)
    assert found[0] == 0 and found[2] == 1
    np.testing.assert_allclose(kept, x[0], 1e-4)
    with pytest.raises(ValueError, match="put it outside"):
        jax.eval_shape(jn.with_noise(binarized, jn.nn.masking_noise(0.1)), {}, {"x": x}, key)
