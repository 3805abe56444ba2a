"""Windows, scores of steps and likelihoods, against loops over time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxnet import anomaly

pytestmark = pytest.mark.usefixtures("x64")


@pytest.fixture
def series():
    return np.random.default_rng(0).normal(size=(29, 2))


@pytest.mark.parametrize("stride", [1, 2, 7])
def test_windows_and_means_over_them_are_those_of_a_loop(series, stride):
    starts = range(0, 29 - 5 + 1, stride)
    values = np.random.default_rng(1).normal(size=(len(starts), 5))
    means, last = [], []
    for step in range(29):
        inside = [values[i, step - s] for i, s in enumerate(starts) if s <= step < s + 5]
        means.append(np.mean(inside) if inside else means[-1])
        ended = [i for i, s in enumerate(starts) if s + 4 <= step]
        last.append(values[max(ended, default=0), 0])

    @jax.jit
    def compute(series, values, repeated):
        options = {"length": 5, "stride": stride}
        return (
            anomaly.windows(series, 5, stride),
            anomaly.overlap_mean(values, 29, stride),
            anomaly.step_scores(values[:, 0], 29, reduce="last", **options),
            anomaly.step_scores(values[:, 0], 29, **options),
            anomaly.overlap_mean(repeated, 29, stride),
        )

    repeated = np.repeat(values[:, :1], 5, axis=1)
    cut, found, actual, mean, of_repeated = compute(series, values, repeated)
    np.testing.assert_array_equal(cut, [series[s : s + 5] for s in starts])
    np.testing.assert_allclose(found, means)
    np.testing.assert_array_equal(actual, last)
    np.testing.assert_array_equal(mean, of_repeated)


def test_reconstruction_scores_are_mean_squared_errors(series):
    @jax.jit
    def compute(series, errors):
        cut = anomaly.windows(series, 4)
        return anomaly.reconstruction_scores(cut, cut + errors, 29)

    scores = compute(series, np.array([[[1.0, 3.0]]]))
    np.testing.assert_allclose(scores, np.full(29, 5.0))


def test_forecast_scores_are_those_of_a_loop():
    generator = np.random.default_rng(2)
    series, forecasts = generator.normal(size=(3, 12)), generator.normal(size=(3, 12, 4))
    scores = np.asarray(jax.jit(anomaly.forecast_scores)(forecasts, series))
    for row in range(3):
        for step in range(12):
            errors = [
                abs(series[row, step] - forecasts[row, step - h, h - 1])
                for h in range(1, 5)
                if h <= step
            ]
            np.testing.assert_allclose(scores[row, step], np.mean(errors) if errors else 0)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("k", [1, 3])
def test_distance_scores_are_those_of_a_loop(series, normalize, causal, k):
    length = 4
    cut = np.stack([series[s : s + length] for s in range(29 - length + 1)])
    if normalize:
        cut = (cut - cut.mean(1, keepdims=True)) / cut.std(1, keepdims=True)
    profile = []
    for i, window in enumerate(cut):
        apart = [
            j for j in range(len(cut)) if (i - j >= length if causal else abs(i - j) >= length)
        ]
        distances = np.sort([np.sqrt(np.mean((window - cut[j]) ** 2)) for j in apart])
        profile.append(distances[k - 1] if len(distances) >= k else 0.0)

    @jax.jit
    def compute(series, profile):
        reduce = "last" if causal else "mean"
        return (
            anomaly.distance_scores(
                series, length, k=k, normalize=normalize, causal=causal, block_size=7
            ),
            anomaly.step_scores(profile, 29, length=length, reduce=reduce),
        )

    actual, expected = compute(series, np.array(profile))
    np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-7)


def test_causal_distances_do_not_depend_on_later_steps(series):
    values, changed = series[:, 0], series[:, 0].copy()
    changed[20:] = 50.0
    scores = jax.jit(lambda x: anomaly.distance_scores(x, 3, normalize=True, causal=True))
    full, cut = jax.device_get((scores(values), scores(changed)))
    np.testing.assert_allclose(full[:20], cut[:20], atol=1e-7)


def test_constant_windows_are_all_alike():
    scores = jax.jit(lambda x: anomaly.distance_scores(x, 5))(np.full(30, 0.1))
    np.testing.assert_array_equal(scores, np.zeros(30))


@pytest.mark.parametrize("block_size", [1, 7, 64])
def test_novelty_scores_are_those_of_a_loop(block_size):
    vectors = np.random.default_rng(4).normal(size=(2, 3, 29, 2))
    # Of equal vectors the second is not new.
    vectors[..., 20, :] = vectors[..., 4, :]
    actual = anomaly.novelty_scores(jnp.asarray(vectors), block_size=block_size)
    for index in np.ndindex(2, 3):
        rows = vectors[index]
        expected = [np.sqrt(((rows[:t] - rows[t]) ** 2).sum(1)).min() for t in range(1, 29)]
        np.testing.assert_allclose(actual[index], [0.0, *expected], rtol=1e-12)
    np.testing.assert_array_equal(actual[..., 20], 0)


def test_novelty_is_the_left_matrix_profile_of_windows_of_one_step(series):
    scores = anomaly.novelty_scores(jnp.asarray(series))
    profile = anomaly.distance_scores(jnp.asarray(series), 1, normalize=False, causal=True)
    np.testing.assert_allclose(scores, profile * np.sqrt(2), atol=1e-7)


@pytest.mark.parametrize("change", [7, 20])
def test_novelty_does_not_depend_on_later_steps(series, change):
    values = jnp.asarray(series)
    scores = anomaly.novelty_scores(values, block_size=8)
    changed = anomaly.novelty_scores(values.at[change:].set(jnp.nan), block_size=8)
    np.testing.assert_array_equal(scores[:change], changed[:change])
    assert bool(jnp.isnan(changed[change:]).all())
    padded = anomaly.novelty_scores(jnp.pad(values, ((0, 30), (0, 0))), block_size=8)
    np.testing.assert_array_equal(scores, padded[:29])


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_novelty_scores_lower_for_accelerators(series, platform):
    jax.export.export(jax.jit(anomaly.novelty_scores), platforms=[platform])(jnp.asarray(series))


@pytest.mark.parametrize("window", [1, 2, 7, 8, 13, 40])
def test_rolling_moments_are_those_of_a_loop(window):
    generator = np.random.default_rng(3)
    # Far from 0, where differences of cumulative sums would be inaccurate.
    values, weight = 1e6 + generator.normal(size=(2, 31)), generator.uniform(size=(2, 31))
    weight[:, 5:9] = 0
    hidden = np.where(weight > 0, values, np.nan)
    moments = jax.jit(lambda x, weight: anomaly.rolling_moments(x, window, weight=weight))
    number, mean, variance = jax.device_get(moments(hidden, weight))
    for row in range(2):
        for step in range(31):
            part = slice(max(step - window + 1, 0), step + 1)
            x, w = values[row, part], weight[row, part]
            total = w.sum()
            np.testing.assert_allclose(number[row, step], total, atol=1e-12)
            center = (w * x).sum() / total if total else 0.0
            spread = (w * (x - center) ** 2).sum() / total if total else 0.0
            np.testing.assert_allclose(mean[row, step], center, rtol=1e-12)
            np.testing.assert_allclose(variance[row, step], spread, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("log_scale", [False, True])
def test_anomaly_likelihood_is_that_of_a_loop(log_scale):
    errors = np.random.default_rng(4).exponential(size=60)
    options = {"long_window": 20, "short_window": 3, "log_scale": log_scale}
    actual = jax.jit(lambda errors: anomaly.anomaly_likelihood(errors, **options))(errors)
    actual = np.asarray(actual)
    for step in range(60):
        long, short = errors[max(step - 19, 0) : step + 1], errors[max(step - 2, 0) : step + 1]
        position = (short.mean() - long.mean()) / max(long.std(), 1e-6)
        tail = scipy.stats.norm.sf(position)
        expected = np.log(tail) / np.log(1e-10) if log_scale else 1 - tail
        np.testing.assert_allclose(actual[step], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: anomaly.windows(jnp.zeros(3), 4), r"length 4 exceeds the 3 steps"),
        (lambda: anomaly.windows(jnp.zeros(3), 2, 0), r"stride must be at least 1, found 0"),
        (lambda: anomaly.overlap_mean(jnp.zeros((3, 2)), 5), r"of 3 windows, expected 4 for"),
        (lambda: anomaly.step_scores(jnp.zeros(3), 5, length=2), r"of 3 windows, expected 4"),
        (
            lambda: anomaly.distance_scores(jnp.zeros(9), 5),
            r"length must lie between 1 and 4, found 5; use shorter windows",
        ),
        (
            lambda: anomaly.forecast_scores(jnp.zeros((4, 2)), jnp.zeros(3)),
            r"forecasts have shape \(4, 2\), expected \(3, 'horizons'\)",
        ),
        (
            lambda: anomaly.anomaly_likelihood(jnp.zeros(9), long_window=4, short_window=4),
            r"short_window must lie between 1 and 3, found 4; recent errors",
        ),
        (
            lambda: anomaly.anomaly_likelihood(
                jnp.zeros(9), long_window=4, short_window=2, min_deviation=0.0
            ),
            r"min_deviation must be greater than 0",
        ),
        (lambda: anomaly.rolling_moments(jnp.zeros(9), 0), r"window must be at least 1, found 0"),
        (
            lambda: anomaly.novelty_scores(jnp.zeros(9)),
            r"vectors have shape \(9,\), expected \(\.\.\., time, dim\) .* vectors\[:, None\]",
        ),
        (lambda: anomaly.novelty_scores(jnp.zeros((0, 2))), r"vectors have shape \(0, 2\)"),
        (
            lambda: anomaly.novelty_scores(jnp.zeros((9, 2)), block_size=0),
            r"block_size must be at least 1, found 0",
        ),
    ],
)
def test_mistakes_are_named(call, message, as_users_run):
    with pytest.raises(ValueError, match=message):
        call()
