"""Populations: every member is what it is alone; chunks, devices and selection change nothing."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet.training import (
    Population,
    device_mesh,
    fit_population,
    init_population,
    map_members,
    member_objective,
    select_members,
    shuffled,
)
from tests.contracts.generator import quick_key
from tests.devices import needs_two_devices

CLASSES, DIM, N = 3, 6, 96
ACTIVATIONS = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}


def _optimizers(rate):
    return [optax.adam(rate), optax.sgd(rate, momentum=0.9)]


def _network(settings):
    return jn.nn.padded_mlp(
        (DIM, *settings["dims"], CLASSES),
        settings["hidden_dims"],
        activation=ACTIVATIONS[settings["activation"]],
        dropout=settings["dropout"],
    )


def _build(settings):
    network = _network(settings)
    optimizer = jn.optim.select_optimizer(
        _optimizers(settings["learning_rate"]), settings["optimizer"]
    )
    learner = jn.gradient_learner(network.init, jn.classification(network), optimizer)
    return jn.training.weight_examples(learner, settings["weight"])


def _members():
    half = np.arange(N) % 2 == 0
    return [
        {
            "dims": jn.nn.padded_sizes(sizes),
            "hidden_dims": np.array(sizes),
            "activation": activation,
            "dropout": dropout,
            "optimizer": np.int32(optimizer),
            "learning_rate": rate,
            "weight": np.where(subset, half, 1.0),
        }
        for sizes, activation, subset, optimizer, rate, dropout in [
            ((5,), "tanh", True, 0, 0.01, 0.0),
            ((5,), "tanh", False, 0, 0.02, 0.4),
            ((8,), "tanh", False, 1, 0.1, 0.4),
            ((8,), "tanh", True, 1, 0.05, 0.0),
            ((3, 9), "sigmoid", False, 0, 0.01, 0.0),
            ((3, 9), "sigmoid", False, 1, 0.1, 0.4),
        ]
    ]


def _keys(number):
    return jax.random.split(quick_key(1), number)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, DIM)).astype(np.float32)
    data = {"x": x, "y": rng.integers(0, CLASSES, N).astype(np.int32)}
    return jax.device_put(data | {"row": np.arange(N, dtype=np.int32)})


@pytest.fixture(scope="module")
def population():
    members = _members()
    return init_population(_build, members, _keys(len(members)))


ONE_EPOCH = {"num_epochs": 1, "batch_size": 16}


@pytest.fixture(scope="module")
def first(population, data):
    return fit_population(population, data, **ONE_EPOCH)


@pytest.fixture(scope="module")
def trained(first, data):
    population, history = fit_population(first[0], data, **ONE_EPOCH)
    return population, jax.tree.map(lambda *parts: np.concatenate(parts, 1), first[1], history)


def _params(population):
    """Parameters of each member, cut to its own sizes."""
    cut = {}
    for group in population.groups:
        all_params = jax.device_get(group.states.params)
        for place, index in enumerate(group.indices):
            params = jax.tree.map(lambda leaf, p=place: leaf[p], all_params)
            cut[index] = jn.nn.unpad_mlp(params, _members()[index]["hidden_dims"].tolist())
    return cut


def _assert_params_equal(found, expected, indices):
    found, expected = _params(found), _params(expected)
    assert sorted(found) == list(indices)
    for index in indices:
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found[index], expected[index]
        )


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _run_alone(dims, activation, optimizer, key, rate, dropout, data):
    network = jn.mlp(dims, activation=ACTIVATIONS[activation], dropout=dropout)
    learner = jn.gradient_learner(
        network.init, jn.classification(network), _optimizers(rate)[optimizer]
    )
    return jn.fit(learner, key, data, num_epochs=2, batch_size=16)


def _alone(settings, key, data):
    """The member without padding, selection of optimizers or other members: plain jaxnet."""
    dims = (DIM, *settings["hidden_dims"].tolist(), CLASSES)
    data = {"x": data["x"], "y": data["y"], "weight": settings["weight"].astype(np.float32)}
    static = dims, settings["activation"], int(settings["optimizer"])
    return _run_alone(*static, key, settings["learning_rate"], settings["dropout"], data)


def test_every_member_equals_the_network_trained_alone(trained, data):
    population, history = trained
    members, params = _members(), _params(population)
    assert [len(group.indices) for group in population.groups] == [4, 2]
    for index, key in enumerate(_keys(len(members))):
        state, alone = _alone(members[index], key, data)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), params[index], state.params
        )
        np.testing.assert_allclose(history["loss"][index], alone["loss"], atol=1e-5)


def test_padding_stays_zero(trained):
    population, _ = trained
    for group in population.groups:
        for place, index in enumerate(group.indices):
            size = _members()[index]["hidden_dims"][0]
            kernel = np.asarray(group.states.params["dense_0"]["kernel"])[place]
            assert np.abs(kernel[:, size:]).max(initial=0) == 0
            assert np.abs(kernel[:, :size]).min(axis=0).max() > 0


def test_chunks_change_nothing(first, population, data):
    chunked, history = fit_population(population, data, **ONE_EPOCH, chunk_size=3)
    np.testing.assert_allclose(history["loss"], first[1]["loss"], atol=1e-5)
    _assert_params_equal(chunked, first[0], range(6))


@needs_two_devices
def test_members_spread_over_two_devices(trained, population, data):
    options = {"num_epochs": 2, "batch_size": 16, "mesh": device_mesh(run=2)}
    spread, history = fit_population(population, data, **options)
    _assert_params_equal(spread, trained[0], range(6))
    np.testing.assert_allclose(history["loss"], trained[1]["loss"], atol=1e-5)


def test_a_group_trains_in_epochs_as_in_fit_population(trained, population, data):
    group = population.groups[0]
    run = jn.epochs(group.learner, group.states, data, batch_size=16)
    losses = [metrics["loss"] for _, metrics in itertools.islice(run, 2)]
    expected = trained[1]["loss"][np.array(group.indices)]
    np.testing.assert_allclose(np.stack(losses, 1), expected, atol=1e-5)


def test_an_order_that_is_shared_is_that_of_one_run(data):
    members = [{"rate": 0.1}, {"rate": 0.1}]
    network = jn.dense(DIM, CLASSES)

    def build(settings):
        learner = jn.gradient_learner(
            network.init, jn.classification(network), optax.sgd(settings["rate"])
        )
        return learner

    batches = shuffled(16, order_seed=3)
    pair = {name: data[name] for name in ("x", "y")}
    population = init_population(build, members, _keys(2))
    _, history = fit_population(population, pair, num_epochs=1, batches=batches)
    learner = build({"rate": 0.1})
    for index, key in enumerate(_keys(2)):
        _, alone = jn.fit(learner, key, pair, num_epochs=1, batches=batches)
        np.testing.assert_allclose(history["loss"][index], alone["loss"], atol=1e-5)
    other = shuffled(16, order_seed=4)

    @jax.jit
    def plan(keys):
        plans = [batches.plan(pair, key, 0) for key in keys]
        return plans, batches.plan(pair, keys[0], 1), other.plan(pair, keys[0], 0)

    plans, next_epoch, other_seed = jax.device_get(plan(_keys(2)))
    np.testing.assert_array_equal(*plans)
    assert (plans[0] != next_epoch).any() and (plans[0] != other_seed).any()


def test_validation_stops_each_member_by_its_own_loss(data):
    network = jn.dense(DIM, CLASSES)

    def build(settings):
        optimizer = optax.sgd(settings["rate"])
        return jn.gradient_learner(network.init, jn.classification(network), optimizer)

    def validation(group):
        objective = member_objective(lambda settings: jn.classification(network), group)
        return jn.Validation(objective, pair, patience=2)

    pair = {name: data[name] for name in ("x", "y")}
    members = [{"rate": 3.0}, {"rate": 0.01}]
    population = init_population(build, members, _keys(2))
    options = {"num_epochs": 8, "batch_size": 16, "validation": validation}
    population, history = fit_population(population, pair, **options)

    def losses(settings, state, data):
        return jn.evaluate(jn.classification(network), jn.evaluation_params(state), data)["loss"]

    best = map_members(losses, population, pair)
    expected = np.nanmin(history["validation_loss"], axis=1)
    np.testing.assert_allclose(best, expected, rtol=1e-5)


def test_survivors_train_on_as_before(first, trained, data):
    indices = (1, 3, 4, 5)
    survivors, _ = fit_population(select_members(first[0], indices), data, **ONE_EPOCH)
    assert survivors.indices == indices
    _assert_params_equal(survivors, trained[0], indices)
    with pytest.raises(ValueError, match=r"indices holds \[9\], .* 4 members from 1 to 5"):
        select_members(survivors, [9])


def test_mistakes_name_the_member(data):
    network = jn.dense(DIM, CLASSES)

    def build(settings):
        return jn.gradient_learner(network.init, jn.classification(network), optax.sgd(0.1))

    with pytest.raises(ValueError, match="found none"):
        init_population(build, [], _keys(1))
    with pytest.raises(ValueError, match="found 3 keys for 1 members"):
        init_population(build, [{"rate": 0.1}], _keys(3))
    with pytest.raises(ValueError, match=r"member 1 has the settings \['width'\]"):
        init_population(build, [{"rate": 0.1}, {"width": 0.1}], _keys(2))
    with pytest.raises(TypeError, match="setting 'dims' of member 0 is a list"):
        init_population(build, [{"dims": [3]}], _keys(1))
    population = init_population(build, [{"rate": 0.1}], _keys(1))
    with pytest.raises(ValueError, match="chunk_size must be at least 1"):
        fit_population(population, data, num_epochs=1, batch_size=2, chunk_size=0)
    with pytest.raises(ValueError, match="no settings before there is a state"):
        population.groups[0].learner.init(jax.random.key(0))
    with pytest.raises(ValueError, match="expected 'row' too"):
        learner = jn.training.weight_examples(build({}), jnp.ones(3))
        learner.step(learner.init(jax.random.key(0)), {"x": data["x"]})
    assert isinstance(population, Population)
