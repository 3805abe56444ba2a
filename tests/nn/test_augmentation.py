"""Random affine transforms of images, against NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import ndimage

import jaxnet as jn
from jaxnet.nn.augmentation import random_affine, transform_images
from jaxnet.objectives.transforms import with_augmentation

SHAPE = (7, 9, 2)
transform = jax.jit(transform_images)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(size=(6, *SHAPE)).astype(np.float32)


def scipy_transform(image, shift, rotation, scale):
    """The same transform by SciPy; `grid-constant` fades into zero at the border, as here."""
    angle = np.deg2rad(rotation)
    # Rows point downwards, so that this turns counterclockwise as seen by the viewer.
    forward = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    backward = np.linalg.inv(forward)
    center = (np.array(image.shape[:2]) - 1) / 2
    offset = center - backward @ (center + shift)
    channels = [
        ndimage.affine_transform(plane, backward, offset, order=1, mode="grid-constant")
        for plane in np.moveaxis(image, -1, 0)
    ]
    return np.stack(channels, axis=-1)


def test_equals_scipy(images):
    generator = np.random.default_rng(1)
    shift = generator.uniform(-3, 3, (6, 2)).astype(np.float32)
    rotation = generator.uniform(-180, 180, 6).astype(np.float32)
    scale = generator.uniform(0.5, 2, 6).astype(np.float32)
    found = transform(images, shift=shift, rotation=rotation, scale=scale)
    expected = [
        scipy_transform(*each)
        for each in zip(images.astype(float), shift, rotation, scale, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected - images).max() > 0.5


def test_shifts_by_pixels_and_quarter_turns_move_pixels(images):
    shift = np.array([[2, 0], [0, -3], [-1, 4], [0, 0], [7, 0], [0, 100]], np.float32)
    still = dict(rotation=np.zeros(6, np.float32), scale=np.ones(6, np.float32))
    found = np.asarray(transform(images, shift=shift, **still))
    for image, moved, (down, right) in zip(images, found, shift.astype(int), strict=True):
        rolled = np.roll(image, (down, right), axis=(0, 1))
        rows, columns = np.arange(7) - down, np.arange(9) - right
        inside = ((rows >= 0) & (rows < 7))[:, None] & (columns >= 0) & (columns < 9)
        np.testing.assert_array_equal(moved, np.where(inside[..., None], rolled, 0))
    square, turn = images[:, :, :7], jax.jit(transform_images)
    for turns in range(1, 4):
        turned = turn(square, rotation=90.0 * turns)
        np.testing.assert_allclose(turned, np.rot90(square, turns, axes=(1, 2)), atol=2e-6)


def test_gradients(x64, images):
    image = images[0, :5, :5].astype(np.float64)

    @jax.jit
    def change(image, shift, rotation, scale):
        return transform_images(image, shift=shift, rotation=rotation, scale=scale)

    arguments = (image, np.array([0.3, -0.4]), np.array(7.0), np.array(1.07))
    check_grads(change, arguments, order=1, modes=["rev"])


def test_each_image_is_transformed_by_a_key_of_its_own(key):
    row = np.linspace(0, 1, 12, dtype=np.float32)
    bump = np.outer(np.sin(np.pi * row), np.sin(np.pi * row)) ** 2
    x = np.broadcast_to(bump[..., None], (300, 12, 12, 1))

    @jax.jit
    def apply(x, key, ranges):
        network = random_affine(
            (12, 12, 1), max_shift=ranges[0], max_rotation=ranges[1], max_scale=ranges[2]
        )
        return network.apply({}, x, key=key)

    ranges = np.array([0.1, 10.0, 0.1], np.float32)
    moved = np.asarray(apply(x, key, ranges))
    assert len(np.unique(moved.reshape(300, -1), axis=0)) == 300
    assert moved.min() >= 0 and moved.max() <= 1
    # Nothing leaves the frame, so the mass changes by the square of the scale alone.
    mass = moved.sum(axis=(1, 2, 3)) / bump.sum()
    assert 0.8 < mass.min() < 0.85 and 1.17 < mass.max() < 1.22
    assert abs(mass.mean() - 1) < 0.02
    # The centers of mass spread uniformly: a tenth of 12 pixels, over the square root of 3.
    pixels = np.arange(12) - 5.5
    center = np.einsum("nijc,i->n", moved, pixels) / moved.sum(axis=(1, 2, 3))
    assert np.abs(center).max() < 1.3 and abs(center.std() - 1.2 / 3**0.5) < 0.06
    assert (np.asarray(apply(x, jax.random.fold_in(key, 1), ranges)) != moved).any((1, 2, 3)).all()
    np.testing.assert_array_equal(apply(x, key, np.zeros(3, np.float32)), x)
    # Values stay in [0, 1] where all pixels are at its ends too, which rounding could leave.
    noise = np.random.default_rng(0).integers(2, size=x.shape).astype(np.float32)
    for extreme in (noise, np.ones_like(x)):
        changed = np.asarray(apply(extreme, key, ranges))
        assert changed.min() >= 0 and changed.max() == 1


def test_the_network_takes_vectors_and_images(key, images):
    x = jax.device_put(images)
    network = random_affine(SHAPE, max_shift=0.2, max_rotation=20.0, max_scale=0.2)
    assert network.init(key) == {} and network.apply({}, x) is x
    apply = jax.jit(lambda x, key: network.apply({}, x, key=key))
    shapes = ((6, 126), (2, 3, *SHAPE), (2, 3, 126))
    keys = jax.random.split(key, 3)

    @jax.jit
    def compute(x, keys):
        others = [network.apply({}, x.reshape(shape), key=keys[0]) for shape in shapes]
        half = network.apply({}, x.astype(jnp.bfloat16), key=keys[0])
        first = network.apply({}, x[0], key=keys[0])
        return others, first, half, jax.vmap(lambda key: network.apply({}, x, key=key))(keys)

    moved = np.asarray(apply(x, keys[0]))
    others, first, half, many = jax.device_get(compute(images, keys))
    for other, shape in zip(others, shapes, strict=True):
        assert other.shape == shape
        np.testing.assert_allclose(other.reshape(x.shape), moved, atol=1e-6)
    # What is drawn for a image does not depend on those behind it.
    np.testing.assert_allclose(first, moved[0], atol=1e-6)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(np.float32), moved, atol=0.01)
    assert many.shape == (3, *x.shape)
    np.testing.assert_allclose(many[1], apply(x, keys[1]), atol=1e-5)


def test_augmented_changes_input_and_target(key):
    seen = []

    def spy(params, batch, key):
        seen.append((batch, key))
        return jnp.sum((params["x"] - batch["x"]) ** 2), {}

    def seen_by(objective):
        """What the objective inside is given, of one program."""

        def call(batch, key):
            objective({"x": batch["x"]}, batch, key)
            return seen.pop()

        return jax.jit(call)

    affine = random_affine((4, 4, 1), max_shift=0.5)
    x = np.random.default_rng(0).uniform(size=(5, 16)).astype(np.float32)
    objective = with_augmentation(spy, affine)
    batch, inner = seen_by(objective)({"x": x, "weight": np.ones(5, np.float32)}, key)
    assert "target" not in batch and "weight" in batch and (np.asarray(batch["x"]) != x).any()
    assert jax.random.key_data(inner).tolist() != jax.random.key_data(key).tolist()
    batch, inner = seen_by(objective)({"x": x}, None)
    np.testing.assert_array_equal(batch["x"], x)
    assert inner is None
    noise = jn.nn.masking_noise(0.5)
    twice = seen_by(with_augmentation(jn.with_noise(spy, noise), affine))
    noisy = jax.device_get(twice({"x": x}, key)[0])
    assert (noisy["target"] != x).any()
    assert ((noisy["x"] == noisy["target"]) | (noisy["x"] == 0)).all()
    with pytest.raises(ValueError, match="put it outside"):
        seen_by(jn.with_noise(objective, noise))({"x": x}, key)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (8, 8)}, r"height, width and channels, each at least 1, found \[8, 8\]"),
        ({"image_shape": (8, 0, 1)}, r"found \[8, 0, 1\]; grayscale"),
        ({"max_shift": -0.1}, "max_shift must not be negative, found -0.1"),
        ({"max_rotation": float("inf")}, "max_rotation must be at least 0 and finite, found inf"),
        ({"max_scale": 1.0}, r"max_scale must lie in \[0, 1\), found 1.0"),
    ],
)
def test_errors_name_the_argument(options, message):
    with pytest.raises(ValueError, match=message):
        random_affine(**{"image_shape": (8, 8, 1)} | options)


def test_inputs_that_are_not_images(key):
    network = random_affine((8, 8, 1), max_shift=0.1)
    with pytest.raises(ValueError, match=r"shape \(5, 63\), expected .* one last axis of 64"):
        network.apply({}, jnp.ones((5, 63)), key=key)
    with pytest.raises(ValueError, match="found uint8; convert bytes with x / 255"):
        network.apply({}, jnp.ones((5, 64), jnp.uint8), key=key)
    with pytest.raises(ValueError, match="add an axis for one channel"):
        transform_images(jnp.ones((8, 8)))
