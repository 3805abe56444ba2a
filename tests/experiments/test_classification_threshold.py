"""The threshold between two classes: that of the costs, unless another is significantly better."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.classification.evaluation import Costs, choose_threshold

choose = jax.jit(choose_threshold, static_argnums=2)


@functools.partial(jax.jit, static_argnums=(1, 2))
def draw(key, num_examples, scale):
    """Logits and labels; the logits are calibrated where the scale is 1."""
    logits = 2 * jax.random.normal(jax.random.fold_in(key, 0), (num_examples,))
    labels = jax.random.bernoulli(jax.random.fold_in(key, 1), jax.nn.sigmoid(logits))
    return scale * logits[:, None], labels.astype(jnp.int32)


@pytest.mark.parametrize("costs", [Costs(1.0, 1.0), Costs(1.0, 9.0)])
def test_calibrated_probabilities_keep_the_threshold_of_the_costs(costs):
    """By chance another one is chosen in about 5 % of the samples on each side of it."""
    keys = jax.random.split(jax.random.key(0), 400)
    choose_all = jax.jit(jax.vmap(lambda key: choose_threshold(*draw(key, 150, 1.0), costs)))
    thresholds = np.asarray(choose_all(keys))
    default = costs.false_positive / (costs.false_positive + costs.false_negative)
    assert np.mean(thresholds != np.float32(default)) < 0.12


def test_shifted_probabilities_get_another_threshold():
    logits, labels = draw(jax.random.key(0), 600, 1.0)
    threshold = choose(logits + 2, labels, Costs(1.0, 1.0))
    # The shift moves the probability 1/2 to sigmoid(2).
    assert abs(float(threshold) - 0.88) < 0.08


def test_few_examples_keep_the_threshold_of_the_costs():
    threshold = choose(jnp.array([[0.3]]), jnp.array([0]), Costs(1.0, 3.0))
    assert float(threshold) == 0.25
