"""Groups of members, and population-based training: laws and right values."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet.search import (
    Evolution,
    exploit_and_explore,
    log_uniform,
    members_of,
    perturb,
    population_based_hook,
    population_learner,
    truncation_selection,
    uniform,
)
from jaxnet.training import Member, init_population

_GENERATOR = np.random.default_rng(0)
DATA = {"x": _GENERATOR.normal(size=(24, 3)).astype(np.float32)}
DATA["y"] = DATA["x"][:, 0] - DATA["x"][:, 1]
SPACE = {"rate": log_uniform(1e-3, 1.0), "dropout": uniform(0.0, 0.5)}


def build(settings):
    network = jn.mlp([3, settings["width"], 1], dropout=settings["dropout"])
    return jn.gradient_learner(network.init, jn.regression(network), optax.adam(settings["rate"]))


def members(*rates, width=4, dropout=0.1):
    return [{"width": width, "rate": rate, "dropout": dropout} for rate in rates]


KEYS = jax.random.split(jax.random.key(0), 6)


def test_the_worst_become_copies_of_the_best():
    scores = jnp.array([0.5, 0.1, 0.9, jnp.nan, 0.8, 0.7, 0.3, 0.2, 0.6, 0.4])
    select = jax.jit(truncation_selection, static_argnames="fraction")
    seen = set()
    for seed in range(20):
        sources = select(scores, jax.random.key(seed), fraction=0.2).tolist()
        # NaN and the smallest; copies of the two largest.
        assert [index for index, source in enumerate(sources) if source != index] == [1, 3]
        seen |= {sources[1], sources[3]}
    assert seen == {2, 4}
    assert select(scores, jax.random.key(0), fraction=0).tolist() == list(range(10))
    # All that failed are replaced, however many.
    failed = jnp.array([jnp.nan, 0.5, jnp.nan, jnp.nan])
    assert select(failed, jax.random.key(0), fraction=0.25).tolist() == [1] * 4


def test_settings_are_multiplied_or_drawn_again_within_their_dimensions():
    settings = {
        "rate": jnp.full(4000, 0.9),
        "dropout": jnp.full(4000, 0.2),
        "other": jnp.ones(4000),
    }
    key = jax.random.key(0)
    changed = perturb(settings, key, space=SPACE, evolution=Evolution(0.2, (0.5, 2.0), 0.0))
    values, counts = np.unique(np.asarray(changed["dropout"]), return_counts=True)
    np.testing.assert_allclose(values, [0.1, 0.4], rtol=1e-6)
    assert counts.min() > 1800
    # 1.8 is outside.
    np.testing.assert_allclose(np.unique(np.asarray(changed["rate"])), [0.45, 1.0], rtol=1e-6)
    assert bool((changed["other"] == 1).all())
    drawn = perturb(settings, key, space=SPACE, evolution=Evolution(0.2, (1.0,), 1.0))
    logarithms = np.log10(np.asarray(drawn["rate"]))
    assert logarithms.min() >= -3
    assert abs(logarithms.mean() + 1.5) < 0.1
    assert abs(float(jnp.mean(drawn["dropout"])) - 0.25) < 0.01
    same = perturb(settings, key, space=SPACE, evolution=Evolution(0.2, (1.0,), 0.0))
    assert bool((same["rate"] == settings["rate"]).all())


def test_copies_take_over_everything_but_the_key_and_the_step():
    [group] = init_population(build, members(0.01, 0.02, 0.03, 0.04), KEYS[:4]).groups
    states = group.states._replace(step=jnp.arange(4))
    scores = jnp.array([0.4, 0.3, 0.2, 0.1])
    options = {"space": {"rate": SPACE["rate"]}, "evolution": Evolution(0.25, (0.5,), 0.0)}
    explore = jax.jit(lambda *arguments: exploit_and_explore(*arguments, **options))
    new, sources = explore(states, scores, jax.random.key(0))
    assert sources.tolist() == [0, 1, 2, 0]
    for part in ("params", "optimizer_state"):
        for leaf, before in zip(
            jax.tree.leaves(getattr(new, part)), jax.tree.leaves(getattr(states, part)), strict=True
        ):
            np.testing.assert_array_equal(leaf, np.asarray(before)[np.asarray(sources)])
    np.testing.assert_allclose(new.extra.settings["rate"], [0.01, 0.02, 0.03, 0.005])
    assert bool((new.key == states.key).all())
    assert new.step.tolist() == [0, 1, 2, 3]


def score(states, data):
    """Minus the error on the training data."""
    network = jn.mlp([3, 4, 1])

    def error(params):
        return jnp.mean((network.apply(params, jnp.asarray(data["x"]))[:, 0] - data["y"]) ** 2)

    return -jax.jit(jax.vmap(error))(states.params)


def evolving(rates, fraction):
    [group] = init_population(build, members(*rates, dropout=1e-9), KEYS[: len(rates)]).groups
    learner = population_learner(group.learner, lambda key: group.states)
    hook = population_based_hook(score, space=SPACE, evolution=Evolution(fraction))
    return group, learner, hook


def test_without_exploitation_it_is_plain_training():
    _, learner, hook = evolving((0.01, 0.1, 0.2), 0.0)
    key = jax.random.key(5)
    options = {"batch_size": 8, "num_epochs": 4}
    plain, _ = jn.fit(learner, key, DATA, **options)
    state, _ = jn.fit(learner, key, DATA, hooks=((3, hook, 3),), **options)
    for leaf, expected in zip(jax.tree.leaves(state[:3]), jax.tree.leaves(plain[:3]), strict=True):
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(leaf, expected, atol=1e-6)
    # On one batch of all examples, members learn as they do alone. (A rate of 0 would leave the
    # layers of dropout out, and so change the keys of the others.)
    whole = {"batch_size": 24, "num_epochs": 5}
    state, _ = jn.fit(learner, key, DATA, **whole)
    [setting] = members(0.1, dropout=1e-9)
    alone, _ = jn.fit(build(setting), KEYS[1], DATA, **whole)
    mine = jax.tree.map(lambda leaf: leaf[1], members_of(state).params)
    for leaf, expected in zip(jax.tree.leaves(mine), jax.tree.leaves(alone.params), strict=True):
        np.testing.assert_allclose(leaf, expected, atol=1e-4)


def test_bad_settings_are_left_behind_in_one_program_and_the_same_in_pieces():
    # The last two diverge, or do not learn.
    group, learner, hook = evolving((0.02, 0.03, 0.02, 0.001, 0.001), 0.4)
    key, options = jax.random.key(5), {"batch_size": 8, "hooks": ((6, hook, 6),)}
    state, history = jax.jit(
        lambda key, data: jn.fit(learner, key, data, num_epochs=12, **options)
    )(key, DATA)
    assert bool(jnp.isfinite(history["loss"]).all())
    rates = members_of(state).extra.settings["rate"]
    assert float(rates.min()) > 0.002
    assert bool((score(members_of(state), DATA) > score(group.states, DATA).max()).all())
    run = jn.epochs(learner, learner.init(key), DATA, **options)
    for _ in range(12):
        watched, _ = next(run)
    np.testing.assert_allclose(members_of(watched).extra.settings["rate"], rates, rtol=1e-6)


def test_members_whose_loss_is_not_finite_do_not_count():
    def step(state, batch):
        loss = jnp.log(state.extra.settings["rate"])
        return state, {"loss": loss, "other": loss}

    states = jn.TrainState(
        {}, Member({"rate": jnp.array([1.0, -1.0])}, ()), (), KEYS[:2], jnp.zeros(2)
    )
    learner = population_learner(jn.Learner(build, step), lambda key: states)
    _, metrics = learner.step(learner.init(KEYS[0]), {})
    assert metrics["loss"].item() == metrics["other"].item() == 0


@pytest.mark.parametrize(
    ("space", "evolution", "message"),
    [
        (SPACE, Evolution(0.6), r"fraction must lie in \[0, 0.5\], found 0.6"),
        (SPACE, Evolution(0.2, (0.0,)), "factors must be greater than 0"),
        (SPACE, Evolution(0.2, (1.0,), 1.5), "resample_rate must lie in"),
        ({"width": jn.search.integers(1, 3)}, Evolution(), "'width' must be a real setting"),
        ({"none": uniform(0, 1)}, Evolution(), "'none' must be a real setting"),
    ],
)
def test_mistakes(space, evolution, message):
    settings = {"rate": jnp.ones(2), "dropout": jnp.ones(2)}
    states = jn.TrainState({}, Member(settings, ()), (), KEYS[:2], jnp.zeros(2))
    with pytest.raises(ValueError, match=message):
        exploit_and_explore(states, jnp.ones(2), KEYS[0], space=space, evolution=evolution)
