"""Nearest neighbors against scikit-learn, sorting, and a faiss that is not there."""

import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from sklearn.neighbors import NearestNeighbors

from jaxnet.neighbors import nearest_neighbors


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).normal(size=(150, 7)) + 3


def single(values):
    """Numbers of NumPy in single precision: nothing is compiled for it."""
    return jax.device_put(np.asarray(values, np.float32))


def brute(x, queries, k):
    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x).kneighbors(queries)


@pytest.mark.parametrize("block_size", [16, 256])
def test_equals_scikit_learn(points, block_size):
    queries, x = single(points[:40] + 0.1), single(points)
    neighbors = nearest_neighbors(queries, x, 5, block_size=block_size)
    distances, indices = brute(points, points[:40] + 0.1, 5)
    np.testing.assert_allclose(neighbors.distances, distances, rtol=1e-5)
    np.testing.assert_array_equal(neighbors.indices, indices)
    assert neighbors.indices.dtype == jnp.int32


def test_each_example_may_be_left_out_of_its_own_neighbors(points):
    x = single(points)
    everyone = jax.device_put(np.arange(150, dtype=np.int32))
    neighbors = nearest_neighbors(x, x, 5, exclude=everyone, block_size=64)
    distances, indices = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(points).kneighbors()
    np.testing.assert_allclose(neighbors.distances, distances, rtol=1e-5)
    np.testing.assert_array_equal(neighbors.indices, indices)
    # Some queries exclude something and others nothing; all but one of all examples.
    exclude = jax.device_put(np.array([0, -1, 3], np.int32))
    few = single(points[:3]), single(points[:4])
    neighbors = jax.device_get(nearest_neighbors(*few, 3, exclude=exclude))
    assert sorted(neighbors.indices[0].tolist()) == [1, 2, 3]
    assert neighbors.indices[1, 0] == 1 and neighbors.distances[1, 0] == 0
    assert sorted(neighbors.indices[2].tolist()) == [0, 1, 2]
    assert np.isfinite(np.asarray(neighbors.distances)).all()


def test_of_equal_distances_the_lower_index_comes_first():
    # A lattice whose points occur four times each, far from zero: nearly all distances are tied.
    lattice = np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2)
    x = np.tile(lattice, (4, 1))[np.random.default_rng(0).permutation(100)] + 1000.0
    neighbors = nearest_neighbors(single(x), single(x), 4)
    squares = ((x[:, None] - x) ** 2).sum(axis=-1)
    expected = np.argsort(squares, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(neighbors.indices, expected)
    np.testing.assert_array_equal(neighbors.distances, np.zeros((100, 4)))
    # Distances far below the rounding of a matrix product of such data.
    close = single([[1000.0], [1000.25], [1000.5625], [-1000.0]])
    neighbors = jax.device_get(nearest_neighbors(close, close, 3))
    np.testing.assert_array_equal(neighbors.distances[0], [0, 0.25, 0.5625])
    np.testing.assert_array_equal(neighbors.indices[2], [2, 1, 0])


def test_cosine_similarity_of_rows_of_length_one(points):
    rows = points / np.linalg.norm(points, axis=1, keepdims=True)
    neighbors = jax.device_get(nearest_neighbors(single(rows[:40]), single(rows), 5))
    similarities = np.sort(rows[:40] @ rows.T, axis=1)[:, :-6:-1]
    np.testing.assert_allclose(1 - neighbors.distances**2 / 2, similarities, atol=1e-6)


def test_distances_have_gradients(x64, points):
    x, queries = points[:30], points[:4]

    @jax.jit
    def distances(queries, x):
        return nearest_neighbors(queries, x, 3).distances

    check_grads(distances, (queries + 0.3, x), order=1, modes=["rev"])
    # Zero where a query is an example, not NaN.
    gradient = jax.jit(jax.grad(lambda queries: distances(queries, x)[:, 0].sum()))(queries)
    np.testing.assert_array_equal(gradient, np.zeros((4, 7)))


class FlatIndex:
    """What is used of `faiss.IndexFlatL2`, in NumPy."""

    def __init__(self, dim):
        self.dim = dim

    def add(self, rows):
        assert rows.dtype == np.float32 and rows.flags.c_contiguous and rows.shape[1] == self.dim
        self.rows = rows

    def search(self, queries, k):
        assert queries.dtype == np.float32 and queries.flags.c_contiguous
        squares = ((queries[:, None] - self.rows) ** 2).sum(axis=-1)
        # A flat index promises no order of ties.
        indices = np.argsort(-squares[:, ::-1], axis=1, kind="stable")[:, ::-1][:, :k]
        indices = squares.shape[1] - 1 - indices
        return np.take_along_axis(squares, indices, axis=1), indices.astype(np.int64)


def test_faiss_finds_the_same(points, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", types.SimpleNamespace(IndexFlatL2=FlatIndex))
    x = single(points)
    exclude = jax.device_put(np.arange(150, dtype=np.int32))
    neighbors, expected = (
        nearest_neighbors(x, x, 5, exclude=exclude, block_size=64, backend=backend)
        for backend in ("faiss", "jax")
    )
    np.testing.assert_array_equal(neighbors.indices, expected.indices)
    np.testing.assert_allclose(neighbors.distances, expected.distances, rtol=1e-6)
    assert neighbors.indices.dtype == expected.indices.dtype
    with pytest.raises(ValueError, match="faiss works on arrays on the host"):
        jax.jit(lambda x: nearest_neighbors(x, x, 5, backend="faiss"))(x)


def test_faiss_that_is_not_installed_and_other_backends(points, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    x = single(points)
    with pytest.raises(ImportError, match="pip install faiss-cpu"):
        nearest_neighbors(x, x, 5, backend="faiss")
    with pytest.raises(ValueError, match="one of jax, faiss, found 'annoy'"):
        nearest_neighbors(x, x, 5, backend="annoy")


@pytest.mark.parametrize(
    ("queries", "x", "k", "options", "message"),
    [
        ((2, 3), (4, 3), 0, {}, "k must lie between 1 and 4, the number of examples, found 0"),
        ((2, 3), (4, 3), 5, {}, "found 5"),
        ((4, 3), (4, 3), 4, {"exclude": jnp.arange(4)}, "between 1 and 3, .* excluded one, found"),
        ((2, 3), (4, 2), 1, {}, "queries have 3 dimensions and x has 2"),
        ((2, 3), (4, 3, 1), 1, {}, r"x must hold .* shape \(4, 3, 1\); flatten"),
        ((0, 3), (4, 3), 1, {}, "queries must hold at least one row"),
        ((2, 3), (4, 3), 1, {"exclude": jnp.arange(3)}, r"each of 2 queries, found shape \(3,\)"),
        ((2, 3), (4, 3), 1, {"exclude": jnp.array([0, 4])}, "from 0 to 3, .* found 0 to 4"),
        ((2, 3), (4, 3), 1, {"block_size": 0}, "block_size must be at least 1"),
    ],
)
def test_errors_name_the_argument(queries, x, k, options, message):
    with pytest.raises(ValueError, match=message):
        nearest_neighbors(single(np.ones(queries)), single(np.ones(x)), k, **options)


def test_numbers_that_are_not_finite():
    values = np.ones((4, 3))
    good = single(values)
    values[2, 1] = np.nan
    bad = single(values)
    with pytest.raises(ValueError, match="x must be finite, found NaN or infinity in row 2"):
        nearest_neighbors(good, bad, 1)
    with pytest.raises(ValueError, match="queries must be finite"):
        nearest_neighbors(bad, good, 1)
