"""Sources of batches against their definitions."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet.training import HostData, balanced, in_order, per_run, shuffled, side_by_side


def epoch_of(batches, data, key, epoch):
    @jax.jit
    def take_all(data, key):
        plan = batches.plan(data, key, epoch)
        indices = jnp.arange(batches.num_steps(data))
        return jax.lax.map(functools.partial(batches.take, data, plan), indices)

    stacked = jax.device_get(take_all(data, key))
    return [
        jax.tree.map(lambda leaf, index=index: leaf[index], stacked)
        for index in range(batches.num_steps(data))
    ]


def test_equal_sources_are_one_to_a_compiler():
    pairs = [
        (shuffled(4, num_shards=2), shuffled(4, num_shards=2)),
        (in_order(4, length=3), in_order(4, length=3)),
        (balanced(4, num_classes=3), balanced(4, num_classes=3)),
        (side_by_side({"a": shuffled(4)}), side_by_side({"a": shuffled(4)})),
        (per_run(4), per_run(shuffled(4))),
    ]
    for first, second in pairs:
        assert first == second and hash(first) == hash(second)
    assert per_run(4) != shuffled(4)


def test_shards_are_shuffled_by_themselves(key):
    data = {"x": jnp.arange(24)}
    batches = shuffled(6, num_shards=3)
    seen = np.concatenate([batch["x"] for batch in epoch_of(batches, data, key, 0)])
    assert sorted(seen) == list(range(24))
    for batch in epoch_of(batches, data, key, 1):
        assert np.bincount(np.asarray(batch["x"]) // 8).tolist() == [2, 2, 2]
    other = np.concatenate([batch["x"] for batch in epoch_of(batches, data, key, 1)])
    assert (seen != other).any()


def test_windows_continue_each_other(key):
    series = {"x": jnp.arange(50), "y": jnp.arange(100).reshape(50, 2)}
    batches = in_order(3, length=4)
    rows = [batch["x"] for batch in epoch_of(batches, series, key, 5)]
    assert batches.num_steps(series) == 4
    np.testing.assert_array_equal(
        np.concatenate(rows, axis=1), np.arange(48).reshape(3, 16)[:, :16]
    )
    assert epoch_of(batches, series, key, 0)[1]["y"].shape == (3, 4, 2)
    single = epoch_of(in_order(2), series, key, 0)
    assert [batch["x"].tolist() for batch in single[:2]] == [[0, 25], [1, 26]]


def test_classes_are_balanced(key):
    labels = np.repeat([0, 1, 3], [900, 90, 10])
    data = {"x": jnp.arange(1000), "y": jnp.asarray(labels)}
    batches = balanced(100, num_classes=4)
    drawn = jax.tree.map(lambda *leaves: np.concatenate(leaves), *epoch_of(batches, data, key, 0))
    counts = np.bincount(drawn["y"], minlength=4)
    # Binomial(1000, 1/3): standard deviation 15.
    assert counts[2] == 0 and np.abs(counts[[0, 1, 3]] - 1000 / 3).max() < 60
    np.testing.assert_array_equal(labels[drawn["x"]], drawn["y"])
    assert len(set(drawn["x"][drawn["y"] == 3])) == 10


def test_sources_of_different_lengths_side_by_side(key):
    data = {"labeled": {"x": jnp.arange(8)}, "unlabeled": {"x": jnp.arange(60)}}
    batches = side_by_side({"labeled": shuffled(3), "unlabeled": shuffled(5)})
    assert batches.num_steps(data) == 12
    steps = epoch_of(batches, data, key, 1)
    unlabeled = np.concatenate([batch["unlabeled"]["x"] for batch in steps])
    assert sorted(unlabeled) == list(range(60))
    orders = np.stack([batch["labeled"]["x"] for batch in steps]).reshape(6, -1)
    assert all(len(set(order)) == 6 for order in orders.tolist())
    assert len({tuple(order) for order in orders.tolist()}) > 3
    with pytest.raises(ValueError, match=r"the data hold \['x'\], expected one data set for each"):
        batches.num_steps({"x": jnp.zeros(3)})


NETWORK = jn.mlp([2, 8, 1])


def teacher(decay):
    """A mean teacher: labeled examples, and agreement with an average on unlabeled ones."""
    supervised = jn.regression(NETWORK)

    def apply(params, average, batch, key):
        loss, metrics = supervised(params, batch["labeled"], key)
        x = batch["unlabeled"]["x"]
        difference = NETWORK.apply(params, x) - NETWORK.apply(average, x)
        average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
        return loss + jnp.mean(difference**2), (average, metrics)

    return jn.StatefulObjective(lambda params, key: params, apply)


def same(first, second):
    def check(a, b):
        if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)

    jax.tree.map(check, first, second)


def test_labeled_and_unlabeled_batches_train_a_mean_teacher(key, tmp_path):
    x = np.random.default_rng(0).normal(size=(700, 2)).astype(np.float32)
    data = {
        "labeled": {"x": x[:160], "y": x[:160, 0] * x[:160, 1]},
        "unlabeled": {"x": x[160:]},
    }
    batches = side_by_side({"labeled": shuffled(64), "unlabeled": shuffled(256)})
    learner = jn.gradient_learner(NETWORK.init, teacher(0.9), optax.adam(1e-2))
    learner = jn.training.averaged_learner(learner, 0.99)
    start = jax.jit(jax.vmap(learner.init))(jax.random.split(key, 2))
    room = jn.training.begin_epoch(learner, start, data, batches=batches)
    advance = functools.partial(jn.training.advance, learner, data=data, batches=batches)
    whole = advance(start, metrics=room, num_steps=2)
    part = advance(start, metrics=room, num_steps=1)
    jn.checkpoint.save(tmp_path / "state", part)
    restored = jn.checkpoint.restore(tmp_path / "state", like=part)
    same(advance(*restored[:1], metrics=restored[1], num_steps=1), whole)
    inner = whole[0].extra.extra
    assert (inner["dense_0"]["kernel"] != whole[0].params["dense_0"]["kernel"]).any()
    _, history = jax.jit(functools.partial(jn.fit, learner, num_epochs=30, batches=batches))(
        key, data
    )
    assert history["loss"][-1] < history["loss"][0] / 2


def test_a_host_iterator_trains_as_memory_does(key):
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    data = {"x": x, "y": x[:, 0]}
    source, reads = shuffled(8), []

    def iterate(step):
        for number in itertools.count(step):
            plan = source.plan(data, key, number // 5)
            reads.append(number)
            yield jax.tree.map(np.asarray, source.take(data, plan, number % 5))

    learner = jn.gradient_learner(NETWORK.init, jn.regression(NETWORK), optax.adam(1e-2))
    start = jax.jit(learner.init)(key)
    *_, (expected, mean) = itertools.islice(jn.epochs(learner, start, data, batch_size=8), 2)
    host = HostData(iterate, steps_per_epoch=5)
    *_, (state, host_mean) = itertools.islice(jn.epochs(learner, start, host), 2)
    np.testing.assert_allclose(host_mean["loss"], mean["loss"], rtol=1e-5)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6),
        state.params,
        expected.params,
    )
    # Each batch is read once, but for the shapes of the metrics, and one is read ahead.
    assert reads == [0, *range(11)]
    # Cut anywhere, a new iterator begins where the state stands.
    other = HostData(iterate, steps_per_epoch=5)
    metrics = jn.training.begin_epoch(learner, start, other)
    resumed, metrics = jn.training.advance(learner, start, metrics, other, num_steps=3)
    other = HostData(iterate, steps_per_epoch=5)
    resumed, _ = jn.training.advance(learner, resumed, metrics, other, num_steps=2)
    *_, (after, _) = itertools.islice(jn.epochs(learner, resumed, other), 1)
    same(after, state)


def test_errors_name_the_argument(key):
    learner = jn.gradient_learner(NETWORK.init, jn.regression(NETWORK), optax.sgd(0.1))
    data = {"x": jnp.zeros((4, 2)), "y": jnp.zeros(4)}
    fit = functools.partial(jn.fit, learner, key, data, num_epochs=1)
    with pytest.raises(ValueError, match="expected one of batch_size and batches, found none"):
        fit()
    with pytest.raises(ValueError, match="expected one of batch_size and batches, found both"):
        fit(batch_size=2, batches=shuffled(2))
    with pytest.raises(ValueError, match="4 examples are not a multiple of num_shards, 3"):
        fit(batches=shuffled(3, num_shards=3))
    with pytest.raises(ValueError, match="4 time steps are too few for 2 sequences of 3"):
        fit(batches=in_order(2, length=3))
    with pytest.raises(ValueError, match="must hold at least one, found none"):
        side_by_side({})
    host = HostData(lambda step: iter([data][step:]), steps_per_epoch=2)
    with pytest.raises(ValueError, match="HostData holds batches already"):
        jn.epochs(learner, learner.init(key), host, batch_size=2)
    with pytest.raises(ValueError, match="the iterator ended at step 1"):
        next(jn.epochs(learner, learner.init(key), host))


def test_balanced_batches_train_a_rare_class(key):
    """With 1 % of a class, each class has half of the batches, and all its examples occur."""
    data = {"x": np.arange(500), "y": (np.arange(500) < 5).astype(np.int32)}
    source = jn.training.balanced(50, num_classes=2)

    @jax.jit
    def draw(epoch):
        plan = source.plan(data, key, epoch)
        return jax.lax.map(lambda index: source.take(data, plan, index), jnp.arange(10))

    assert source.num_steps(data) == 10
    drawn = [jax.device_get(draw(epoch)) for epoch in range(4)]
    y, x = (np.concatenate([part[name].ravel() for part in drawn]) for name in ("y", "x"))
    # 2000 draws: the standard deviation of the mean is 0.011.
    assert abs(float(y.mean()) - 0.5) < 0.05
    counts = np.bincount(x[y == 1], minlength=5)
    assert len(counts) == 5 and counts.min() > 150
