"""WAV files of users: classes, groups, formats, and what is wrong with a file."""

import dataclasses
import io
import struct
import zipfile

import numpy as np
import pytest
from scipy.io import wavfile

from experiments.data.named import fsdd
from experiments.data.new_rows import format_content, read_rows, restore_format
from experiments.data.recordings.folder import classify_files, find_wav_files
from experiments.data.recordings.load import load_recordings
from experiments.data.recordings.recording_format import RecordingFormat
from experiments.data.recordings.wav import read_wav, read_wav_bytes
from jaxnet.typing import Sequences

TONE = np.sin(np.arange(1200) * 0.3)
FORMAT = dataclasses.replace(
    RecordingFormat.for_rate(8000, num_filters=8), max_range=None, trim=None, normalization="none"
)


def wav(samples: np.ndarray, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    wavfile.write(buffer, rate, samples)
    return buffer.getvalue()


def pcm16(signal: np.ndarray = TONE) -> np.ndarray:
    return np.round(signal * 32767).astype(np.int16)


def pcm24() -> bytes:
    values = np.round(TONE * (2**23 - 1)).astype("<i4")
    data = values.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1,
                         8000, 24_000, 3, 24, b"data", len(data))  # fmt: skip
    return header + data


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (wav(np.round(TONE * 127 + 128).astype(np.uint8)), 2**-6),
        (wav(pcm16()), 2**-14),
        (pcm24(), 2**-22),
        (wav(np.round(TONE * (2**31 - 1)).astype(np.int32)), 1e-7),
        (wav(TONE.astype(np.float32)), 1e-7),
        (wav(TONE), 1e-7),
    ],
)
def test_samples_of_all_encodings_are_alike(content, error):
    recording = read_wav_bytes(content, "tone.wav")
    assert recording.samples.dtype == np.float32
    assert (recording.sample_rate, recording.num_channels) == (8000, 1)
    np.testing.assert_allclose(recording.samples, TONE, atol=error)


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.stack([pcm16(), pcm16(0 * TONE)], axis=1)))
    recording = read_wav(path)
    assert recording.num_channels == 2
    np.testing.assert_allclose(recording.samples, TONE / 2, atol=1e-4)
    assert FORMAT.load(path).notes == ["channels averaged: 1 recordings (a.wav)"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"ID3 and music of MPEG", "not a WAV file"),
        (wav(pcm16())[:30], "ends too early|not a WAV file"),
        (wav(pcm16())[:1000], "truncated"),
        (wav(pcm16(TONE[:0])), "found 0 samples"),
        (wav(pcm16(0 * TONE)), "silent: all 1200 samples are 0"),
        (wav(pcm16(0 * TONE + 0.5)), "silent"),
        (wav(np.array([0.0, np.nan, 1.0])), "sample 1 is not a finite number"),
        (wav(pcm16())[:20] + b"\x02\x00" + wav(pcm16())[22:], "not a WAV file that can be read"),
    ],
)
def test_damaged_and_silent_files_are_named(content, message):
    with pytest.raises(ValueError, match=rf"a\.wav: .*({message})"):
        read_wav_bytes(content, "a.wav")


def write(folder, *names, rate=8000, signal=TONE):
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wav(pcm16(signal * (1 - 0.1 * index)), rate))


@pytest.mark.parametrize(
    ("names", "classes", "groups"),
    [
        (["no/1.wav", "yes/1.WAV"], ["no", "yes"], ["", ""]),
        (["no/ann/1.wav", "yes/bob/1.wav"], ["no", "yes"], ["ann", "bob"]),
        (["no_1.wav", "yes_1.wav"], ["no", "yes"], ["", ""]),
        (["0_ann_1.wav", "1_bob_1.wav"], ["0", "1"], ["ann", "bob"]),
        (["0_ann_1.wav", "1_1.wav", ".hidden.wav"], ["0", "1"], ["", ""]),
    ],
)
def test_places_or_names_say_class_and_group(tmp_path, names, classes, groups):
    write(tmp_path, *names)
    (tmp_path / "notes.txt").write_text("not a recording")
    files = classify_files(tmp_path)
    assert [file.class_name for file in files] == classes
    assert [file.group for file in files] == groups


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["no/1.wav", "yes_1.wav"], "different depths"),
        (["no/ann/1.wav", "yes/1.wav"], "different depths"),
        (["no/ann/1/1.wav", "yes/ann/1/1.wav"], "too deep"),
        (["no.wav", "yes_1.wav"], r"'no\.wav' does not begin with a class"),
        (["yes/1.wav", "yes/2.wav"], "at least two classes"),
        (["text"], "no file that ends in"),
    ],
)
def test_folders_that_say_no_class_are_rejected(tmp_path, names, message):
    write(tmp_path, *names)
    with pytest.raises(ValueError, match=message):
        classify_files(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    write(folder, "no/ann/1.wav", "no/bob/1.wav", "yes/ann/1.wav")
    write(folder, "yes/bob/1.wav", signal=TONE[:500])
    return folder


def test_a_folder_becomes_a_data_set_of_series(folder):
    dataset = load_recordings(folder, format_for_rate=lambda rate: FORMAT)
    assert dataset.is_series and dataset.name == folder.name
    assert dataset.class_names == ("no", "yes") and dataset.y.tolist() == [0, 0, 1, 1]
    assert dataset.groupings == {"group": ("ann", "bob", "ann", "bob")}
    assert dataset.length is not None and dataset.length.tolist() == [8, 8, 8, 2]
    assert dataset.x.shape == (4, 8, 8) and not dataset.x[3, 2:].any()
    # At 0.9 of the amplitude there is 0.81 of the energy, above the noise of 16 bits.
    loudest = dataset.x[0].max(axis=1) - dataset.x[1].max(axis=1)
    np.testing.assert_allclose(loudest, -2 * np.log(0.9), atol=1e-3)


def test_new_recordings_are_read_as_those_of_the_training(folder):
    dataset = load_recordings(folder, format_for_rate=lambda rate: FORMAT)
    restored = restore_format(format_content(dataset.preprocessing))
    assert restored == dataset.preprocessing
    rows = read_rows(folder, restored)
    assert rows.carried["file"][0] == "no/ann/1.wav" and rows.num_rows == 4
    assert isinstance(rows.x, Sequences)
    np.testing.assert_array_equal(rows.x.values, dataset.x)
    np.testing.assert_array_equal(rows.x.length, dataset.length)
    alone = restored.load(find_wav_files(folder)[3])
    assert alone.carried == {"file": ["1.wav"]}
    np.testing.assert_allclose(alone.x.values[0], dataset.x[3, :2], atol=1e-6)


def test_features_have_the_kinds_that_are_asked_for():
    recording_format = dataclasses.replace(
        FORMAT,
        features="mfcc",
        num_coefficients=5,
        num_deltas=2,
        normalization="mean_variance",
        max_frames=6,
    )
    features = recording_format.compute([TONE.astype(np.float32)])[0]
    assert features.shape == (8, 15) and len(recording_format.feature_names) == 15
    assert recording_format.feature_names[6] == "delta mfcc 1"
    computed = recording_format.transform([read_wav_bytes(wav(TONE), "a")], ["a"])
    assert computed.notes == ["cut after 0.112 seconds: 1 recordings (a)"]
    assert computed.row_notes == ["cut after 0.112 seconds"]
    assert computed.sequences.values.shape == (1, 6, 15)


def test_silence_at_the_ends_is_left_out():
    trimming = dataclasses.replace(FORMAT, trim=7.0)
    silence = np.random.default_rng(0).normal(size=1280) * 1e-4
    recording = np.concatenate([silence, TONE, silence]).astype(np.float32)
    features = trimming.compute([recording])[0]
    # The tone touches 11 frames, and one more is kept on each side.
    assert 10 <= len(features) <= 13 < len(FORMAT.compute([recording])[0])


def test_another_sample_rate_is_rejected_or_resampled(tmp_path):
    write(tmp_path, "no_1.wav", "yes_1.wav")
    slow = np.sin(np.arange(2400) * 0.15)
    write(tmp_path, "yes_2.wav", rate=16_000, signal=slow)
    message = r"no_1\.wav|yes_1\.wav 8000 Hz, yes_2\.wav 16000 Hz.*resample"
    with pytest.raises(ValueError, match=message):
        load_recordings(tmp_path)
    with pytest.raises(ValueError, match=r"yes_2\.wav has 16000 .* expected 8000"):
        FORMAT.load(tmp_path / "yes_2.wav")
    loaded = FORMAT.load(tmp_path, resample=True)
    assert loaded.notes == ["resampled to 8000 Hz: 1 recordings (yes_2.wav)"]
    assert loaded.row_notes == ["", "", "resampled to 8000 Hz"]
    assert isinstance(loaded.x, Sequences) and loaded.x.length.tolist() == [8, 8, 8]
    # The energy of the tone; energies near the floor may differ.
    values = np.asarray(loaded.x.values).max(axis=2)
    np.testing.assert_allclose(values[2], values[0], atol=0.05)
    assert load_recordings(tmp_path, resample=True).x.shape == (3, 8, 32)


def test_a_recording_shorter_than_a_frame_is_named():
    with pytest.raises(ValueError, match="blip has 100 samples, expected at least one frame"):
        FORMAT.transform([read_wav_bytes(wav(TONE[:100]), "blip")], ["blip"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_filters": 500}, "lies between two"),
        ({"features": "mfcc", "num_coefficients": 9}, "num_coefficients"),
        ({"max_frames": 0}, "max_frames"),
        ({"trim": 0.0}, "width must be greater than 0"),
        ({"max_range": 0.0}, "width must be greater than 0"),
        ({"floor": -1.0}, "floor"),
        ({"fft_size": 128}, "fft_size"),
    ],
)
def test_formats_that_cannot_be_computed_are_rejected(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(FORMAT, **change)


@pytest.mark.parametrize("text", ["", "{}", '{"sample_rate": "8000"}'])
def test_saved_formats_are_checked(text):
    with pytest.raises(ValueError, match="not a saved format of recordings"):
        RecordingFormat.from_json(text)


def test_the_authors_archive_is_read_without_the_sixth_speaker(tmp_path, monkeypatch):
    names = ("0_jackson_7.wav", "1_theo_0.wav", "1_theo_11.wav", "1_george_0.wav")
    path = tmp_path / "fsdd" / "v1.0.10.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("free-spoken-digit-dataset-1.0.10/README.md", "about")
        for index, name in enumerate(names):
            signal = TONE * (1 + index) / 4
            archive.writestr(f"free-spoken-digit-dataset-1.0.10/recordings/{name}",
                             wav(pcm16(signal)))  # fmt: skip
    with pytest.raises(ValueError, match="its 3 recordings have SHA-256") as error:
        fsdd.read_downloaded(path)
    monkeypatch.setattr(fsdd, "SHA256", str(error.value).split("SHA-256 ")[1][:64])
    monkeypatch.delenv("JAXNET_DATA", raising=False)
    dataset = fsdd.load_fsdd(tmp_path, FORMAT)
    assert dataset.y.tolist() == [0, 1, 1] and dataset.num_official_test == 1
    assert dataset.groupings == {"speaker": ("jackson", "theo", "theo")}


def test_a_damaged_archive_is_rejected(tmp_path):
    path = tmp_path / "v1.0.10.zip"
    path.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ValueError, match="not an intact zip archive"):
        fsdd.read_downloaded(path)
