"""Laws of orders that are computed index by index: bijections, uniform, the same on the host."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxnet.training import index_shuffled, permute_indices
from jaxnet.training.permutation import NUM_ROUNDS, mixed, permuted

ORDERS = {
    "examples": index_shuffled(7),
    "blocks": index_shuffled(7, blocks=10, window=3),
    "one_window": index_shuffled(7, blocks=9, window=99),
    "whole_blocks": index_shuffled(7, blocks=10, window=1),
    "row_groups": index_shuffled(7, blocks=(5, 20, 30, 45), window=2),
}


def keys(seed, *shape):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 2**32, (NUM_ROUNDS, *shape), dtype=np.uint32)


def test_every_length_is_permuted():
    for length in [*range(1, 130), 255, 256, 257, 4097, 65537, 300_001]:
        order = permuted(np, np.arange(length), np.uint32(length), keys(length))
        assert np.array_equal(np.sort(order), np.arange(length)), length


def test_places_of_the_largest_permutation_differ():
    length = 2**31 - 1
    places = np.random.default_rng(0).integers(0, length, 100_000)
    places = np.unique(np.append(places, [0, 1, length - 2, length - 1]))
    order = permuted(np, places, np.uint32(length), keys(0))
    assert order.min() >= 0 and order.max() < length
    assert len(np.unique(order)) == len(places)
    # Spread evenly, and without relation to the place.
    assert stats.kstest(order / length, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(places, order)[0, 1]) < 0.02


@pytest.mark.parametrize("length", [3, 17, 64, 100])
def test_orders_are_uniform(length):
    """Over the keys, a place holds any number, and the difference of two places is any number."""
    runs = 40_000
    places = np.broadcast_to(np.array([0, 1, length - 1]), (runs, 3))
    order = permuted(np, places, np.uint32(length), keys(1, runs, 1))
    for column in range(3):
        counts = np.bincount(order[:, column], minlength=length)
        assert stats.chisquare(counts).pvalue > 1e-4
    difference = np.bincount((order[:, 1] - order[:, 0]) % length, minlength=length)
    assert difference[0] == 0
    assert stats.chisquare(difference[1:]).pvalue > 1e-4


def test_the_permutations_of_four_are_equally_likely():
    places = np.broadcast_to(np.arange(4), (60_000, 4))
    order = permuted(np, places, np.uint32(4), keys(2, 60_000, 1))
    _, counts = np.unique(order @ (4 ** np.arange(4)), return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-4


def test_the_hash_is_that_of_murmur3():
    """Values of fmix32, computed with Python's integers."""

    def fmix32(h):
        h ^= h >> 16
        h = h * 0x85EBCA6B % 2**32
        h ^= h >> 13
        h = h * 0xC2B2AE35 % 2**32
        return h ^ h >> 16

    values = np.array([0, 1, 2, 12345, 2**31, 2**32 - 1], np.uint32)
    assert mixed(values).tolist() == [fmix32(int(value)) for value in values]


def test_the_public_function_is_a_permutation_of_its_key():
    orders = [
        tuple(permute_indices(jax.random.key(seed), jnp.arange(50), 50).tolist())
        for seed in range(3)
    ]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len(set(orders)) == 3


@pytest.mark.parametrize("name", ORDERS)
def test_an_epoch_has_each_example_once_in_another_order(name):
    batches, key = ORDERS[name], jax.random.key(3)
    orders = []
    for epoch in range(3):
        order = batches.host_order(100, key, epoch)
        orders.append(batches.host_indices(100, order, np.arange(100)).tolist())
    assert all(sorted(order) == list(range(100)) for order in orders)
    for first, second in itertools.combinations(orders, 2):
        assert sum(a == b for a, b in zip(first, second, strict=True)) < 15
    other = batches.host_order(100, jax.random.key(4), 0)
    assert batches.host_indices(100, other, np.arange(100)).tolist() != orders[0]


@pytest.mark.parametrize("name", ORDERS)
def test_the_host_has_the_order_of_the_device(name):
    batches, key, data = ORDERS[name], jax.random.key(3), {"x": jnp.arange(100)}

    @jax.jit
    def epoch(number):
        plan = batches.plan(data, key, number)
        return jax.lax.map(lambda i: batches.take(data, plan, i)["x"], jnp.arange(14)).ravel()

    for number in (0, 5):
        order = batches.host_order(100, key, number)
        expected = batches.host_indices(100, order, np.arange(98))
        assert epoch(number).tolist() == expected.tolist()


def test_windows_hold_whole_blocks():
    batches = ORDERS["row_groups"]
    order = batches.host_order(100, jax.random.key(0), 0)
    first, second = (batches.window_blocks(order, number) for number in range(2))
    assert sorted(first + second) == [(0, 5), (5, 20), (25, 30), (55, 45)]
    indices = batches.host_indices(100, order, np.arange(100))
    size = sum(number for _, number in first)
    expected = np.concatenate([np.arange(start, start + number) for start, number in first])
    assert sorted(indices[:size]) == sorted(expected)
    assert indices[:size].tolist() != expected.tolist()


def test_mistakes_are_named():
    data = {"x": jnp.zeros(10)}
    with pytest.raises(ValueError, match=r"batch_size must lie between 1 and .* 10, found 11"):
        index_shuffled(11).num_steps(data)
    with pytest.raises(ValueError, match="the blocks hold 9 examples, and the data 10"):
        index_shuffled(2, blocks=(4, 5)).num_steps(data)
    with pytest.raises(ValueError, match="blocks must hold at least one size, found none"):
        index_shuffled(2, blocks=())
    with pytest.raises(ValueError, match="blocks must be at least 1, found 0"):
        index_shuffled(2, blocks=(3, 0))
