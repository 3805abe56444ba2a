"""Images of users for a classification: layouts of NPZ files, pixels, labels."""

import numpy as np
import pytest

from experiments.classification import experiment as classification
from experiments.data import holds_images, load_images, load_labelled_images
from experiments.protocol import configure

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (12, 6, 5), np.uint8)
LABELS = np.arange(12) % 3


def saved(tmp_path, **arrays):
    path = tmp_path / "images.npz"
    np.savez(path, **arrays)
    return path


def test_medmnist_files_keep_their_test_part(tmp_path):
    path = saved(
        tmp_path,
        train_images=BYTES[:6],
        train_labels=LABELS[:6, None],
        val_images=BYTES[6:9],
        val_labels=LABELS[6:9, None],
        test_images=BYTES[9:],
        test_labels=LABELS[9:, None],
    )
    assert holds_images(path)
    dataset = load_labelled_images(path, label=None)
    np.testing.assert_allclose(dataset.x[..., 0], BYTES / 255, rtol=1e-6)
    assert dataset.x.dtype == np.float32
    assert dataset.y.tolist() == LABELS.tolist()
    assert (dataset.class_names, dataset.num_official_test) == (("0", "1", "2"), 3)
    np.testing.assert_array_equal(load_images(path, (6, 5, 1)), dataset.x[9:])
    with pytest.raises(ValueError, match=r"the labels of these images are train_labels, .* leave"):
        load_labelled_images(path, label="kind")


def test_keras_files_keep_their_test_part(tmp_path):
    path = saved(
        tmp_path, x_train=BYTES[:9], y_train=LABELS[:9], x_test=BYTES[9:], y_test=LABELS[9:]
    )
    config = configure(classification, data=path)
    dataset = classification.load_data(config)
    assert (len(dataset.x), dataset.num_official_test, dataset.num_classes) == (12, 3, 3)


@pytest.mark.parametrize(
    "labels", [LABELS, LABELS[:, None], np.eye(3)[LABELS], np.eye(3, dtype=bool)[LABELS]]
)
def test_labels_of_all_shapes_are_the_same_classes(labels, tmp_path):
    path = saved(tmp_path, x=BYTES, y=labels)
    dataset = load_labelled_images(path, label=None, needs_labels=True)
    assert dataset.y.tolist() == LABELS.tolist()
    assert not load_labelled_images(path, label=None).class_names


def test_channels_in_front_are_moved(tmp_path):
    x = RNG.uniform(size=(4, 3, 6, 5)).astype(np.float32)
    path = saved(tmp_path, x=x, y=np.array([0, 1, 0, 1]))
    dataset = load_labelled_images(path, label="y")
    np.testing.assert_array_equal(dataset.x, np.moveaxis(x, 1, -1))
    np.testing.assert_array_equal(load_images(path, (6, 5, 3)), dataset.x)
    np.savez(path, x=np.moveaxis(x, 1, -1))
    np.testing.assert_array_equal(load_images(path, (6, 5, 3)), dataset.x)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": BYTES}, "no array `y` of labels, found: x; name them with --label"),
        ({"x": BYTES, "y": LABELS[:5]}, r"'y' has shape \(5,\), expected one label for each of 12"),
        ({"x": BYTES, "y": np.ones((12, 3))}, "not each row has a single 1"),
        ({"x": BYTES // 16, "y": LABELS}, "uint8 from 0 to 15, .*255 may not be white"),
        ({"x": 255.0 * BYTES, "y": LABELS}, "divide them by the number that is white"),
        ({"x": BYTES[:0], "y": LABELS[:0]}, "holds no images"),
        ({"x": BYTES.astype(str), "y": LABELS}, "x holds <U3"),
        (
            {"x_train": BYTES, "y_train": LABELS, "x_test": BYTES[:, 1:], "y_test": LABELS},
            "different shapes: x_train .*, x_test",
        ),
    ],
)
def test_what_cannot_be_used_is_named(arrays, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_labelled_images(saved(tmp_path, **arrays), label=None, needs_labels=True)
