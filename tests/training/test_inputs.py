"""What one entry takes, all take: arrays of any kind, nested inputs, metrics of any shape."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import polars
import pytest

import jaxnet as jn

NETWORK = jn.dense(2, 3)
APPLY = jax.jit(NETWORK.apply)
LEARNER = jn.gradient_learner(jax.jit(NETWORK.init), jn.classification(NETWORK), optax.sgd(0.1))
X = np.arange(16).reshape(8, 2)
Y = np.arange(8) % 3


def final_params(data, key):
    """Parameters after an epoch."""
    return jn.fit(LEARNER, key, data, batch_size=4, num_epochs=1)[0].params


def check_other_entries(data, key, expected):
    """The other entries that train take the same data, with the same result."""
    watched, _ = next(jn.epochs(LEARNER, LEARNER.init(key), data, batch_size=4))
    state, options = LEARNER.init(key), {"batch_size": 4}
    metrics = jn.training.begin_epoch(LEARNER, state, data, **options)
    advanced, _ = jn.training.advance(LEARNER, state, metrics, data, num_steps=2, **options)
    host = jn.training.HostData(lambda step: iter([data] * 9), steps_per_epoch=1)
    next(jn.epochs(LEARNER, LEARNER.init(key), host))
    for other in (watched, advanced):
        jax.tree.map(np.testing.assert_allclose, other.params, expected)


@pytest.mark.parametrize(
    "kind", ["frame", "uint8", "int64", "float16", "float64", "bool", "column_major"]
)
def test_every_kind_of_array_trains_predicts_and_is_checked(kind, key):
    x, y = X, Y
    if kind == "frame":
        x, y = polars.DataFrame(X, schema=["a", "b"]), polars.Series(Y)
    elif kind == "column_major":
        x = np.asfortranarray(X)
    else:
        x = X.astype(kind)
    expected = np.asarray(x).astype(np.float32)
    reference = final_params({"x": expected, "y": Y.astype(np.int32)}, key)
    params = final_params({"x": x, "y": y}, key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), params, reference)
    if kind in ("frame", "uint8"):
        check_other_entries({"x": x, "y": y}, key, params)
    np.testing.assert_allclose(
        jn.predict(NETWORK.apply, params, x),
        APPLY(params, expected),
        rtol=1e-5,
    )
    jn.check_data(x, y, num_classes=3)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X.tolist(), r"\[0\]\[0\] is a int, expected arrays of numbers; use numpy.asarray"),
        (np.array([["a", "b"]] * 8), "is a ndarray of dtype <U1, expected numbers"),
        (polars.DataFrame({"a": ["b"] * 8}), "is a DataFrame of dtype object, expected numbers"),
        (np.ma.masked_array(X), "is a MaskedArray, whose mask would be lost"),
        (None, None),
    ],
)
def test_what_is_not_an_array_of_numbers_raises_shortly(x, message, key, as_users_run):
    if x is None:
        x, message = object(), "is a object, expected arrays of numbers"
    state, data = LEARNER.init(key), {"x": x, "y": Y}
    options = {"batch_size": 4}
    for call in (
        lambda: jn.fit(LEARNER, key, data, num_epochs=1, **options),
        lambda: jn.epochs(LEARNER, state, data, **options),
        lambda: jn.training.begin_epoch(LEARNER, state, data, **options),
        lambda: jn.predict(NETWORK.apply, state.params, x),
        lambda: jn.training.advance(
            LEARNER, state, {"loss": jnp.zeros(2)}, data, num_steps=1, **options
        ),
    ):
        with pytest.raises(TypeError, match=message) as caught:
            call()
        assert len(str(caught.value)) < 200


def test_a_missing_entry_and_a_wrong_size_are_named(key):
    options = {"batch_size": 4, "num_epochs": 1}
    with pytest.raises(ValueError, match="the batch has no entry 'y', found 'label', 'x'"):
        jn.fit(LEARNER, key, {"x": X, "label": Y}, **options)
    network = jn.chain(jn.dense(3, 4), jn.mlp([4, 2]), names=["first", "second"])
    learner = jn.gradient_learner(network.init, jn.classification(network), optax.sgd(0.1))
    with pytest.raises(ValueError, match=r"dense: the input has shape \(4, 2\).*in_dim = 3") as e:
        jn.fit(learner, key, {"x": X, "y": Y}, **options)
    assert "in part 'first' of the network, whose input has shape (4, 2)" in e.value.__notes__


def test_metrics_of_any_shape(key):
    """As many classes as steps: an axis that is mixed up would not show in the shapes."""

    def objective(params, batch, key):
        loss = jnp.mean((batch["x"] @ params["kernel"]) ** 2)
        counts = jnp.sum(jax.nn.one_hot(batch["y"], 2), axis=0)
        nested = {"table": batch["x"][:2, :2].astype(jnp.bfloat16)}
        return loss, {"counts": counts, "nested": nested}

    learner = jn.gradient_learner(lambda key: {"kernel": jnp.ones((2, 1))}, objective, optax.sgd(0))
    data = {"x": jnp.ones((8, 2)), "y": jnp.array([0, 1, 1, 1, 0, 0, 1, 0])}
    _, history = jn.fit(learner, key, data, batch_size=4, num_epochs=3)
    hooks = ((1, lambda state, data: state),)
    _, hooked = jn.fit(learner, key, data, batch_size=4, num_epochs=3, hooks=hooks)
    keys = jnp.stack([key, key])
    _, watched = next(jn.epochs(learner, jax.jit(jax.vmap(learner.init))(keys), data, batch_size=4))
    host = jn.training.HostData(lambda step: iter([data] * 9), steps_per_epoch=2)
    _, streamed = next(jn.epochs(learner, jax.jit(jax.vmap(learner.init))(keys), host))
    np.testing.assert_array_equal(history["counts"], np.full((3, 2), 2.0))
    jax.tree.map(np.testing.assert_array_equal, history, hooked)
    np.testing.assert_array_equal(watched["counts"], np.full((2, 2), 2.0))
    np.testing.assert_array_equal(streamed["counts"], np.full((2, 2), 4.0))
    for tables, shape in ((history, (3, 2, 2)), (watched, (2, 2, 2)), (streamed, (2, 2, 2))):
        assert tables["nested"]["table"].shape == shape
        assert tables["nested"]["table"].dtype == jnp.float32


def test_another_batch_size_in_the_middle_of_a_run(key):
    data, options = {"x": X, "y": Y}, {"batch_size": 4}
    state, _ = next(jn.epochs(LEARNER, LEARNER.init(key), data, **options))
    with pytest.raises(ValueError, match=r"2 steps inside an epoch of 4 steps.*restart\(state\)"):
        jn.epochs(LEARNER, state, data, batch_size=2)
    again = jn.training.restart(state)
    later, _ = next(jn.epochs(LEARNER, again, data, batch_size=2))
    assert int(later.step) == 4 and bool(later.key == again.key) and not bool(later.key == key)
    jax.tree.map(np.testing.assert_array_equal, again.params, state.params)
    states = jax.jit(jax.vmap(LEARNER.init))(jax.random.split(key, 2))
    states = jn.training.restart(states._replace(step=states.step + 3))
    assert states.step.tolist() == [0, 0]
    metrics = jn.training.begin_epoch(LEARNER, again, data, batch_size=2)
    with pytest.raises(ValueError, match="metrics are those of 4 steps, and an epoch has 2"):
        jn.training.advance(LEARNER, again, metrics, data, num_steps=1, **options)
    with pytest.raises(ValueError, match="metrics are those of 4 steps, and an epoch has 2"):
        jn.training.run_steps(
            LEARNER, again, metrics, data, batches=jn.training.shuffled(4), start=0, stop=1
        )


def test_hooks_have_their_form(key, as_users_run):
    for hooks in ([lambda state, data: state], [(1, 2)], [(1, lambda state, data: state, 1, 2)]):
        with pytest.raises(TypeError, match=r"expected \(every, function\) or"):
            jn.fit(LEARNER, key, {"x": X, "y": Y}, batch_size=4, num_epochs=1, hooks=hooks)
