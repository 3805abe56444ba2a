"""Online learning of many series in one program, against a loop over time."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet import anomaly

LENGTHS = (14, 9)


@pytest.fixture(scope="module")
def problem():
    """A learner, its states, and two series of different lengths whose padding is NaN."""
    network = jn.mlp([3, 4, 1])
    learner = jn.gradient_learner(
        network.init, jn.regression(network), optax.sgd(0.05, momentum=0.9)
    )
    states = jax.jit(jax.vmap(learner.init))(jax.random.split(jax.random.key(0), 2))
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 14, 3)), generator.normal(size=(2, 14))
    weight = np.arange(14) < np.array(LENGTHS)[:, None]
    x, y = np.where(weight[..., None], x, np.nan), np.where(weight, y, np.nan)
    data = {"x": x, "y": y, "weight": weight}
    return network, learner, states, {k: np.asarray(v, np.float32) for k, v in data.items()}


def test_a_score_is_the_error_before_the_step(problem):
    network, learner, states, data = problem
    ends, scores = anomaly.learn_online(learner, states, data)
    assert scores.shape == (2, 14)
    ends, scores, states = jax.device_get((ends, scores, states))

    @jax.jit
    def step(state, batch):
        outputs = network.apply(state.params, batch["x"])
        return learner.step(state, batch)[0], outputs[0, 0]

    for row, length in enumerate(LENGTHS):
        state = jax.tree.map(lambda leaf, row=row: leaf[row], states)
        for tick in range(length):
            x, y = data["x"][row, tick], data["y"][row, tick]
            batch = {"x": x[None], "y": y[None], "weight": np.ones(1, np.float32)}
            state, output = step(state, batch)
            expected = (np.asarray(output) - y) ** 2
            np.testing.assert_allclose(scores[row, tick], expected, rtol=1e-4, atol=1e-6)
        kept = jax.tree.map(lambda leaf, row=row: leaf[row], ends)
        assert int(kept.step) == length
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
            kept.params,
            state.params,
        )
        assert not np.asarray(scores[row, length:]).any()


def test_padding_and_pieces_change_nothing(problem):
    _, learner, states, data = problem
    ends, scores = anomaly.learn_online(learner, states, data)
    zeros = {name: np.nan_to_num(leaf) for name, leaf in data.items()}
    state, parts = states, []
    for part in (slice(0, 7), slice(7, 14)):
        piece = {name: leaf[:, part] for name, leaf in zeros.items()}
        state, part_scores = anomaly.learn_online(learner, state, piece)
        parts.append(part_scores)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), scores)
    jax.tree.map(
        np.testing.assert_array_equal, jax.random.key_data(state.key), jax.random.key_data(ends.key)
    )
    jax.tree.map(np.testing.assert_array_equal, state.params, ends.params)


def test_a_score_may_be_an_array_of_the_state_and_the_step(problem):
    _, learner, states, data = problem

    def score(state, batch):
        return jnp.stack([state.step.astype(jnp.float32), batch["y"][0]])

    _, scores = anomaly.learn_online(learner, states, data, score=score)
    scores = np.asarray(scores)
    np.testing.assert_array_equal(scores[0, :, 0], np.arange(14))
    np.testing.assert_array_equal(scores[1, :9, 1], data["y"][1, :9])


def test_mistakes_are_named(problem):
    _, learner, states, data = problem
    with pytest.raises(ValueError, match="weight"):
        anomaly.learn_online(learner, states, {"x": data["x"], "y": data["y"]})
    with pytest.raises(ValueError, match=r"data\['y'\] has shape \(2, 13\), expected \(2, 14\)"):
        anomaly.learn_online(learner, states, data | {"y": data["y"][:, 1:]})
    with pytest.raises(ValueError, match=r"expected one number for each of \(2,\) series"):
        anomaly.learn_online(learner, states, {k: v[:1] for k, v in data.items()})


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_online_learning_lowers_for_accelerators(problem, platform):
    _, learner, states, data = problem
    function = jax.jit(lambda states: anomaly.learn_online(learner, states, data)[1])
    jax.export.export(function, platforms=[platform])(states)
