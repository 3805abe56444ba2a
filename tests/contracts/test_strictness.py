"""Nothing in the library promotes dtypes or ranks implicitly.

Both are decided while a function is traced, so nothing is compiled here. Users who set
`jax_numpy_dtype_promotion="strict"` or `jax_numpy_rank_promotion="raise"` can use all of it.
Gradients of objectives and fits of learners, which test_objectives.py and test_lowering.py trace,
are traced strictly there.
"""

import jax
import jax.numpy as jnp
import pytest

import jaxnet as jn
from tests.contracts.registry import (
    BATCHES,
    OBJECTIVES,
    RBM,
    VAE,
    X,
)
from tests.contracts.registry_over_time import OVER_TIME
from tests.contracts.test_networks import NETWORKS

KEY = jax.eval_shape(lambda: jax.random.key(0))
CENTERS = jax.ShapeDtypeStruct((3, 6), jnp.float32)
LABELS = jax.ShapeDtypeStruct((8,), jnp.int32)
LOGITS = jax.ShapeDtypeStruct((8, 3), jnp.float32)
SCORES = jax.ShapeDtypeStruct((8,), jnp.float32)


pytestmark = pytest.mark.usefixtures("strict")


def test_strictness_is_in_force():
    with pytest.raises(ValueError, match="rank"):
        jax.eval_shape(jnp.add, LOGITS, jax.ShapeDtypeStruct((3,), jnp.float32))
    with pytest.raises(ValueError, match="promotion"):
        jax.eval_shape(jnp.add, SCORES, LABELS)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    network, shape = NETWORKS[name]
    params = jax.eval_shape(network.init, KEY)
    x = jax.ShapeDtypeStruct((4, 3, *shape), jnp.float32)

    def loss(params, x, key):
        outputs = network.apply(params, x, key=key)
        return sum(leaf.sum() for leaf in jax.tree.leaves(outputs))

    jax.eval_shape(network.apply, params, x)
    jax.eval_shape(jax.grad(loss), params, x, KEY)


@pytest.mark.parametrize("name", OVER_TIME)
def test_networks_over_time(name):
    network, _, num_tokens, _ = case = OVER_TIME[name]
    params = jax.eval_shape(network.init, KEY)
    values = jax.eval_shape(lambda: jnp.asarray(case.example((2, 3, 5))))
    length = jax.ShapeDtypeStruct((2, 3), jnp.int32)

    def loss(params, values, length, key):
        outputs = network.apply(params, jn.Sequences(values, length), key=key)
        return (outputs.values if isinstance(outputs, jn.Sequences) else outputs).sum()

    jax.eval_shape(network.apply, params, jn.Sequences(values, length))
    jax.eval_shape(jax.grad(loss, 0 if num_tokens else (0, 1)), params, values, length, KEY)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_without_a_key(name):
    objective, init, batch = OBJECTIVES[name]
    if name not in ("contrastive_divergence", "importance_weighted", "rating_divergence"):
        params = jax.eval_shape(init, KEY)
        jax.eval_shape(lambda params, batch: objective(params, batch, None), params, batch)


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", jn.optimizer_names())
def test_optimizers(name):
    """Optax raises a float to the power of an integer count, so its dtypes are left alone.

    The loss has a scale and the network computes in float16, which no optimizer may depend on.
    """
    network = jn.mlp([6, 3])
    objective = jn.with_loss_scale(jn.classification(jn.compute_in(network, jnp.float16)))

    def make(key):
        return jn.optimizer(name, weight_decay=1e-4, clip_norm=1.0, key=key)

    with jax.numpy_dtype_promotion("standard"):
        learner = jn.gradient_learner(network.init, objective, make)
        state = jax.eval_shape(learner.init, KEY)
        new, metrics = jax.eval_shape(learner.step, state, {"x": X, "y": LABELS})
    types = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (state, new)]
    assert types[0] == types[1]
    assert {leaf.dtype for leaf in metrics.values()} == {jnp.dtype("float32")}


def _mixture(key, x, kind):
    mixture = jn.clustering.fit_gaussian_mixture(key, x, 3, covariance=kind).mixture
    return mixture, jn.clustering.bic(mixture, x), jn.clustering.responsibilities(mixture, x)


@pytest.mark.parametrize("name", BATCHES)
def test_batches(name):
    batches, data = BATCHES[name]

    def batch(data, key, step):
        num_steps = batches.num_steps(data)
        return batches.take(data, batches.plan(data, key, step // num_steps), step % num_steps)

    jax.eval_shape(batch, data, KEY, jax.ShapeDtypeStruct((), jnp.int32))


FUNCTIONS = {
    "accuracy": (jn.metrics.accuracy, LOGITS, LABELS),
    "log_loss": (jn.metrics.log_loss, LOGITS, LABELS),
    "top_k_accuracy": (lambda *a: jn.metrics.top_k_accuracy(*a, k=2), LOGITS, LABELS),
    "expected_calibration_error": (jn.metrics.expected_calibration_error, LOGITS, LABELS),
    "confusion_matrix": (lambda *a: jn.metrics.confusion_matrix(*a, num_classes=3), LABELS, LABELS),
    "binary_log_loss": (jn.metrics.binary_log_loss, SCORES, LABELS),
    "roc_auc": (jn.metrics.roc_auc, SCORES, LABELS),
    "average_precision": (jn.metrics.average_precision, SCORES, LABELS),
    "threshold_curve": (jn.metrics.threshold_curve, SCORES, LABELS),
    "mean_squared_error": (jn.metrics.mean_squared_error, SCORES, SCORES),
    "r2_score": (jn.metrics.r2_score, SCORES, SCORES),
    "silhouette_score": (lambda *a: jn.metrics.silhouette_score(*a, num_clusters=3), X, LABELS),
    "squared_distances": (jn.metrics.squared_distances, X, CENTERS),
    "lloyd": (jn.clustering.lloyd, X, CENTERS),
    "fit_kmeans": (lambda k, x: jn.clustering.fit_kmeans(k, x, 3, num_restarts=2), KEY, X),
    **{
        kind: (lambda k, x, kind=kind: _mixture(k, x, kind), KEY, X)
        for kind in ("full", "tied", "diagonal", "spherical")
    },
    "nearest_neighbors": (lambda q, x: jn.neighbors.nearest_neighbors(q, x, k=2), CENTERS, X),
    "log_likelihood": (
        lambda p, x, k: jn.autoencoders.log_likelihood(VAE, p, x, k, num_samples=3),
        jax.eval_shape(VAE.init, KEY),
        X,
        KEY,
    ),
    "sample_prior": (
        lambda p, k: jn.autoencoders.sample_prior(VAE, p, k, num_samples=3),
        jax.eval_shape(VAE.init, KEY),
        KEY,
    ),
    "log_partition": (lambda p: jn.boltzmann.log_partition(RBM, p), jax.eval_shape(RBM.init, KEY)),
    "annealed_importance_sampling": (
        lambda p, k: jn.boltzmann.annealed_importance_sampling(
            RBM, p, k, base_bias=p["visible_bias"], betas=jn.boltzmann.annealing_schedule(9)
        ),
        jax.eval_shape(RBM.init, KEY),
        KEY,
    ),
    "fit_pca": (lambda x: jn.autoencoders.fit_pca(x, 2), X),
    "free_energy": (lambda p, x: RBM.free_energy(p, x), jax.eval_shape(RBM.init, KEY), X),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    function, *arguments = FUNCTIONS[name]
    jax.eval_shape(function, *arguments)
