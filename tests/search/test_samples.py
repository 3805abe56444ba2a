"""Spaces and samples: values, distributions, prefixes."""

import jax
import numpy as np
import pytest
from scipy import stats

from jaxnet.search import (
    choice,
    grid_samples,
    integers,
    log_uniform,
    positions,
    random_samples,
    sobol_samples,
    uniform,
)

SPACE = {
    "rate": log_uniform(1e-4, 1e-1),
    "dropout": uniform(0, 0.5),
    "layers": integers(1, 3),
    "name": choice(["adam", "sgd"]),
}


@pytest.mark.parametrize("sample", [random_samples, sobol_samples])
def test_the_first_samples_of_a_larger_number_are_the_same(sample):
    many = sample(SPACE, 64, seed=3)
    for number in (1, 5, 32, 33):
        assert sample(SPACE, number, seed=3) == many[:number]
    assert sample(SPACE, 64, seed=4) != many
    key = jax.random.key(3)
    assert sample(SPACE, 5, seed=key) == sample(SPACE, 9, seed=key)[:5]
    assert sample(SPACE, 5, seed=key) != sample(SPACE, 5, seed=jax.random.key(4))


def test_random_samples_have_the_distributions_of_their_dimensions():
    samples = random_samples(SPACE, 2000, seed=0)
    rates = np.log10([sample["rate"] for sample in samples])
    assert stats.kstest(rates, stats.uniform(-4, 3).cdf).pvalue > 0.01
    dropouts = [sample["dropout"] for sample in samples]
    assert stats.kstest(dropouts, stats.uniform(0, 0.5).cdf).pvalue > 0.01
    for name, values in (("layers", [1, 2, 3]), ("name", ["adam", "sgd"])):
        counts = [sum(sample[name] == value for sample in samples) for value in values]
        assert sum(counts) == 2000
        assert stats.chisquare(counts).pvalue > 0.01


def test_a_sobol_sequence_is_even_in_each_interval():
    # Each of 2^k intervals of equal probability holds one of the first 2^k points.
    samples = sobol_samples(SPACE, 64, seed=1)
    for name in ("rate", "dropout"):
        places = [int(64 * SPACE[name].position(sample[name])) for sample in samples]
        assert sorted(places) == list(range(64))
    assert sum(sample["name"] == "adam" for sample in samples) == 32


@pytest.mark.parametrize("name", SPACE)
def test_the_position_of_a_value_gives_it_back(name):
    dimension = SPACE[name]
    for position in np.linspace(0, 1, 23, endpoint=False):
        value = dimension.value(float(position))
        again = dimension.value(dimension.position(value))
        if not dimension.is_continuous:
            assert again == value
        else:
            assert again == pytest.approx(value, rel=1e-9)
            assert dimension.low <= value <= dimension.high
            assert dimension.position(value) == pytest.approx(position, abs=1e-9)
    last = dimension.value(float(np.nextafter(1, 0)))
    assert last == dimension.spread(100)[-1] or last == pytest.approx(dimension.high)


def test_positions_are_rows_of_numbers():
    samples = [{"rate": 1e-4, "dropout": 0.5, "layers": 2, "name": "sgd"}]
    np.testing.assert_allclose(positions(SPACE, samples), [[0, 1, 0.5, 0.75]])


def test_a_grid_has_all_combinations():
    grid = grid_samples(SPACE, 3)
    assert len(grid) == 3 * 3 * 3 * 2
    assert len({tuple(sample.values()) for sample in grid}) == len(grid)
    assert [sample["rate"] for sample in grid[:: 3 * 3 * 2]] == pytest.approx([1e-4, 10**-2.5, 0.1])
    assert integers(1, 100).spread(3) == [1, 50, 100]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: uniform(1, 1), "uniform: high must be above low, 1, found 1"),
        (lambda: uniform(0, float("inf")), "uniform: high must be finite"),
        (lambda: log_uniform(-1, 1), "log_uniform: low must be greater than 0"),
        (lambda: choice([]), "choice: values must be at least one"),
        (lambda: choice([1, 1]), r"all different, found \(1, 1\)"),
        (lambda: random_samples({}, 3, seed=0), "space must have at least one setting"),
        (lambda: sobol_samples(SPACE, 0, seed=0), "num_samples must be at least 1, found 0"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(ValueError, match=message):
        make()
