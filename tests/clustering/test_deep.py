"""Deep clustering: assignments, targets, learners and soft resets against their formulas."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

import jaxnet as jn
from jaxnet.clustering.deep.assignments import (
    assignment_divergence,
    student_t_assignments,
    target_distribution,
)
from jaxnet.clustering.deep.codes import assign_codes, cluster_codes
from jaxnet.clustering.deep.dcn import deep_clustering_network_learner, move_centers
from jaxnet.clustering.deep.embedded import (
    deep_embedded_clustering,
    improved_deep_embedded_clustering,
    refresh_targets,
    with_targets,
)
from jaxnet.clustering.deep.reset import hidden_encoder_layers, reset_and_recluster, soft_reset
from jaxnet.optim.adapters import update_params

N, K, CODE, BATCH = 24, 3, 2, 6
NETWORK = jn.autoencoders.mlp_autoencoder([5, 4, CODE])
RECONSTRUCTION = jn.autoencoders.reconstruction(NETWORK)


def trained_params():
    """Parameters that stand for those of a trained autoencoder."""
    rng = np.random.default_rng(5)
    shapes = jax.eval_shape(NETWORK.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes)


TRAINED = trained_params()


def init(key):
    return {"autoencoder": TRAINED, "centers": jax.random.normal(key, (K, CODE))}


@pytest.fixture(scope="module")
def data():
    return {"x": jax.random.uniform(jax.random.key(3), (N, 5)), "index": jnp.arange(N)}


def numpy_q(codes, centers, a=1.0):
    squared = ((np.asarray(codes)[:, None] - np.asarray(centers)) ** 2).sum(axis=-1)
    kernel = (1 + squared / a) ** (-(a + 1) / 2)
    return kernel / kernel.sum(axis=1, keepdims=True)


def numpy_p(q):
    weights = q**2 / q.sum(axis=0)
    return weights / weights.sum(axis=1, keepdims=True)


def same_bits(a, b):
    if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
        a, b = jax.random.key_data(a), jax.random.key_data(b)
    np.testing.assert_array_equal(a, b)


def test_targets_by_hand():
    # Frequencies 1.0, 0.6, 0.4: squares over them are 0.36, 0.0166.., 0.1 | 0.16, 0.4166.., 0.1.
    q = jnp.array([[0.6, 0.1, 0.2], [0.4, 0.5, 0.2]])
    first = np.array([0.36, 0.01 / 0.6, 0.1])
    second = np.array([0.16, 0.25 / 0.6, 0.1])
    expected = [first / first.sum(), second / second.sum()]
    np.testing.assert_allclose(target_distribution(q), expected, rtol=1e-6)
    # A cluster that nothing belongs to.
    none = target_distribution(jnp.array([[0.75, 0.25, 0.0], [0.25, 0.75, 0.0]]))
    np.testing.assert_allclose(none, [[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]], rtol=1e-6)


@pytest.mark.parametrize("a", [1.0, 3.0])
def test_assignments_are_those_of_the_formula(x64, a):
    rng = np.random.default_rng(0)
    # Far from the origin, where the rounding of squares would show in float32.
    codes, centers = rng.normal(size=(N, CODE)) + 100, rng.normal(size=(K, CODE)) + 100
    q = student_t_assignments(jnp.asarray(codes), jnp.asarray(centers), degrees_of_freedom=a)
    np.testing.assert_allclose(q, numpy_q(codes, centers, a), rtol=1e-9)
    small = student_t_assignments(
        jnp.asarray(codes, jnp.float32), jnp.asarray(centers, jnp.float32), degrees_of_freedom=a
    )
    np.testing.assert_allclose(small, q, rtol=1e-3)


def test_gradients_are_those_of_the_paper(x64):
    rng = np.random.default_rng(1)
    codes, centers = rng.normal(size=(N, CODE)), rng.normal(size=(K, CODE))
    p = rng.dirichlet(np.ones(K), N)
    p[0] = np.eye(K)[0]

    def loss(codes, centers):
        return assignment_divergence(jnp.asarray(p), student_t_assignments(codes, centers)).sum()

    q = numpy_q(codes, centers)
    np.testing.assert_allclose(
        loss(jnp.asarray(codes), jnp.asarray(centers)),
        np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / q), 0).sum(),
    )
    arguments = jnp.asarray(codes), jnp.asarray(centers)
    in_codes, in_centers = jax.grad(loss, (0, 1))(*arguments)
    # Xie et al. (2016), eq. 4 and 5, with one degree of freedom.
    difference = codes[:, None] - centers
    factor = (p - q) / (1 + (difference**2).sum(axis=-1))
    np.testing.assert_allclose(in_codes, 2 * np.einsum("ij,ijd->id", factor, difference))
    np.testing.assert_allclose(in_centers, -2 * np.einsum("ij,ijd->jd", factor, difference))
    check_grads(jax.jit(loss), arguments, order=1, modes=["rev"])


def test_objectives_are_means_over_the_examples(data, key):
    params, x = init(key), data["x"]
    q = numpy_q(NETWORK.encode(params["autoencoder"], x), params["centers"])
    p = np.roll(numpy_p(q), 1, axis=1)
    divergence = (p * np.log(p / q)).sum(axis=1)
    weight = (np.arange(N) < 9).astype(np.float32)
    batch = {"x": x, "p": jnp.asarray(p), "weight": jnp.asarray(weight)}
    dec = deep_embedded_clustering(NETWORK)
    idec = improved_deep_embedded_clustering(NETWORK, RECONSTRUCTION, strength=0.3)
    (loss, _), (improved, metrics) = jax.jit(
        lambda params, batch: (dec(params, batch, None), idec(params, batch, None))
    )(params, batch)
    np.testing.assert_allclose(loss, divergence[:9].mean(), rtol=1e-4)
    np.testing.assert_allclose(improved, metrics["squared_error"] + 0.3 * loss, rtol=1e-6)
    np.testing.assert_allclose(metrics["divergence"], loss, rtol=1e-6)


def embedded():
    objective = with_targets(deep_embedded_clustering(NETWORK), num_examples=N)
    return jn.gradient_learner(init, objective, optax.adam(0.05))


HOOKS = ((3, refresh_targets(NETWORK, batch_size=7)),)


def test_targets_are_those_of_all_examples_and_last_t_steps(data, key):
    learner = embedded()
    state, advance = learner.init(key), functools.partial(jn.training.advance, learner)
    # One batch of all examples in each step, so that its order does not matter.
    metrics = jn.training.begin_epoch(learner, state, data, batch_size=N)
    for number in range(5):
        if number % 3 == 0:
            codes = NETWORK.encode(state.params["autoencoder"], data["x"])
            targets = numpy_p(numpy_q(codes, state.params["centers"]))
        codes = NETWORK.encode(state.params["autoencoder"], data["x"])
        q = numpy_q(codes, state.params["centers"])
        state, values = advance(state, metrics, data, batch_size=N, num_steps=1, hooks=HOOKS)
        np.testing.assert_allclose(state.extra, targets, rtol=1e-4)
        divergence = (targets * np.log(targets / q)).sum(axis=1).mean()
        np.testing.assert_allclose(values["loss"][0], divergence, rtol=1e-3, atol=1e-6)


def test_batches_of_runs_are_single_runs_and_pieces_are_the_whole(data, key):
    @jax.jit
    def run(key, data):
        return jn.fit(embedded(), key, data, batch_size=BATCH, num_epochs=2, hooks=HOOKS)

    keys = jax.random.split(key, 2)
    states, history = jax.jit(jax.vmap(run, (0, None)))(keys, data)
    alone, alone_history = run(keys[1], data)
    np.testing.assert_allclose(history["loss"][1], alone_history["loss"], rtol=1e-3)
    np.testing.assert_allclose(
        states.params["centers"][1], alone.params["centers"], rtol=1e-3, atol=1e-4
    )
    # The watched run, whose states have a step each.
    learner = embedded()
    start = jax.jit(jax.vmap(learner.init))(keys)
    options = {"data": data, "batch_size": BATCH, "hooks": HOOKS}
    advance = functools.partial(jn.training.advance, learner, **options)
    metrics = jn.training.begin_epoch(learner, start, data, batch_size=BATCH)
    first = advance(start, metrics=metrics, num_steps=4)
    whole = advance(first[0], metrics=metrics, num_steps=4)
    part, metrics = advance(first[0], metrics=metrics, num_steps=1)
    pieces = advance(part, metrics=metrics, num_steps=3)
    jax.tree.map(same_bits, whole, pieces)
    np.testing.assert_allclose(
        whole[0].params["centers"], states.params["centers"], rtol=1e-3, atol=1e-4
    )


def test_centers_move_as_one_example_after_the_other(x64):
    rng = np.random.default_rng(2)
    centers, codes = rng.normal(size=(K, CODE)), rng.normal(size=(N, CODE))
    labels, counts = rng.integers(0, 2, N), np.array([100.0, 3.0, 0.0])
    found = move_centers(*(jnp.asarray(value) for value in (centers, counts, codes, labels)))
    expected, total = centers.copy(), counts.copy()
    for code, label in zip(codes, labels, strict=True):
        total[label] += 1
        expected[label] -= (expected[label] - code) / total[label]
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)
    np.testing.assert_allclose(found[1], total)
    weight = jnp.asarray((np.arange(N) < 10).astype(float))
    masked = jnp.asarray(np.where(np.arange(N)[:, None] < 10, codes, np.nan))
    left_out = move_centers(
        *(jnp.asarray(value) for value in (centers, counts, masked, labels)), weight
    )
    ten = move_centers(
        *(jnp.asarray(value) for value in (centers, counts, codes[:10], labels[:10]))
    )
    np.testing.assert_allclose(left_out[0], ten[0], rtol=1e-12)


def test_a_step_of_a_deep_clustering_network(data, key):
    """The network by the gradient for fixed assignments, then the centers, without any decay."""
    optimizer = optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.2))
    learner = deep_clustering_network_learner(
        init, NETWORK, RECONSTRUCTION, optimizer, strength=0.7, initial_count=4.0
    )
    start, x = learner.init(key), data["x"]
    state, metrics = jax.jit(learner.step)(start, {"x": x})
    before = jn.evaluation_params(start)
    centers = np.asarray(before["centers"])
    codes = np.asarray(NETWORK.encode(before["autoencoder"], x))
    labels = ((codes[:, None] - centers) ** 2).sum(axis=-1).argmin(axis=1)

    @jax.jit
    def loss(autoencoder):
        difference = NETWORK.encode(autoencoder, x) - centers[labels]
        rebuilt = jax.nn.sigmoid(NETWORK.apply(autoencoder, x))
        per_example = ((x - rebuilt) ** 2).sum(axis=1) + 0.35 * (difference**2).sum(axis=1)
        return per_example.mean()

    gradient = jax.grad(loss)(before["autoencoder"])
    expected = jax.tree.map(
        lambda leaf, slope: leaf - 0.2 * (slope + 0.1 * leaf), before["autoencoder"], gradient
    )
    after = jn.evaluation_params(state)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, after["autoencoder"], expected)
    close(metrics["loss"], loss(before["autoencoder"]))
    codes = np.asarray(NETWORK.encode(expected, x))
    labels = ((codes[:, None] - centers) ** 2).sum(axis=-1).argmin(axis=1)
    counts = np.bincount(labels, minlength=K)
    sums = np.eye(K)[labels].T @ codes
    close(after["centers"], (4 * centers + sums) / (4 + counts)[:, None])
    close(state.extra, 4 + counts)


def test_both_weights_of_lookahead_are_updated():
    pair = optax.LookaheadParams({"a": 1, "b": 2}, {"a": 3, "b": 4})
    updated = update_params(pair, lambda params: params | {"b": 5})
    assert updated == optax.LookaheadParams({"a": 1, "b": 5}, {"a": 3, "b": 5})


def recluster(key, params, x):
    return {"centers": cluster_codes(key, NETWORK.encode, params, x, K, num_restarts=2).centers}


def test_soft_reset_blends(key):
    params = TRAINED
    reset = functools.partial(soft_reset, key, params, NETWORK.init)
    jax.tree.map(same_bits, reset(factor=1.0), params)
    jax.tree.map(same_bits, reset(factor=0.0), NETWORK.init(key))
    where = hidden_encoder_layers(NETWORK)
    blended, fresh = reset(factor=0.8, where=where), NETWORK.init(key)
    expected = jax.tree.map(lambda a, b: 0.8 * a + (1 - 0.8) * b, params, fresh)
    jax.tree.map(same_bits, blended["encoder"]["dense_0"], expected["encoder"]["dense_0"])
    assert (blended["encoder"]["dense_0"]["kernel"] != params["encoder"]["dense_0"]["kernel"]).any()
    jax.tree.map(same_bits, blended["encoder"]["dense_1"], params["encoder"]["dense_1"])
    jax.tree.map(same_bits, blended["decoder"], params["decoder"])


def test_reclustering_finds_centers_and_forgets_their_moments(data, key):
    learner = embedded()
    state, step = HOOKS[0][1](learner.init(key), data), jax.jit(learner.step)
    batch = {"x": data["x"][:BATCH], "index": jnp.arange(BATCH)}
    for _ in range(3):
        state, _ = step(state, batch)
    intervene = jax.jit(reset_and_recluster(NETWORK, recluster, factor=0.5))
    new = intervene(state, data)
    # Each center is the mean of the codes that are nearest to it.
    codes = np.asarray(NETWORK.encode(new.params["autoencoder"], data["x"]))
    labels = np.asarray(assign_codes(NETWORK.encode, new.params, data["x"]))
    means = [codes[labels == label].mean(axis=0) for label in range(K)]
    np.testing.assert_allclose(new.params["centers"], means, rtol=1e-3, atol=1e-4)
    old_adam, adam = (each.optimizer_state[0] for each in (state, new))
    for old, found in ((old_adam.mu, adam.mu), (old_adam.nu, adam.nu)):
        assert (old["centers"] != 0).all() and (found["centers"] == 0).all()
        jax.tree.map(same_bits, old["autoencoder"], found["autoencoder"])
    assert adam.count == old_adam.count == 3
    # Another step has another draw.
    later = intervene(state._replace(step=state.step + 1), data)
    kernels = [each.params["autoencoder"]["encoder"]["dense_0"]["kernel"] for each in (new, later)]
    assert (kernels[0] != kernels[1]).any()
    jax.tree.map(
        same_bits, new.params["autoencoder"]["decoder"], state.params["autoencoder"]["decoder"]
    )


def test_errors_name_the_argument(data, key):
    with pytest.raises(ValueError, match="degrees_of_freedom must be greater than 0"):
        student_t_assignments(jnp.ones((4, 2)), jnp.ones((3, 2)), degrees_of_freedom=0.0)
    with pytest.raises(ValueError, match=r"holds no targets p, found \['x'\]"):
        deep_embedded_clustering(NETWORK)({}, {"x": data["x"]}, None)
    with pytest.raises(ValueError, match="holds no index, found"):
        learner = embedded()
        jax.eval_shape(learner.step, jax.eval_shape(learner.init, key), {"x": data["x"]})
    for make in (
        functools.partial(improved_deep_embedded_clustering, NETWORK, RECONSTRUCTION),
        functools.partial(
            deep_clustering_network_learner, init, NETWORK, RECONSTRUCTION, optax.sgd(0.1)
        ),
    ):
        with pytest.raises(ValueError, match="strength must not be negative"):
            make(strength=-1.0)
    schedule_free = optax.contrib.schedule_free_sgd(0.1)
    learner = deep_clustering_network_learner(
        init, NETWORK, RECONSTRUCTION, schedule_free, strength=1.0
    )
    with pytest.raises(ValueError, match="the optimizer is schedule-free"):
        jax.eval_shape(learner.init, key)
    with pytest.raises(ValueError, match="factor must lie in"):
        soft_reset(key, {}, lambda key: {}, factor=2.0)
    with pytest.raises(ValueError, match="expected at least two"):
        hidden_encoder_layers(jn.autoencoders.mlp_autoencoder([4, 2]))
    dense = jn.dense(4, 2)
    with pytest.raises(ValueError, match="must be a chain, found 'dense'"):
        hidden_encoder_layers(jn.autoencoders.autoencoder(dense, jn.dense(2, 4)))
    with pytest.raises(ValueError, match="num_examples must be at least 1, found 0"):
        with_targets(deep_embedded_clustering(NETWORK), num_examples=0)
    with pytest.raises(ValueError, match="subsample must be at least 1, found 0"):
        reset_and_recluster(NETWORK, recluster, subsample=0)
    with pytest.raises(ValueError, match=r"gave \['means'\], expected .* among \['centers'\]"):
        intervene = reset_and_recluster(NETWORK, lambda key, params, x: {"means": x[:K]})
        jax.eval_shape(intervene, jax.eval_shape(embedded().init, key), data)
