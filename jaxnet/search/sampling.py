"""Samples of a space: random, of a Sobol sequence, and all of a grid."""

import itertools
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key
from scipy.stats import qmc

from jaxnet._checks import require_positive
from jaxnet._global_arrays import is_key
from jaxnet.search.space import Space, require_space

Sample = dict[str, Any]
"""The value of each setting, by its name."""


def random_samples(space: Space, num_samples: int, *, seed: int | Key[Array, ""]) -> list[Sample]:
    """Independent samples: random search, Bergstra and Bengio (2012).

    The first samples of a larger number are the same.

    Args:
        space: the space.
        num_samples: number of samples.
        seed: an integer of at least 0, the seed of `numpy.random.default_rng`; or a JAX key, whose
            `jax.random.bits(key, (4,))` are that seed.

    Returns:
        The samples.

    Raises:
        TypeError: a space of other values than dimensions.
        ValueError: a space without dimensions, a number below 1.

    >>> from jaxnet.search import integers, log_uniform
    >>> space = {"rate": log_uniform(1e-4, 1e-1), "width": integers(8, 64)}
    >>> few, many = (random_samples(space, num, seed=0) for num in (2, 5))
    >>> few == many[:2], sorted(few[0])
    (True, ['rate', 'width'])
    """
    require_space("random_samples", space)
    require_positive("random_samples", num_samples=num_samples)
    return _at(space, _generator(seed).random((num_samples, len(space))))


def sobol_samples(space: Space, num_samples: int, *, seed: int | Key[Array, ""]) -> list[Sample]:
    """Samples of a scrambled Sobol sequence, which cover the space more evenly than random ones.

    Sobol (1967), scrambled as in Owen (1998), by `scipy.stats.qmc.Sobol`. The first samples of a
    larger number are the same; powers of two cover the space best.

    Args:
        space: the space.
        num_samples: number of samples, at most 2^30.
        seed: as in `random_samples`; it decides the scrambling.

    Returns:
        The samples.

    Raises:
        TypeError: a space of other values than dimensions.
        ValueError: a space without dimensions, a number below 1.

    >>> from jaxnet.search import uniform
    >>> samples = sobol_samples({"rate": uniform(0, 1)}, 4, seed=0)
    >>> sorted(int(4 * sample["rate"]) for sample in samples)
    [0, 1, 2, 3]
    """
    require_space("sobol_samples", space)
    require_positive("sobol_samples", num_samples=num_samples)
    sequence = qmc.Sobol(len(space), scramble=True, rng=_generator(seed))
    # The whole power of two: any other number is a warning.
    points = sequence.random_base2((num_samples - 1).bit_length())
    return _at(space, points[:num_samples])


def grid_samples(space: Space, num_values: int) -> list[Sample]:
    """All combinations of values at equal distances, the last setting first to change.

    Args:
        space: the space.
        num_values: values of each setting, as in `Dimension.spread`.

    Returns:
        The samples.

    Raises:
        TypeError: a space of other values than dimensions.
        ValueError: a space without dimensions, a number below 1.

    >>> from jaxnet.search import choice, uniform
    >>> grid_samples({"dropout": uniform(0, 0.5), "width": choice([8, 16])}, 2)[1]
    {'dropout': 0.0, 'width': 16}
    """
    require_space("grid_samples", space)
    require_positive("grid_samples", num_values=num_values)
    values = [dimension.spread(num_values) for dimension in space.values()]
    return [dict(zip(space, each, strict=True)) for each in itertools.product(*values)]


def _generator(seed: int | Array) -> np.random.Generator:
    if isinstance(seed, jax.Array) and is_key(seed):
        return np.random.default_rng(np.asarray(jax.random.bits(seed, (4,))).tolist())
    return np.random.default_rng(seed)


def _at(space: Space, points: np.ndarray) -> list[Sample]:
    return [
        {
            name: each.value(float(position))
            for (name, each), position in zip(space.items(), point, strict=True)
        }
        for point in points
    ]
