"""AutoRec, Mult-VAE, the machine of ratings, and EASE, against NumPy, SciPy and exact sums."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from scipy.stats import multinomial

import jaxnet as jn
from jaxnet import recommendation

RBM = recommendation.RatingRBM(num_items=3, num_levels=3, num_hidden=2)


def random_params(init, seed=0, scale=0.7):
    generator = np.random.default_rng(seed)
    shapes = jax.eval_shape(init, jax.random.key(0))
    return jax.tree.map(
        lambda leaf: (scale * generator.normal(size=leaf.shape)).astype(leaf.dtype), shapes
    )


def test_autorec_reconstructs_from_known_ratings_alone():
    network = recommendation.autorec(6, 4)
    params = random_params(network.init)
    generator = np.random.default_rng(1)
    x = generator.normal(size=(5, 6)).astype(np.float32)
    known = generator.random((5, 6)) < 0.6
    spoiled = np.where(known, x, np.nan)
    batch = {"x": spoiled, "weight": known.astype(np.float32)}
    objective = recommendation.observed_reconstruction(network)
    run = jax.jit(jax.value_and_grad(objective, has_aux=True))
    (loss, _), gradient = run(params, batch, None)
    first, last = params["dense_0"], params["dense_1"]
    hidden = 1 / (1 + np.exp(-(np.where(known, x, 0) @ first["kernel"] + first["bias"])))
    outputs = hidden @ last["kernel"] + last["bias"]
    np.testing.assert_allclose(loss, ((x - outputs) ** 2)[known].mean(), rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_the_multinomial_likelihood_is_that_of_scipy():
    generator = np.random.default_rng(0)
    counts, outputs = generator.integers(0, 4, (6, 5)), generator.normal(size=(6, 5))
    likelihood = recommendation.multinomial_likelihood()
    found = np.sum(jax.jit(likelihood.log_prob)(outputs, counts), axis=-1)
    probabilities = softmax(outputs, axis=-1)
    expected = [
        multinomial.logpmf(row, row.sum(), p) - multinomial_coefficient(row)
        for row, p in zip(counts, probabilities, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(jax.jit(likelihood.mean)(outputs), probabilities, rtol=1e-5)


def multinomial_coefficient(row):
    """The part of the logarithm that does not depend on the probabilities."""
    uniform = np.full(len(row), 1 / len(row))
    return multinomial.logpmf(row, row.sum(), uniform) - row.sum() * np.log(1 / len(row))


def test_the_bound_of_mult_vae_is_the_formula_and_its_weight_grows():
    model = recommendation.multinomial_autoencoder([5, 4, 2], dropout=0.0)
    params = random_params(model.init)
    x = (np.random.default_rng(1).random((6, 5)) < 0.5).astype(np.float32)
    x[0] = 0
    objective = recommendation.multinomial_elbo(model, kl_weight=0.4, anneal_steps=4)

    @jax.jit
    def compute(params, extra, x, key):
        """The loss, the extra and the metrics, and the gradient."""
        run = jax.value_and_grad(objective.apply, has_aux=True)
        (loss, (extra, metrics)), gradient = run(params, extra, {"x": x}, key)
        return loss, extra, metrics, gradient

    extra = jax.jit(objective.init)(params, jax.random.key(0))
    key, losses = jax.random.key(3), []
    for _ in range(6):
        loss, extra, metrics, gradient = compute(params, extra, x, key)
        losses.append(float(loss))
    weights = 0.4 * np.minimum(np.arange(6) / 4, 1)
    expected = float(metrics["reconstruction"]) + weights * float(metrics["kl"])
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    # Without a key, the code is the mean.
    encoder, decoder = params["encoder"], params["decoder"]
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    normalized = x / np.where(norms > 0, norms, 1)
    dense = [encoder["chain_0"][name] for name in ("dense_0", "dense_1")]
    hidden = np.tanh(normalized @ dense[0]["kernel"] + dense[0]["bias"])
    mean, log_variance = np.split(hidden @ dense[1]["kernel"] + dense[1]["bias"], 2, axis=1)
    first, last = decoder["dense_0"], decoder["dense_1"]
    outputs = np.tanh(mean @ first["kernel"] + first["bias"]) @ last["kernel"] + last["bias"]
    _, (_, metrics) = jax.jit(objective.apply)(params, extra, {"x": x}, None)
    expected = -(x * log_softmax(outputs, axis=1)).sum(axis=1).mean()
    np.testing.assert_allclose(metrics["reconstruction"], expected, rtol=1e-5)
    divergence = (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1) / 2
    np.testing.assert_allclose(metrics["kl"], divergence.mean(), rtol=1e-5)
    np.testing.assert_allclose(jax.jit(model.apply)(params, x), outputs, rtol=1e-4, atol=1e-5)


def states(levels):
    """All levels of the rated items, and the hidden units, of a user with some ratings."""
    rated = [item for item, level in enumerate(levels) if level >= 0]
    for chosen in itertools.product(range(RBM.num_levels), repeat=len(rated)):
        v = np.zeros((RBM.num_items, RBM.num_levels))
        v[rated, chosen] = 1
        yield v


def weights_of(params, v):
    """`sum_h exp(-E(v, h))` over all hidden states, by the definition."""
    total = 0.0
    for h in itertools.product((0, 1), repeat=RBM.num_hidden):
        h = np.array(h)
        energy = (v * params["visible_bias"]).sum() + h @ params["hidden_bias"]
        total += np.exp(energy + np.einsum("ik,ikj,j", v, params["kernel"], h))
    return total


def test_the_machine_of_ratings_is_its_energy():
    params = random_params(RBM.init)

    @jax.jit
    def compute(params, levels):
        v = RBM.one_hot(levels)
        hidden = RBM.hidden_mean(params, v)
        return v, RBM.free_energy(params, v), hidden, RBM.level_probabilities(params, v)

    levels = np.array([[2, -1, 0], [1, 1, 2], [-1, -1, -1]])
    v, energies, hidden, found = map(np.asarray, compute(params, levels))
    expected = [-np.log(weights_of(params, row)) for row in v]
    np.testing.assert_allclose(energies, expected, rtol=1e-5)
    eta = np.einsum("bik,ikj->bj", v, params["kernel"]) + params["hidden_bias"]
    np.testing.assert_allclose(hidden, 1 / (1 + np.exp(-eta)), rtol=1e-5)
    eta = np.einsum("bj,ikj->bik", hidden, params["kernel"]) + params["visible_bias"]
    np.testing.assert_allclose(found, softmax(eta, axis=-1), rtol=1e-5)


def test_gibbs_sampling_has_the_exact_distribution_of_the_rated_items():
    params = random_params(RBM.init)
    levels = np.array([2, -1, 0])
    possible = list(states(levels))
    exact = np.array([weights_of(params, v) for v in possible])
    exact /= exact.sum()

    @jax.jit
    def sample(params, levels, key):
        start = jnp.broadcast_to(RBM.one_hot(levels), (20_000, 3, 3))
        return RBM.gibbs(params, start, key, num_steps=15)

    ends = np.asarray(sample(params, levels, jax.random.key(0)))
    assert not ends[:, 1].any() and (ends[:, [0, 2]].sum(axis=-1) == 1).all()
    frequency = [(ends == v).all(axis=(1, 2)).mean() for v in possible]
    np.testing.assert_allclose(frequency, exact, atol=5 * np.sqrt(0.25 / 20_000))


def test_the_gradient_of_contrastive_divergence_is_the_update():
    params = random_params(RBM.init)
    levels = np.array([[2, -1, 0], [1, 1, 2], [-1, -1, -1]])
    objective, key = recommendation.rating_divergence(RBM), jax.random.key(1)
    gradient_of = jax.jit(jax.grad(objective, has_aux=True))
    gradient = gradient_of(params, {"x": levels}, key)[0]

    @jax.jit
    def begin_and_end(params, levels):
        v = RBM.one_hot(levels)
        ends = RBM.gibbs(params, v, key, num_steps=1)
        return [(each, RBM.hidden_mean(params, each)) for each in (v, ends)]

    def statistics(v, hidden):
        return {
            "kernel": np.einsum("bik,bj->ikj", v, hidden),
            "visible_bias": v.sum(axis=0),
            "hidden_bias": hidden[:2].sum(axis=0),
        }

    begin, end = jax.device_get(begin_and_end(params, levels))
    data, model = statistics(*begin), statistics(*end)
    for name, leaf in gradient.items():
        # The mean over the two users who have ratings.
        np.testing.assert_allclose(leaf, -(data[name] - model[name]) / 2, rtol=1e-4, atol=1e-6)
    # A weight of 0 is a missing rating.
    full = np.array([[2, 1, 0], [1, 1, 2], [0, 2, 2]])
    weight = np.array([[1, 0, 1], [1, 1, 1], [0, 0, 0]])
    same = gradient_of(params, {"x": full, "weight": weight}, key)[0]
    jax.tree.map(np.testing.assert_array_equal, gradient, same)


def test_the_machine_starts_with_the_frequencies_of_the_levels():
    levels = np.array([[0, -1, 2], [0, 1, 2], [1, -1, 2]])
    probabilities = softmax(jax.jit(RBM.data_bias)(levels), axis=-1)
    frequency = np.array([2, 2, 3]) + 1 / 3
    expected = (np.array([2, 1, 0]) + frequency / frequency.sum()) / 4
    np.testing.assert_allclose(probabilities[0], expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_ease_is_the_constrained_least_squares_of_each_column(shape):
    x = (np.random.default_rng(0).random(shape) < 0.4).astype(np.float32)
    weights = np.asarray(jax.jit(recommendation.fit_ease)(x, 2.5))
    assert weights.shape == (shape[1],) * 2 and not np.diag(weights).any()
    for column in range(shape[1]):
        others = np.delete(np.arange(shape[1]), column)
        kept = x[:, others].astype(np.float64)
        expected = np.linalg.solve(kept.T @ kept + 2.5 * np.eye(len(others)), kept.T @ x[:, column])
        np.testing.assert_allclose(weights[others, column], expected, rtol=2e-3, atol=2e-5)


def test_matrices_of_ratings_and_top_items():
    pairs = np.array([[0, 2], [1, 0], [1, 2]])
    ratings = np.array([4.0, 2.5, 1.0], np.float32)
    matrix = recommendation.rating_matrix(pairs, ratings, 3, 3, missing=-1)
    np.testing.assert_array_equal(matrix, [[-1, -1, 4], [2.5, -1, 1], [-1, -1, -1]])
    with pytest.raises(ValueError, match=r"pairs hold \[1, 3\] in row 1, expected a user in"):
        recommendation.rating_matrix(np.array([[0, 0], [1, 3]]), ratings[:2], 3, 3)
    with pytest.raises(ValueError, match=r"pairs hold \[0, 2\] more than once"):
        recommendation.rating_matrix(pairs[[0, 1, 0]], ratings, 3, 3)
    scores = np.array([[0.1, 0.5, 0.5], [0.3, 0.2, 0.1]])
    excluded = np.array([[False, False, False], [True, True, False]])
    top_items = jax.jit(recommendation.top_items, static_argnames="k")
    top = jax.device_get(top_items(scores, k=2, excluded=excluded))
    assert top.items.tolist() == [[1, 2], [2, -1]]
    assert top.scores[1, 1] == -np.inf


def test_trained_models_predict_what_was_held_out(key):
    """Ratings of rank one with two levels: each method finds the taste of a user."""
    generator = np.random.default_rng(0)
    taste, kind = generator.integers(2, size=60), generator.integers(2, size=20)
    likes = taste[:, None] == kind
    known = generator.random(likes.shape) < 0.7
    objective = recommendation.rating_divergence(recommendation.RatingRBM(20, 2, 4))
    rbm = recommendation.RatingRBM(20, 2, 4)
    levels = np.where(known, likes, -1).astype(np.int32)
    learner = jn.gradient_learner(rbm.init, objective, jn.optimizer("adam", 0.05))

    @jax.jit
    def train_and_predict(key, levels):
        state, _ = jn.fit(learner, key, {"x": levels}, batch_size=20, num_epochs=60)
        return rbm.level_probabilities(state.params, rbm.one_hot(levels))

    predicted = np.asarray(train_and_predict(key, levels))[..., 1]
    assert ((predicted > 0.5) == likes)[~known].mean() > 0.95
