"""Matrix factorization and learners of rows, against NumPy and the dense learners."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet import recommendation

USERS, ITEMS, DIM = 7, 9, 3
MODEL = recommendation.matrix_factorization(USERS, ITEMS, DIM, mean=3.5)


def random_params(seed=0):
    generator = np.random.default_rng(seed)

    def table(size):
        return {
            "bias": generator.normal(size=size).astype(np.float32),
            "factors": generator.normal(size=(size, DIM)).astype(np.float32),
        }

    return {"user": table(USERS), "item": table(ITEMS)}


def batches(num_steps, size=6, seed=1, users=USERS, items=ITEMS):
    generator = np.random.default_rng(seed)
    x = generator.integers([users, items], size=(num_steps, size, 2), dtype=np.int32)
    return x, generator.uniform(1, 5, (num_steps, size)).astype(np.float32)


def test_ratings_and_penalty_are_the_formula():
    params, (x, y) = random_params(), batches(1, 20)
    x, y = x[0], y[0]
    user, item = params["user"], params["item"]
    expected = [
        3.5 + user["bias"][u] + item["bias"][i] + user["factors"][u] @ item["factors"][i]
        for u, i in x
    ]
    weight = np.arange(20) % 3
    objective = recommendation.factorization_objective(MODEL, 0.1)

    @jax.jit
    def compute(params, batch):
        x = batch["x"]
        ratings, scores = MODEL.apply(params, x), MODEL.score_items(params, x[:, 0])
        return ratings, scores, objective(params, batch, None)

    ratings, scores, (loss, metrics) = jax.device_get(
        compute(params, {"x": x, "y": y, "weight": weight})
    )
    assert ratings.shape == (20, 1)
    np.testing.assert_allclose(ratings[:, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(scores[np.arange(20), x[:, 1]], expected, rtol=1e-5)
    penalty = [
        user["bias"][u] ** 2
        + item["bias"][i] ** 2
        + (user["factors"][u] ** 2).sum()
        + (item["factors"][i] ** 2).sum()
        for u, i in x
    ]
    squared = (y - expected) ** 2
    np.testing.assert_allclose(
        metrics["mean_squared_error"], np.average(squared, weights=weight), rtol=1e-5
    )
    expected = np.average(squared + 0.1 * np.array(penalty), weights=weight)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_unknown_users_and_items_have_the_rating_of_the_other_one():
    params = random_params()
    pairs = np.array([[-1, 2], [USERS, 2], [3, ITEMS], [-1, -1]])
    expected = [3.5 + params["item"]["bias"][2]] * 2 + [3.5 + params["user"]["bias"][3], 3.5]
    ratings = np.asarray(jax.jit(MODEL.apply)(params, pairs))
    np.testing.assert_allclose(ratings[:, 0], expected, rtol=1e-6)
    scores = np.asarray(jax.jit(MODEL.score_items)(params, np.array([-1])))
    np.testing.assert_allclose(scores[0], 3.5 + params["item"]["bias"], rtol=1e-6)


def test_mistakes_are_named(as_users_run):
    with pytest.raises(ValueError, match=r"x has shape \(4, 3\), expected \(\*batch, 2\)"):
        jax.eval_shape(MODEL.apply, random_params(), np.zeros((4, 3), int))
    with pytest.raises(TypeError, match="x is of dtype float32, expected integers"):
        jax.eval_shape(MODEL.apply, random_params(), np.zeros((4, 2), np.float32))
    learner = learner_of(optax.sgd(0.1))
    for tables, message in (
        ((), "tables are \\[\\], expected at least one name"),
        (("user", "film"), "table 'film' is not an entry of the parameters, found \\['item', 'u"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(
                recommendation.row_sparse_learner(learner, tables).init, jax.random.key(0)
            )
    sparse = recommendation.row_sparse_learner(learner_of(optax.lbfgs()), ("user", "item"))
    with pytest.raises(ValueError, match="state of the optimizer holds arrays of shape"):
        jax.eval_shape(sparse.init, jax.random.key(0))


def learner_of(optimizer):
    objective = recommendation.factorization_objective(MODEL, 0.05)
    return jn.gradient_learner(MODEL.init, objective, optimizer)


OPTIMIZERS = {
    "sgd": optax.sgd(0.1),
    "adagrad": optax.adagrad(0.3),
    "adam": optax.adam(0.1),
    "momentum": optax.sgd(0.1, momentum=0.9),
}


def trainer(learner):
    """From batches to the last state and metrics; compiled once for all batches of one size."""
    init, step = jax.jit(learner.init), jax.jit(learner.step)

    def train(x, y, **weight):
        state = init(jax.random.key(0))
        for index in range(len(x)):
            state, metrics = step(state, {"x": x[index], "y": y[index]} | weight)
        return jax.device_get((state, metrics))

    return train


def close(first, second):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), first, second)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_learners_of_rows_equal_the_dense_ones_where_they_must(name):
    learner = learner_of(OPTIMIZERS[name])
    dense = trainer(learner)
    sparse = trainer(recommendation.row_sparse_learner(learner, ("user", "item")))
    x, y = batches(4, ITEMS)
    # Rows occur twice in a batch, some in none, and one is not known.
    x[:, 1], x[:, 6:], x[2, 3, 0], x[1, 2, 1] = x[:, 0], x[:, 2:5], -1, ITEMS
    expected, actual = dense(x, y), sparse(x, y)
    if name in ("sgd", "adagrad"):
        close(actual[0][:3], expected[0][:3])
        close(actual[1], expected[1])
    else:
        difference = actual[0].params["user"]["factors"] - expected[0].params["user"]["factors"]
        assert np.abs(difference).max() > 1e-3
    # All rows in every batch.
    pairs = np.stack([np.arange(ITEMS) % USERS, np.arange(ITEMS)], axis=-1)
    x = np.stack([pairs] * 4).astype(np.int32)
    close(sparse(x, y)[0][:3], dense(x, y)[0][:3])


def test_lazy_adam_moves_the_rows_of_the_batch_alone():
    sparse = recommendation.row_sparse_learner(learner_of(optax.adam(0.1)), ("user", "item"))
    x, y = np.array([[[0, 1]], [[2, 3]]], np.int32), np.ones((2, 1), np.float32)
    train = trainer(sparse)
    first, _ = train(x[:1], y[:1])
    second, _ = train(x, y)
    for table, row in (("user", 0), ("item", 1)):
        for name in ("bias", "factors"):
            for index in range(len(first.params[table][name])):
                moved = first.params[table][name][index] != second.params[table][name][index]
                assert moved.all() == (index == {"user": 2, "item": 3}[table])
        assert second.optimizer_state[0].mu[table]["bias"][row] != 0
    assert int(second.optimizer_state[0].count) == 2


def test_a_batch_of_weight_zero_changes_nothing_but_the_step():
    sparse = recommendation.row_sparse_learner(learner_of(optax.adam(0.1)), ("user", "item"))
    x, y = batches(1)
    before = jax.jit(sparse.init)(jax.random.key(0))
    after, metrics = trainer(sparse)(x, y, weight=np.zeros(6, np.float32))
    jax.tree.map(np.testing.assert_array_equal, before[:3], after[:3])
    assert int(after.step) == 1 and float(metrics["loss"]) == 0


def test_one_table_and_other_parameters_beside_it():
    network = jn.nn.bag_of_embeddings(50, [4, 2])
    dense = jn.gradient_learner(network.init, jn.classification(network), optax.adagrad(0.1))
    sparse = recommendation.row_sparse_learner(dense, ("embedding_bag_0",))
    x = np.random.default_rng(0).integers(50, size=(3, 4, 5), dtype=np.int32)
    y = np.random.default_rng(1).integers(2, size=(3, 4), dtype=np.int32)
    close(trainer(sparse)(x, y)[0][:3], trainer(dense)(x, y)[0][:3])


def large_step(num_rows, wrap):
    model = recommendation.matrix_factorization(num_rows, num_rows, 4)
    objective = recommendation.factorization_objective(model, 0.05)
    learner = wrap(jn.gradient_learner(model.init, objective, optax.adam(0.1)))
    state = jax.eval_shape(learner.init, jax.random.key(0))
    batch = {
        "x": jax.ShapeDtypeStruct((8, 2), jnp.int32),
        "y": jax.ShapeDtypeStruct((8,), jnp.float32),
    }
    return jax.jit(learner.step, donate_argnums=0).lower(state, batch).compile()


def test_a_step_costs_nothing_for_rows_that_the_batch_does_not_hold():
    def sparse(learner):
        return recommendation.row_sparse_learner(learner, ("user", "item"))

    few, many = large_step(100, sparse), large_step(100_000, sparse)

    def flops(program):
        return program.cost_analysis()["flops"]

    assert flops(many) == flops(few)
    # The same measure does see the dense update of all rows.
    assert flops(large_step(100_000, lambda each: each)) > 100 * flops(many)
    # The tables are updated in place: nothing of their size is allocated beside them.
    memory = many.memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 100_000
    assert memory.alias_size_in_bytes >= 3 * 2 * 100_000 * 5 * 4
