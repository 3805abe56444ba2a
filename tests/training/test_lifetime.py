"""Compiled functions live as long as what they were compiled for, and serve it all that time."""

import gc
import weakref
from collections import Counter

import jax
import jax.numpy as jnp
import pytest

import jaxnet as jn

DATA = {"x": jnp.ones((8, 2)), "y": jnp.ones(8)}


def counting_learner(traces, constant=0.0):
    """A learner that counts how often its step is traced."""

    def init(key):
        return jn.TrainState({"a": jnp.zeros(())}, (), (), key, jnp.zeros((), jnp.int32))

    def step(state, batch):
        traces["step"] += 1
        return state._replace(step=state.step + 1), {"loss": batch["x"].mean() + constant}

    return jn.Learner(init, step)


def with_epochs(learner, key, hook):
    next(jn.epochs(learner, learner.init(key), DATA, batch_size=4, hooks=((2, hook),)))


def with_fit(learner, key, hook):
    jn.fit(learner, key, DATA, batch_size=4, num_epochs=2, hooks=((2, hook),))


def with_a_stream(learner, key, hook):
    data = jn.training.HostData(lambda step: iter([DATA] * 9), steps_per_epoch=2)
    next(jn.epochs(learner, learner.init(key), data))


@pytest.mark.parametrize("train", [with_epochs, with_fit, with_a_stream])
def test_a_learner_and_what_it_holds_are_freed(train, key):
    large = jnp.ones(1000)
    learner = counting_learner(Counter(), large.sum() * large[0])
    # An array closed over, as a teacher's outputs or parameters trained before would be.
    step = learner.step

    def holding(state, batch):
        state, metrics = step(state, batch)
        return state, metrics | {"teacher": large[0]}

    learner = learner._replace(step=holding)
    train(learner, key, lambda state, data: state._replace(params={"a": large[0]}))
    references = [weakref.ref(large), weakref.ref(holding)]
    # Without the collector of cycles: memory of a device is freed at once.
    gc.disable()
    try:
        del large, learner, holding, step
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


def test_what_predicts_is_freed(key):
    network = jn.mlp([2, 3, 1])
    large = jnp.ones(1000)
    apply = jn.Network(network.init, lambda params, x, *, key=None: x * large[0]).apply
    jn.predict(apply, {}, DATA["x"])
    jn.predict(network[:-1].apply, network.init(key), DATA["x"])
    references = [weakref.ref(large), weakref.ref(network), weakref.ref(network[:-1])]
    del large, apply, network
    assert [reference() for reference in references] == [None] * 3


def test_fit_and_epochs_compile_once(key):
    traces = Counter()
    learner = counting_learner(traces)
    for seed in range(3):
        jn.fit(learner, jax.random.key(seed), DATA, batch_size=4, num_epochs=2)
    once = traces["step"]
    assert once <= 2
    for seed in range(3):
        # Another first state belongs to the same program.
        other = learner._replace(init=lambda key: learner.init(key))
        jn.fit(other, jax.random.key(seed), DATA, batch_size=4, num_epochs=2)
    assert traces["step"] == once
    hook = (2, lambda state, data: state)
    for _ in range(3):
        jn.fit(learner, key, DATA, batch_size=4, num_epochs=2, hooks=(hook,))
    assert traces["step"] <= once + 2
    traces.clear()
    for _ in range(3):
        state = learner.init(key)
        metrics = {"loss": jnp.zeros(2)}
        for _ in range(2):
            state, metrics = jn.training.advance(
                learner, state, metrics, DATA, batch_size=4, num_steps=1
            )
    assert traces["step"] <= 2


def test_learners_of_traced_rates_leave_nothing_behind(key):
    """A learner made inside a trace closes over a tracer, which must not outlive it."""
    network = jn.dense(2, 1)

    def run(rate):
        def step(state, batch):
            return state._replace(step=state.step + 1), {"loss": rate * batch["x"].mean()}

        learner = jn.Learner(counting_learner(Counter()).init, step)
        return jn.fit(learner, key, DATA, batch_size=4, num_epochs=2)[1]["loss"]

    for _ in range(2):
        assert jax.vmap(run)(jnp.array([1.0, 2.0])).tolist() == [[1.0, 1.0], [2.0, 2.0]]
    with jax.checking_leaks():
        assert jax.jit(run)(3.0).tolist() == [3.0, 3.0]
    assert network.init(key)["bias"].shape == (1,)
