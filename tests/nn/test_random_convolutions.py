"""Random convolutions against loops over kernels, steps and thresholds."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn
from jaxnet import nn

NETWORK = nn.random_convolutions(2, 40, num_features=4 * 84)
LENGTHS = (40, 23, 6)


@pytest.fixture(scope="module")
def series():
    values = np.random.default_rng(0).normal(size=(3, 40, 2)).astype(np.float32)
    return jn.Sequences(values, np.array(LENGTHS, np.int32))


@pytest.fixture(scope="module")
def params(series):
    return jax.device_get(jax.jit(NETWORK.fit)(jax.random.key(1), series))


def outputs(x, step, channels, pads):
    """The outputs of all kernels at the steps that count, one array for each kernel."""
    x = np.asarray(x, np.float64)
    results = []
    for kernel, places in enumerate(itertools.combinations(range(9), 3)):
        weights = np.where(np.isin(np.arange(9), places), 2, -1)
        total = x @ np.asarray(channels)[:, kernel]
        padded = np.pad(total, 4 * step)
        y = sum(weight * padded[u * step : u * step + len(x)] for u, weight in enumerate(weights))
        inside = slice(4 * step, len(x) - 4 * step)
        results.append(y if pads[kernel] or len(x) <= 8 * step else y[inside])
    return results


def test_features_are_fractions_of_outputs_above_thresholds(series, params):
    features = np.asarray(jax.jit(NETWORK.apply)(params, series))
    assert features.shape == (3, NETWORK.num_features) == (3, 336)
    names = [f"dilation_{step}" for step in (1, 2, 4)]
    assert sorted(params) == names
    for row, length in enumerate(LENGTHS):
        x, bounds = np.asarray(series.values)[row, :length], []
        for index, (name, step) in enumerate(zip(names, (1, 2, 4), strict=True)):
            pads = np.arange(84) % 2 == index % 2
            above = outputs(x, step, params[name]["channels"], pads)
            for threshold in np.asarray(params[name]["threshold"]):
                # Outputs that equal a threshold, but for rounding, are on either side.
                bounds += [
                    ((y > b + 1e-4).mean(), (y > b - 1e-4).mean())
                    for y, b in zip(above, threshold, strict=True)
                ]
        low, high = np.transpose(bounds)
        assert (low == high).mean() > 0.95
        assert (features[row] >= low - 1e-6).all() and (features[row] <= high + 1e-6).all()


def test_thresholds_are_quantiles_of_the_outputs_on_one_series(key):
    x = np.random.default_rng(0).normal(size=(1, 30, 1)).astype(np.float32)
    network = nn.random_convolutions(1, 9, num_features=3 * 84)
    thresholds = jax.jit(network.fit)(key, x)["dilation_1"]["threshold"]
    numbers = np.arange(1, 3 * 84 + 1).reshape(3, 84)
    levels = numbers * (np.sqrt(5) - 1) / 2 % 1
    for kernel, y in enumerate(outputs(x[0], 1, np.ones((1, 84)), np.arange(84) % 2 == 0)):
        expected = np.quantile(y, levels[:, kernel])
        np.testing.assert_allclose(thresholds[:, kernel], expected, atol=1e-4)


def test_kernels_read_subsets_of_channels(params):
    channels = np.concatenate([part["channels"] for part in params.values()], axis=1)
    assert set(np.unique(channels.sum(0))) == {1.0, 2.0}
    assert (channels.mean(1) > 0.5).all()
    wide = jax.jit(nn.random_convolutions(30, 50, num_features=840).init)(jax.random.key(0))
    sizes = np.concatenate([part["channels"].sum(0) for part in wide.values()])
    assert sizes.min() == 1 and sizes.max() == 9


def test_thresholds_that_are_drawn_are_exceeded_by_half_of_white_noise(key):
    network = nn.random_convolutions(3, 100, num_features=168)
    x = np.random.default_rng(0).normal(size=(4, 100, 3)).astype(np.float32)
    features = np.asarray(jax.jit(lambda key, x: network.apply(network.init(key), x))(key, x))
    assert abs(float(features.mean()) - 0.5) < 0.05 and float(features.std()) > 0.2


@pytest.mark.parametrize("num_features", [84, 100, 40 * 84, 9996])
@pytest.mark.parametrize("time", [1, 9, 24, 1460])
def test_there_are_as_many_features_as_asked_for(time, num_features):
    assert nn.random_convolutions(1, time, num_features=num_features).num_features == (
        num_features // 84 * 84
    )


def test_nothing_is_trained(series, params):
    gradient = jax.jit(
        jax.grad(lambda params, x: NETWORK.apply(params, x).sum(), (0, 1), allow_int=True)
    )
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradient(params, series)[0]))


def test_wrong_arguments_are_rejected(key, as_users_run):
    with pytest.raises(ValueError, match="num_features must be at least 84"):
        nn.random_convolutions(1, 50, num_features=83)
    with pytest.raises(ValueError, match=r"expected \(\*batch, time, 2\)"):
        jax.eval_shape(lambda key: NETWORK.apply(NETWORK.init(key), jnp.ones((3, 40, 1))), key)
