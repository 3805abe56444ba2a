"""What is made of several networks: ensembles that are selected, and distillation."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn

CLASSES, DIM = 3, 6


def test_a_greedy_ensemble_is_that_of_exhaustive_steps():
    rng = np.random.default_rng(1)
    predictions = rng.dirichlet(np.ones(3), size=(5, 40)).astype(np.float32)
    labels = rng.integers(0, 3, 40)

    def loss(mean):
        return -jnp.mean(jnp.log(mean[np.arange(40), labels]))

    chosen: list[int] = []
    for _ in range(4):
        trials = [
            -np.mean(np.log(predictions[[*chosen, m]].mean(0)[np.arange(40), labels]))
            for m in range(5)
        ]
        chosen.append(int(np.argmin(trials)))
    select = jax.jit(lambda predictions: jn.training.select_ensemble(predictions, loss, size=4))
    weights, losses = select(predictions)
    np.testing.assert_allclose(weights, np.bincount(chosen, minlength=5) / 4)
    np.testing.assert_allclose(losses[-1], min(trials), rtol=1e-5)
    mean = jax.jit(jn.training.ensemble_outputs)(weights, predictions)
    np.testing.assert_allclose(mean, predictions[chosen].mean(0), rtol=1e-5)


def test_distillation_is_the_mean_of_both_cross_entropies():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, DIM)).astype(np.float32)
    teacher = rng.normal(size=(7, CLASSES)).astype(np.float32)
    label = rng.integers(0, CLASSES, 7).astype(np.int32)
    network = jn.dense(DIM, CLASSES)
    objective = jn.objectives.distillation(network, temperature=3.0, label_weight=0.25)

    @jax.jit
    def evaluate(batch):
        params = network.init(jax.random.key(0))
        return params, *objective(params, batch, None)

    params, loss, metrics = evaluate({"x": x, "y": {"teacher": teacher, "label": label}})
    logits = np.asarray(x @ np.asarray(params["kernel"], float) + np.asarray(params["bias"]))

    def log_softmax(z):
        return z - np.log(np.exp(z).sum(-1, keepdims=True))

    soft = -np.sum(np.exp(log_softmax(teacher / 3)) * log_softmax(logits / 3), -1).mean()
    hard = -log_softmax(logits)[np.arange(7), label].mean()
    np.testing.assert_allclose(loss, 0.75 * 9 * soft + 0.25 * hard, rtol=1e-5)
    np.testing.assert_allclose(metrics["agreement"], (logits.argmax(1) == teacher.argmax(1)).mean())
