"""The ladder network against one written in NumPy from algorithm 1 of Rasmus et al. (2015)."""

import jax
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from scipy.special import expit, softmax

import jaxnet as jn

DIMS, WEIGHTS, STD = [5, 6, 4, 3], [3.0, 0.5, 0.0, 0.2], 0.4
LADDER = jn.objectives.ladder(DIMS, denoising_weights=WEIGHTS, noise_std=STD)


def normalized(z):
    return (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-10)


def encoder(params, x, noise):
    """Noisy layers, logits, and the activations before they are normalized."""
    h = x + noise[0]
    layers, before = [h], []
    for index in range(1, len(DIMS)):
        layer = params[f"encoder_{index}"]
        before.append(h @ layer["kernel"])
        z = normalized(before[-1]) + noise[index]
        layers.append(z)
        h = z + layer["bias"]
        h = np.maximum(h, 0) if index < len(DIMS) - 1 else layer["scale"] * h
    return layers, h, before


def denoised(combinator, z, u):
    a = [None, *combinator]  # a_1 to a_10, as in the paper
    mean = a[1] * expit(a[2] * u + a[3]) + a[4] * u + a[5]
    gate = a[6] * expit(a[7] * u + a[8]) + a[9] * u + a[10]
    return (z - mean) * gate + mean


def losses(params, batch, noise_labeled, noise):
    """The supervised loss, and that of each layer."""
    _, outputs, _ = encoder(params, batch["labeled"]["x"], noise_labeled)
    y = batch["labeled"]["y"]
    supervised = -np.log(softmax(outputs, axis=1)[np.arange(len(y)), y]).mean()
    x = batch["unlabeled"]["x"]
    clean, _, before = encoder(params, x, [0.0] * len(DIMS))
    noisy, outputs, _ = encoder(params, x, noise)
    estimate, costs = softmax(outputs, axis=1), {}
    for index in reversed(range(len(DIMS))):
        layer = params[f"decoder_{index}"]
        u = normalized(estimate @ layer["kernel"] if index < len(DIMS) - 1 else estimate)
        estimate = denoised(layer["combinator"], noisy[index], u)
        compared = estimate
        if index > 0:
            z = before[index - 1]
            compared = (estimate - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-10)
        costs[index] = ((clean[index] - compared) ** 2).sum(axis=1).mean() / DIMS[index]
    return supervised, costs


@pytest.fixture
def case():
    """Random parameters of `LADDER` in float64, and a batch."""
    generator = np.random.default_rng(0)
    shapes = jax.eval_shape(LADDER.network.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: generator.normal(size=leaf.shape), shapes)
    batch = {
        "labeled": {"x": generator.normal(size=(4, 5)), "y": np.array([0, 1, 2, 1])},
        "unlabeled": {"x": generator.normal(size=(7, 5))},
    }
    return params, batch


def program(ladder):
    """The loss, the averages of the activations and the metrics, as one program."""

    @jax.jit
    def run(params, batch, key):
        extra = ladder.objective.init(params, jax.random.key(0))
        return ladder.objective.apply(params, extra, batch, key)

    return run


apply = program(LADDER)


@jax.jit
def noise_of(key):
    """The noise of each layer for 4 labeled and for 7 unlabeled examples."""

    def noise(key, num_examples):
        keys = jax.random.split(key, len(DIMS))
        return [
            STD * jax.random.normal(k, (num_examples, dim), "f8")
            for k, dim in zip(keys, DIMS, strict=True)
        ]

    label_key, noise_key = jax.random.split(key)
    return noise(label_key, 4), noise(noise_key, 7)


@pytest.mark.parametrize("with_noise", [False, True])
def test_losses_are_those_of_numpy(x64, key, case, with_noise):
    params, batch = case
    noise = jax.device_get(noise_of(key)) if with_noise else [[0.0] * len(DIMS)] * 2
    supervised, costs = losses(params, batch, *noise)
    expected = sum(weight * costs[index] for index, weight in enumerate(WEIGHTS))
    loss, (_, metrics) = apply(params, batch, key if with_noise else None)
    np.testing.assert_allclose(metrics["supervised_loss"], supervised, rtol=1e-6)
    np.testing.assert_allclose(metrics["unsupervised_loss"], expected, rtol=1e-6)
    np.testing.assert_allclose(loss, supervised + expected, rtol=1e-6)


def test_gradients_are_those_of_differences(x64, key, case):
    params, batch = case
    check_grads(lambda params: apply(params, batch, key)[0], (params,), 1, ["rev"], rtol=1e-4)


def test_evaluation_uses_averages_of_the_unlabeled_examples_without_noise(x64, key, case):
    params, batch = case
    _, _, before = encoder(params, batch["unlabeled"]["x"], [0.0] * len(DIMS))
    _, (extra, _) = apply(params, batch, key)
    for index, z in enumerate(before):
        np.testing.assert_allclose(extra.mean[index], z.mean(axis=0), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(extra.variance[index], z.var(axis=0, ddof=1), rtol=1e-6)
    h = x = np.random.default_rng(5).normal(size=(2, 5))
    for index, z in enumerate(before):
        layer = params[f"encoder_{index + 1}"]
        h = (h @ layer["kernel"] - z.mean(axis=0)) / np.sqrt(z.var(axis=0, ddof=1) + 1e-10)
        h = h + layer["bias"]
        h = np.maximum(h, 0) if index < len(before) - 1 else layer["scale"] * h
    outputs = jax.jit(LADDER.network.evaluation.apply)((params, extra), x)
    np.testing.assert_allclose(outputs, h, rtol=1e-6)
    # In training mode the network is the noisy pass, with statistics of its batch.
    trained, after = jax.jit(LADDER.network.apply)(params, extra, x, key=key)
    assert int(after.count) == 2 and trained.shape == (2, 3)


def test_the_gamma_model_has_a_decoder_at_the_top_alone(x64, key, case):
    params, batch = case
    weights = [0.0, 0.0, 0.0, 0.2]
    gamma = jn.objectives.ladder(DIMS, denoising_weights=weights, noise_std=STD)
    own = jax.eval_shape(gamma.network.init, key)
    assert [name for name in own if name.startswith("decoder")] == ["decoder_3"]
    assert list(own["decoder_3"]) == ["combinator"]
    few = {name: params[name] for name in own}
    supervised, costs = losses(params, batch, *[[0.0] * len(DIMS)] * 2)
    loss, _ = program(gamma)(few, batch, None)
    loss = float(loss)
    np.testing.assert_allclose(loss, supervised + 0.2 * costs[3], rtol=1e-6)
    # Weights that are traced are not known to be 0.
    traced = jax.vmap(
        lambda weight: program(
            jn.objectives.ladder(DIMS, denoising_weights=[weight, 0, 0, 0.2], noise_std=STD)
        )(params, batch, None)[0]
    )(np.array([0.0, 2.0]))
    expected = [loss, loss + 2 * costs[0]]
    np.testing.assert_allclose(traced, expected, rtol=1e-6)
    none = jn.objectives.ladder(DIMS, denoising_weights=[0, 0, 0, 0])
    assert not [name for name in jax.eval_shape(none.network.init, key) if "decoder" in name]


def test_examples_of_weight_zero_do_not_count_in_statistics(x64, key, case):
    params, batch = case
    padded = {
        name: {entry: np.concatenate([leaf, leaf[:2]]) for entry, leaf in part.items()}
        | {"weight": np.array([1.0] * len(part["x"]) + [0.0] * 2)}
        for name, part in batch.items()
    }
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
        apply(params, batch, None),
        apply(params, padded, None),
    )


def test_it_learns_from_unlabeled_examples(key):
    """Two groups with four labels each: the boundary lies between the groups."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 8)).astype(np.float32)
    y = generator.integers(2, size=200)
    x[:, :4] += 3.0 * (2 * y[:, None] - 1)
    first = np.concatenate([np.flatnonzero(y == label)[:4] for label in (0, 1)])
    data = {"labeled": {"x": x[first], "y": y[first]}, "unlabeled": {"x": x}}
    ladder = jn.objectives.ladder([8, 8, 2], denoising_weights=[10.0, 1.0, 0.1])
    learner = jn.gradient_learner(ladder.network.init, ladder.objective, optax.adam(0.01))
    batches = jn.training.side_by_side(
        {"labeled": jn.training.shuffled(8), "unlabeled": jn.training.shuffled(50)}
    )
    train = jax.jit(lambda key: jn.fit(learner, key, data, batches=batches, num_epochs=40))
    state, history = train(key)
    outputs = jax.jit(ladder.network.evaluation.apply)((state.params, state.extra), x)
    assert (np.asarray(outputs).argmax(axis=1) == y).mean() > 0.95
    losses = np.asarray(history["unsupervised_loss"])
    assert losses[-1] < 0.7 * losses[0]


def test_mistakes_are_named(key):
    with pytest.raises(ValueError, match="denoising_weights has length 2, expected 3"):
        jn.objectives.ladder([4, 3, 2], denoising_weights=[1.0, 1.0])
    with pytest.raises(ValueError, match="denoising_weights must not be negative, found -1"):
        jn.objectives.ladder([4, 2], denoising_weights=[1.0, -1.0])
