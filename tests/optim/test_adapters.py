"""Optimizers as transformations of learners: which of their parameters are updated."""

import optax

from jaxnet.optim.adapters import update_params


def test_both_weights_of_lookahead_are_updated():
    pair = optax.LookaheadParams({"a": 1, "b": 2}, {"a": 3, "b": 4})
    updated = update_params(pair, lambda params: params | {"b": 5})
    assert updated == optax.LookaheadParams({"a": 1, "b": 5}, {"a": 3, "b": 5})
