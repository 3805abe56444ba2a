"""Features of recordings, against SciPy and librosa."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import scipy.signal
from jax.test_util import check_grads

import jaxnet as jn
from jaxnet import audio, nn

RATE, SIZE, HOP, FILTERS = 8000, 64, 24, 8
SAMPLES = np.arange(400)
GOLDEN = {
    "htk": [0.49595793, 0.92124495, 0.42747924, 0.0, 0.0],
    "slaney": [0.0012800982, 0.00097481729, 0.00066953634, 0.00036425539, 5.8974443e-05],
    "log_mel": [-6.5298379, 3.6394827, 1.1386925, -0.023238453],
    "mfcc": [-2.2630366, 0.9457081, -11.477592, 0.3073096, -5.3505374],
    "deltas": [0.4037334, -3.8726555, 0.45439841, -0.76043003, 0.62513535],
}


def chirp() -> np.ndarray:
    """A tone that rises from 200 Hz, with an overtone: known numbers, without a generator."""
    phase = 2 * np.pi * (200 * SAMPLES / RATE + 15_000 * (SAMPLES / RATE) ** 2)
    return 0.5 * np.sin(phase) + 0.25 * np.sin(2 * phase)


def features(signal, *, padding="center"):
    """All functions in a row, as a recognizer uses them."""
    power = audio.power_spectrogram(signal, SIZE, HOP, padding=padding)
    bank = audio.mel_filter_bank(FILTERS, SIZE, RATE, low=100.0, high=3900.0)
    coefficients = audio.mfcc(audio.log_mel(power, bank), 5, lifter=22.0)
    return audio.deltas(audio.normalize_over_time(coefficients))


# Eager operations would each be compiled alone.
compiled_features = jax.jit(features, static_argnames="padding")
frame = jax.jit(audio.frame, static_argnums=(1, 2), static_argnames="padding")
deltas = jax.jit(audio.deltas, static_argnames="width")
limit_range = jax.jit(audio.limit_range)
trim_silence = jax.jit(audio.trim_silence, static_argnames="margin")


@pytest.mark.parametrize(("size", "hop"), [(4, 2), (5, 3), (3, 3), (2, 5), (7, 1)])
@pytest.mark.parametrize("padding", ["valid", "center"])
def test_frames_are_slices_of_the_signal(size, hop, padding):
    signal = np.arange(1.0, 12.0)
    start = size // 2 if padding == "center" else 0
    padded = np.pad(signal, start)
    expected = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    frames = frame(signal, size, hop, padding=padding)
    np.testing.assert_array_equal(frames, expected)


def test_stft_is_that_of_scipy(x64):
    signal = chirp()
    window: Any = scipy.signal.get_window("hamming", SIZE)
    _, _, expected = scipy.signal.stft(
        signal, RATE, window, SIZE, SIZE - HOP, 2 * SIZE, boundary="zeros", padded=False
    )

    @jax.jit
    def by_name_and_given(signal):
        return [
            audio.stft(signal, SIZE, HOP, fft_size=2 * SIZE, window=each)
            for each in ("hamming", window)
        ]

    spectrum, given = by_name_and_given(signal)
    np.testing.assert_allclose(spectrum, expected.T * window.sum(), atol=1e-12)
    np.testing.assert_array_equal(given, spectrum)


def test_power_is_that_of_scipy(x64):
    transform = scipy.signal.ShortTimeFFT(np.ones(SIZE), HOP, RATE)
    expected = transform.spectrogram(chirp(), p0=2, p1=10).T
    power = jax.jit(
        lambda signal: audio.power_spectrogram(signal, SIZE, HOP, window="boxcar", padding="valid")
    )(chirp()[2 * HOP - SIZE // 2 :])
    np.testing.assert_allclose(power[:8], expected, atol=1e-10)


def test_mfcc_is_the_dct_of_scipy(x64):
    energies = np.random.default_rng(0).normal(size=(3, 7, 20))
    expected = np.asarray(scipy.fft.dct(energies, norm="ortho"))[..., :13]
    plain, lifted = map(
        np.asarray,
        jax.jit(lambda x: (audio.mfcc(x, 13), audio.mfcc(x, 13, lifter=22.0)))(energies),
    )
    np.testing.assert_allclose(plain, expected, atol=1e-12)
    np.testing.assert_allclose(lifted[..., 11], 12 * expected[..., 11], atol=1e-11)
    np.testing.assert_array_equal(lifted[..., 0], plain[..., 0])


@pytest.mark.parametrize("width", [1, 2, 4])
def test_deltas_are_those_of_scipy(width, x64):
    values = np.random.default_rng(0).normal(size=(3, 7, 2))
    expected: Any = scipy.signal.savgol_filter(
        values, 2 * width + 1, 1, deriv=1, axis=1, mode="nearest"
    )
    np.testing.assert_allclose(deltas(values, width=width), expected, atol=1e-12)


def test_numbers_of_librosa():
    # librosa 0.11.0 in float64: filters.mel, stft with zeros around, feature.mfcc and delta.
    @jax.jit
    def compute(signal):
        power = audio.power_spectrogram(signal, SIZE, HOP)
        bank = audio.mel_filter_bank(FILTERS, SIZE, RATE, low=100.0, high=3900.0)
        slaney = audio.mel_filter_bank(
            FILTERS, SIZE, RATE, low=100.0, high=3900.0, scale="slaney", norm="slaney"
        )
        log_mel = audio.log_mel(power, bank)
        coefficients = audio.mfcc(log_mel, 5)
        return bank, slaney, log_mel, coefficients, audio.deltas(coefficients)

    bank, slaney, log_mel, coefficients, slopes = map(
        np.asarray, compute(chirp().astype(np.float32))
    )
    np.testing.assert_allclose(bank[3:8, 1], GOLDEN["htk"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(slaney[20:25, 6], GOLDEN["slaney"], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(log_mel[8, ::2], GOLDEN["log_mel"], rtol=1e-5)
    np.testing.assert_allclose(coefficients[8], GOLDEN["mfcc"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(slopes[8], GOLDEN["deltas"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
@pytest.mark.parametrize("norm", [None, "slaney"])
def test_features_are_those_of_librosa(scale, norm, x64):
    librosa = pytest.importorskip("librosa")
    limits = {"low": 100.0, "high": 3900.0}
    bank = audio.mel_filter_bank(FILTERS, SIZE, RATE, scale=scale, norm=norm, **limits)
    expected = librosa.filters.mel(
        sr=RATE, n_fft=SIZE, n_mels=FILTERS, fmin=100.0, fmax=3900.0, htk=scale == "htk", norm=norm,
        dtype=np.float64,
    )  # fmt: skip
    np.testing.assert_allclose(bank.T, expected, atol=1e-10)
    spectrum = librosa.stft(chirp(), n_fft=SIZE, hop_length=HOP, pad_mode="constant")
    energies = np.log(np.maximum(1e-10, expected @ np.abs(spectrum) ** 2))
    coefficients = librosa.feature.mfcc(S=energies, n_mfcc=5)
    log_mel = audio.log_mel(audio.power_spectrogram(jnp.asarray(chirp()), SIZE, HOP), bank)
    np.testing.assert_allclose(log_mel.T, energies, rtol=1e-9)
    np.testing.assert_allclose(audio.mfcc(log_mel, 5).T, coefficients, atol=1e-9)
    expected = librosa.feature.delta(coefficients, width=5, mode="nearest")
    np.testing.assert_allclose(audio.deltas(audio.mfcc(log_mel, 5)).T, expected, atol=1e-9)


@pytest.mark.parametrize("padding", ["valid", "center"])
def test_padding_of_recordings_changes_nothing(padding, x64):
    lengths = [400, 0, 131, 40, 64, 88]
    values = np.full((6, 400), np.nan)
    for row, length in zip(values, lengths, strict=True):
        row[:length] = chirp()[:length]

    def sum_of_squares(values):
        outputs = features(jn.Sequences(values, jnp.array(lengths)), padding=padding)
        return (outputs.values**2).sum(), (outputs, nn.time_mask(outputs))

    run = jax.jit(jax.grad(sum_of_squares, has_aux=True))
    gradient, (outputs, mask) = jax.device_get(run(values))
    assert outputs.length[1] == 0
    assert not outputs.values[~mask].any()
    for row, length in zip(gradient, lengths, strict=True):
        assert np.isfinite(row).all() and not row[length:].any()
    alone = compiled_features(chirp()[:131], padding=padding)
    assert len(alone) == outputs.length[2]
    np.testing.assert_allclose(outputs.values[2, : len(alone)], alone, atol=1e-8)


def test_leading_axes_are_batch():
    signals = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 200)), jnp.float32)
    lengths = jnp.array([[200, 120, 64]] * 2)
    in_batch = compiled_features(jn.Sequences(signals, lengths))
    by_one = jax.jit(jax.vmap(features))(jn.Sequences(signals, lengths))
    np.testing.assert_allclose(by_one.values, in_batch.values, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(by_one.length, in_batch.length)


def test_gradients(x64):
    # Noise has energy in every filter: logarithms near 0 are too steep for differences.
    signal = jnp.asarray(np.random.default_rng(0).normal(size=136))
    check_grads(compiled_features, (signal,), order=1, modes=["rev"], rtol=1e-4)


def test_normalized_features_have_mean_0_and_deviation_1():
    values = np.random.default_rng(0).normal(3.0, 2.0, (2, 9, 4)).astype(np.float32)

    @jax.jit
    def compute(values):
        sequences = jn.Sequences(values, jnp.array([9, 4]))
        centered = audio.normalize_over_time(values, scale=False)
        return audio.normalize_over_time(sequences).values, centered

    normalized, centered = compute(values)
    part = np.asarray(normalized)[1, :4]
    np.testing.assert_allclose(part.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(part.std(0), 1, atol=1e-4)
    np.testing.assert_allclose(centered, values - values.mean(1, keepdims=True), atol=1e-6)


@pytest.fixture(scope="module")
def masked() -> np.ndarray:
    network = audio.spec_augment(
        num_time_masks=1, max_time=6, num_frequency_masks=1, max_frequency=3, max_fraction=0.5
    )
    sequences = jn.Sequences(np.ones((300, 12, 5), "f4"), np.tile([12, 4, 0], 100))
    outputs = jax.jit(network.apply)({}, sequences, key=jax.random.key(0))
    return np.asarray(outputs.values).reshape(100, 3, 12, 5)


def test_masks_are_blocks_of_at_most_the_widths(masked):
    # A frame is masked where all of its features are; the frequency mask leaves some.
    in_time = ~masked[:, 0].any(axis=2)
    widths = in_time.sum(1)
    assert set(widths) == set(range(7))
    # Uniform over 0 to 6: the mean is 3, with a standard error of 0.2.
    assert abs(widths.mean() - 3) < 0.8
    assert (np.abs(np.diff(in_time.astype(int), axis=1)).sum(1) <= 2).all()
    assert set((~masked[:, 0].any(axis=1)).sum(1)) == {0, 1, 2, 3}
    assert in_time[:, 0].any() and in_time[:, -1].any()


def test_masks_respect_the_length(masked):
    assert not masked[:, 1, 4:].any() and not masked[:, 2].any()
    assert set((~masked[:, 1, :4].any(axis=2)).sum(1)) == {0, 1, 2}


def test_without_a_key_spec_augment_is_the_identity():
    x = jnp.ones((2, 5, 3))
    np.testing.assert_array_equal(audio.spec_augment().apply({}, x), x)


def test_without_a_key_random_resample_is_resample():
    recordings = jn.Sequences(
        np.arange(24, dtype=np.float32).reshape(2, 6, 2), np.array([6, 3], np.int32)
    )
    network = audio.random_resample(4, max_shift=0.3, max_warp=0.9)
    expected = jax.jit(nn.resample(4).apply)({}, recordings)
    np.testing.assert_array_equal(jax.jit(network.apply)({}, recordings), expected)
    # With ranges of 0 only the ends differ, which fade into zeros.
    still = jax.jit(audio.random_resample(3).apply)({}, recordings, key=jax.random.key(0))
    np.testing.assert_allclose(still, jax.jit(nn.resample(3).apply)({}, recordings), atol=1e-6)


@pytest.fixture(scope="module")
def stretched() -> np.ndarray:
    """The times that steps come from: values are times, 1 at the first frame of 40."""
    times = np.arange(1, 49, dtype=np.float32)[:, None]
    recordings = jn.Sequences(np.tile(times, (200, 1, 1)), np.full(200, 40, np.int32))
    network = audio.random_resample(10, max_shift=0.2, max_warp=0.5)
    return np.asarray(jax.jit(network.apply)({}, recordings, key=jax.random.key(0)))[..., 0]


def test_resampled_ends_lie_within_the_shift(stretched):
    # Of 40 frames, a part of 24 to 56: a first step up to 4.8 + 2 * 1.5 frames behind the begin.
    assert stretched[:, 0].max() > 7 and stretched[:, 0].min() == 0
    assert stretched.max() <= 40 and (stretched[:, -1] == 0).any()
    middle = stretched[:, 5]
    assert 8 < middle.min() < 18 and 26 < middle.max() < 37


def test_resampled_steps_stay_in_order(stretched):
    inside = np.where(stretched > 0, stretched, np.nan)
    differences = np.diff(inside, axis=1)
    assert np.nanmin(differences) > -40 and (differences[:, 3:5] > 0).all()


def test_a_random_part_ignores_what_lies_beyond_the_length(key):
    values = np.ones((2, 6, 2), np.float32)
    values[1, 3:] = np.nan
    network = audio.random_resample(4, max_shift=0.4, max_warp=0.9)
    outputs = jax.jit(network.apply)({}, jn.Sequences(values, np.array([6, 3])), key=key)
    assert np.isfinite(outputs).all()


def test_the_range_is_limited_below_the_largest_of_the_recording():
    values = jnp.array([[[0.0], [-3.0], [-9.0], [jnp.nan]], [[5.0], [jnp.nan]] + [[jnp.nan]] * 2])
    limited = limit_range(jn.Sequences(values, jnp.array([3, 1])), 4.0)
    np.testing.assert_array_equal(
        np.asarray(limited.values)[..., 0], [[0, -3, -4, 0], [5, 0, 0, 0]]
    )


def test_silence_is_what_is_before_the_first_and_behind_the_last_loud_frame():
    loud = np.array(
        [[-9.0, -8.0, 0.0, -9.0, -2.0, -9.0], [-5.0, -1.0, -7.0, 9.0, 9.0, np.nan]], np.float32
    )
    trimmed = trim_silence(jn.Sequences(loud[..., None], np.array([6, 3])), 5.0)
    expected = [[-8, 0, -9, -2, -9, 0], [-5, -1, -7, 0, 0, 0]]
    np.testing.assert_array_equal(np.asarray(trimmed.values)[..., 0], expected)
    assert trimmed.length.tolist() == [5, 3]
    none = trim_silence(jn.Sequences(loud[..., None], np.array([0, 1])), 5.0, margin=2)
    assert none.length.tolist() == [0, 1]


def rejected():
    bank = audio.mel_filter_bank(4, 64, RATE)
    return {
        "frame: padding": lambda: audio.frame(jnp.ones(9), 4, 2, padding="same"),
        "frame: hop must be at least 1": lambda: audio.frame(jnp.ones(9), 4, 0),
        "at least one frame of 4 samples": lambda: audio.frame(jnp.ones(3), 4, 2),
        "one axis more than their lengths": lambda: audio.frame(
            jn.Sequences(jnp.ones((2, 9, 1)), jnp.array([9, 9])), 4, 2
        ),
        "divide 16-bit samples by 32768": lambda: audio.stft(jnp.arange(99), 32, 8),
        "at least 32, found 16": lambda: audio.stft(jnp.ones(99), 32, 8, fft_size=16),
        "scipy.signal.get_window": lambda: audio.stft(jnp.ones(99), 32, 8, window="hat"),
        "one weight for each of 32": lambda: audio.stft(jnp.ones(99), 32, 8, window=jnp.ones(31)),
        "lies between two of 33 bins": lambda: audio.mel_filter_bank(40, 64, RATE),
        "high must lie in": lambda: audio.mel_filter_bank(4, 64, RATE, high=4001.0),
        "low must lie in": lambda: audio.mel_filter_bank(4, 64, RATE, low=900.0, high=800.0),
        "norm must be": lambda: audio.mel_filter_bank(4, 64, RATE, norm="area"),
        "scale must be one of": lambda: audio.hz_to_mel(100.0, scale="bark"),
        "both need the same fft_size": lambda: audio.log_mel(jnp.ones((7, 17)), bank),
        "floor must be greater": lambda: audio.log_mel(jnp.ones((7, 33)), bank, floor=0.0),
        "between 1 and 8, found 9": lambda: audio.mfcc(jnp.ones((7, 8)), 9),
        "time and dim last": lambda: audio.deltas(jnp.ones(7)),
        "width must be at least 1": lambda: audio.deltas(jnp.ones((7, 8)), width=0),
        "epsilon must not be negative": lambda: audio.normalize_over_time(
            jnp.ones((7, 8)), epsilon=-1.0
        ),
        "max_fraction must lie in": lambda: audio.spec_augment(max_fraction=1.5),
        "width must be greater than 0": lambda: audio.limit_range(jnp.ones((7, 8)), 0.0),
        "max_shift must lie in": lambda: audio.random_resample(4, max_shift=0.5),
        "max_warp must lie in": lambda: audio.random_resample(4, max_warp=1.0),
        "num_steps must be at least 1": lambda: audio.random_resample(0),
        "max_time must be at least 0": lambda: audio.spec_augment(max_time=-1),
    }


@pytest.mark.parametrize("message", rejected())
def test_wrong_arguments_are_named(message, as_users_run):
    with pytest.raises(ValueError, match=message):
        rejected()[message]()
