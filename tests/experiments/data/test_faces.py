"""The Olivetti faces, from a file of the same layout, since the original may be absent."""

import hashlib

import numpy as np
import pytest
import scipy.io

from experiments.data import load
from experiments.data.named import faces


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder whose file holds 400 images, each of one gray with one white pixel."""
    pixels = np.zeros((64, 64, 400), np.uint8)
    pixels[:] = np.arange(400) // 2
    pixels[5, 0] = 255
    path = tmp_path / "olivetti-faces" / "olivettifaces.mat"
    path.parent.mkdir()
    scipy.io.savemat(path, {"faces": pixels.reshape(4096, 400, order="F")})
    monkeypatch.setattr(faces, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return tmp_path


def test_ten_images_of_each_of_forty_people(folder):
    dataset = load("olivetti_faces", data_dir=folder)
    assert dataset.x.shape == (400, 64, 64, 1)
    assert (dataset.x.min(), dataset.x.max()) == (0, 1)
    assert np.bincount(dataset.y).tolist() == [10] * 40
    assert (dataset.x[:, 5, 0] == 1).all(), "rows are rows"
    np.testing.assert_allclose(dataset.x[:, 0, 0, 0], np.arange(400) // 2 / 255, atol=1e-6)


def test_another_file_is_rejected(folder):
    path = folder / "olivetti-faces" / "olivettifaces.mat"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"olivettifaces.mat: the file has SHA-256 .* expected"):
        load("olivetti_faces", data_dir=folder)
