"""Scores of windows of each series: autoencoders, principal components, distances.

A window spans about one period of its series. Its steps are averaged to `num_points` numbers, so
that the windows of all series are of one size, and autoencoders of all series are one program.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float
from scipy.ndimage import uniform_filter1d
from scipy.signal import argrelextrema

import jaxnet as jn
from experiments.anomaly.config import Autoencoder, Config, Distance, Pca
from experiments.data.labelled_series import Series, pad_series
from experiments.placement import Placement
from experiments.precision import in_precision, scaled
from experiments.training import network_keys
from jaxnet import anomaly, runs, training

# As in TSB-AD, whose measure of a window is compared with.
_NUM_LAGS, _FIRST_LAG, _DEFAULT, _MAX_LENGTH, _MAX_STEPS = 400, 3, 125, 300, 20_000


class WindowScores(NamedTuple):
    """Scores of the methods of windows.

    Attributes:
        scores: for each network of a series and each series, scores of its steps, `(time,)`.
        params: of the networks, `(networks, ...)`, or of the components; for the hash of the run.
        state_sha256: of the training, if there is one.
    """

    scores: list[list[Float[np.ndarray, " time"]]]
    params: Any
    state_sha256: Any = None


def window_length(values: Float[np.ndarray, " time"]) -> int:
    """The lag with the highest local maximum of the autocorrelation, as in TSB-AD.

    Of the first 20 000 steps and lags from 3 to 400; 125 where no lag is a local maximum, or the
    highest one is below 6 or above 303.

    Args:
        values: the series.

    Returns:
        A number of steps.

    >>> window_length(np.sin(np.arange(2000) * 2 * np.pi / 50))
    50

    Source: Liu and Paparrizos (2024), "The Elephant in the Room: Towards A Reliable Time-Series
    Anomaly Detection Benchmark"; `find_length_rank` of its program.
    """
    centered = values[:_MAX_STEPS] - values[:_MAX_STEPS].mean()
    if not centered.any():
        return _DEFAULT
    spectrum = np.fft.rfft(centered, 2 * len(centered))
    covariance = np.fft.irfft(np.abs(spectrum) ** 2)[: min(_NUM_LAGS + 1, len(centered))]
    correlation = covariance[_FIRST_LAG:] / covariance[0]
    maxima = argrelextrema(correlation, np.greater)[0]
    if not len(maxima):
        return _DEFAULT
    highest = int(maxima[np.argmax(correlation[maxima])])
    return highest + _FIRST_LAG if _FIRST_LAG <= highest <= _MAX_LENGTH else _DEFAULT


class _Coarse(NamedTuple):
    """A series of means of `factor` steps, standardized."""

    values: Float[np.ndarray, " points"]
    factor: int


def _coarse(series: Series, num_points: int) -> _Coarse:
    values = series.values
    factor = max(1, round(window_length(values) / num_points))
    factor = min(factor, max(1, len(values) // (4 * num_points)))
    values = (values - values.mean()) / (values.std() + 1e-9 * (1 + np.abs(values).max()))
    padded = np.pad(values, (0, -len(values) % factor), mode="edge")
    return _Coarse(padded.reshape(-1, factor).mean(axis=1).astype(np.float32), factor)


def _step_scores(
    coarse: Float[np.ndarray, " points"], factor: int, num_steps: int, smooth: float
) -> Float[np.ndarray, " time"]:
    """Scores of steps, divided by their mean, so that one threshold may serve several series."""
    scores = np.repeat(np.asarray(coarse, np.float64), factor)[:num_steps]
    scores = scores / max(scores.mean(), np.finfo(np.float32).tiny)
    return uniform_filter1d(scores, max(1, round(smooth * num_steps))) if smooth else scores


def check_windows(method: Autoencoder | Pca | Distance, series: tuple[Series, ...]) -> None:
    """Raise ValueError for a series that is too short."""
    for each in series:
        if len(each.values) < 4 * method.num_points:
            raise ValueError(
                f"series {each.name} has {len(each.values)} steps, expected at least "
                f"{4 * method.num_points} for windows of {method.num_points} numbers; use "
                "--num-points"
            )


def window_batch(method: Autoencoder) -> int:
    """Windows in a batch."""
    return min(method.batch_size, method.num_windows)


def score_windows(
    config: Config,
    series: tuple[Series, ...],
    directory: runs.RunDirectory,
    placement: Placement,
) -> WindowScores:
    """Score the steps of each series by its windows.

    Args:
        config: options whose method is one of windows.
        series: the series.
        directory: the run directory, for the training.
        placement: how the networks are spread over devices.

    Returns:
        Scores.
    """
    method = config.method
    assert isinstance(method, Autoencoder | Pca | Distance)
    coarse = [_coarse(each, method.num_points) for each in series]
    params, state_sha256 = [], None
    if isinstance(method, Autoencoder):
        by_network, params, state_sha256 = _reconstruct(
            config, method, coarse, directory, placement
        )
    elif isinstance(method, Pca):
        by_network = [[_component_scores(each.values, method) for each in coarse]]
    else:
        by_network = [
            [
                anomaly.distance_scores(
                    jnp.asarray(each.values),
                    method.num_points,
                    k=method.num_neighbors,
                    normalize=method.normalize,
                )
                for each in coarse
            ]
        ]
    scores = [
        [
            _step_scores(np.asarray(rows), each.factor, len(one.values), method.smooth)
            for rows, each, one in zip(network, coarse, series, strict=True)
        ]
        for network in by_network
    ]
    return WindowScores(scores, params, state_sha256)


def mean_of_windows(values: Float[np.ndarray, "windows length"]) -> Float[np.ndarray, " time"]:
    """`jaxnet.anomaly.overlap_mean` of all windows, on the host.

    Each series has another length, for which a program would be compiled.

    Args:
        values: a number for each step of each window of stride 1.

    >>> mean_of_windows(np.array([[1.0, 2.0], [4.0, 6.0]])).tolist()
    [1.0, 3.0, 6.0]
    """
    num_windows, length = values.shape
    sums, counts = np.zeros((2, num_windows + length - 1))
    for offset in range(length):
        sums[offset : offset + num_windows] += values[:, offset]
        counts[offset : offset + num_windows] += 1
    return sums / counts


def _component_scores(values: np.ndarray, method: Pca) -> np.ndarray:
    """Mean squared errors of windows, reconstructed by their first components, of their steps."""
    cut = np.lib.stride_tricks.sliding_window_view(values, method.num_points).astype(np.float64)
    centered = cut - cut.mean(axis=0)
    _, components = np.linalg.eigh(centered.T @ centered / len(cut))
    first = components[:, max(len(components) - method.num_components, 0) :]
    errors = np.square(centered - centered @ first @ first.T).mean(axis=1)
    return mean_of_windows(np.broadcast_to(errors[:, None], cut.shape))


def _reconstruct(
    config: Config,
    method: Autoencoder,
    coarse: list[_Coarse],
    directory: runs.RunDirectory,
    placement: Placement,
) -> tuple[list[list[np.ndarray]], Any, Any]:
    """Errors of the reconstruction by each network, its parameters, and the hash of the state."""
    size = method.num_points
    cut = [np.lib.stride_tricks.sliding_window_view(each.values, size) for each in coarse]
    chosen = [rows[np.linspace(0, len(rows) - 1, method.num_windows).astype(int)] for rows in cut]
    hidden = method.hidden_dims
    sizes = [size, *hidden, method.code_dim, *hidden[::-1], size]
    network = in_precision(config, jn.mlp(sizes, activation=jax.nn.tanh))
    objective = scaled(config, jn.regression(network))
    learner = jn.gradient_learner(network.init, objective, optax.adam(method.learning_rate))
    windows = np.tile(np.stack(chosen), (config.num_seeds, 1, 1))
    keys = network_keys(config.seed, len(windows))
    trained = placement.train(
        directory,
        learner,
        jax.jit(jax.vmap(learner.init))(keys),
        {"x": windows, "y": windows},
        batches=training.per_run(training.shuffled(window_batch(method))),
        options=runs.TrainOptions(
            num_epochs=method.num_epochs,
            checkpoint_every=method.checkpoint_every,
            tensorboard=method.tensorboard,
        ),
    )
    padded, _ = pad_series(cut, max(map(len, cut)))
    outputs = jax.jit(jax.vmap(lambda params, x: network.apply(params, x)))
    by_network = []
    for seed in range(config.num_seeds):
        rows = slice(seed * len(cut), (seed + 1) * len(cut))
        params = jax.tree.map(lambda leaf, rows=rows: leaf[rows], trained.params)
        reconstructions = np.asarray(outputs(params, jnp.asarray(padded)))
        by_network.append(
            [
                mean_of_windows(np.square(values - reconstruction[: len(values)]))
                for values, reconstruction in zip(cut, reconstructions, strict=True)
            ]
        )
    return by_network, trained.params, trained.state_sha256
