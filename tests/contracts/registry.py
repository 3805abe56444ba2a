"""Objectives, learners and whole fits of the library on small data, for the laws that all obey."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnet as jn

N, DIM, CODE, CLUSTERS = 8, 6, 2, 3

# Laws of objectives and learners need no hidden layers, which compile longer than what is tested.
MLP = jn.mlp([DIM, 4], input_dropout=0.3)
HEADS = jn.nn.heads(
    jn.mlp([DIM, 5, 5])[:-1], {"class": jn.mlp([5, 4], input_dropout=0.3), "size": jn.dense(5, 1)}
)
AUTOENCODER = jn.autoencoders.mlp_autoencoder([DIM, CODE], code_activation=jax.nn.sigmoid)
VAE = jn.autoencoders.mlp_variational_autoencoder([DIM, CODE])
EVENTS = jn.chain(jn.activation(lambda x: jax.nn.one_hot(x, 4)), jn.dense(4, 4))
NORMALIZED = jn.nn.batch_norm_mlp([DIM, 4])
LADDER = jn.objectives.ladder([DIM, 5, 4], denoising_weights=[1.0, 0.0, 0.1])
SHORT_LADDER = jn.objectives.ladder([DIM, 4], denoising_weights=[1.0, 0.1])
RBM = jn.boltzmann.RBM(num_visible=DIM, num_hidden=4)
RATING_RBM = jn.recommendation.RatingRBM(num_items=DIM, num_levels=2, num_hidden=4)
AUTOREC = jn.recommendation.autorec(DIM, 4, dropout=0.2)
MULT_VAE = jn.recommendation.multinomial_autoencoder([DIM, CODE])
FACTORS = jn.recommendation.matrix_factorization(3, 4, 2)

Shape = jax.ShapeDtypeStruct
X = Shape((N, DIM), jnp.float32)
WEIGHT = Shape((N,), jnp.float32)
LABELS = {"x": X, "y": Shape((N,), jnp.int32), "weight": WEIGHT}
INPUTS = {"x": X, "weight": WEIGHT}


class Case(NamedTuple):
    """An objective, the parameters that it takes, and the shapes of a batch."""

    objective: Any
    init: Any
    batch: Any


def _embedded_params(key):
    return {
        "autoencoder": AUTOENCODER.init(key),
        "centers": jax.random.normal(key, (CLUSTERS, CODE)),
    }


def _vade_params(key):
    weights = jnp.full(CLUSTERS, 1 / CLUSTERS)
    means = jax.random.normal(key, (CLUSTERS, CODE))
    mixture = jn.clustering.mixture_params(weights, means, jnp.ones((CLUSTERS, CODE)))
    return {"autoencoder": VAE.init(key), "mixture": mixture}


def _with_state(objective):
    """A stateful objective with the state that it starts with."""

    def first(params, batch, key):
        extra = objective.init(params, jax.random.key(0))
        loss, (_, metrics) = objective.apply(params, extra, batch, key)
        return loss, metrics

    return first


def _of_both_parts(objective):
    """An objective of labeled and unlabeled examples on a batch in which they are the same ones."""

    def parts(batch):
        return {"labeled": batch, "unlabeled": {n: leaf for n, leaf in batch.items() if n != "y"}}

    if not isinstance(objective, jn.StatefulObjective):
        return lambda params, batch, key: objective(params, parts(batch), key)

    def apply(params, extra, batch, key):
        return objective.apply(params, extra, parts(batch), key)

    return jn.StatefulObjective(objective.init, apply)


def _semi_supervised() -> dict[str, Any]:
    """Objectives of labeled and unlabeled examples, and the first parameters of each."""
    of, noise = jn.objectives, jn.nn.gaussian_noise(0.2)

    def pi_model(weight):
        return of.pi_model(MLP, unlabeled_weight=weight, augmentation=noise)

    cases = {
        "pseudo_labels": (of.pseudo_labels(MLP, unlabeled_weight=0.5, threshold=0.3), MLP),
        "pi_model": (pi_model(2.0), MLP),
        "scheduled": (of.scheduled(pi_model, of.ramp_up(3, 2.0)), MLP),
        "mean_teacher": (
            of.mean_teacher(MLP, unlabeled_weight=2.0, decay=0.9, augmentation=noise),
            MLP,
        ),
        "virtual_adversarial": (
            of.virtual_adversarial(MLP, radius=0.5, entropy_weight=0.1, num_power_iterations=2),
            MLP,
        ),
        "virtual_adversarial_normalized": (
            of.virtual_adversarial(NORMALIZED, radius=0.5, difference=0.1),
            NORMALIZED,
        ),
        "fixmatch": (
            of.fixmatch(MLP, weak=noise, strong=noise, unlabeled_weight=0.5, threshold=0.3),
            MLP,
        ),
        "ladder": (LADDER.objective, LADDER.network),
    }
    return {name: (_of_both_parts(each), network.init) for name, (each, network) in cases.items()}


SEMI_SUPERVISED = _semi_supervised()


def _objectives() -> dict[str, Case]:
    regressor, scorer = jn.mlp([DIM, 1]), jn.mlp([DIM, 1], input_dropout=0.3)
    outputs = jn.mlp([DIM, 3])
    classify, rebuild = jn.classification(MLP), jn.autoencoders.reconstruction(AUTOENCODER)
    bernoulli = jn.autoencoders.bernoulli_reconstruction(AUTOENCODER)
    clusters = jn.clustering
    penalties = {
        "l1_sparsity": jn.autoencoders.with_l1_sparsity(rebuild, AUTOENCODER, 0.3),
        "kl_sparsity": jn.autoencoders.with_kl_sparsity(rebuild, AUTOENCODER, 0.3),
        "contraction": jn.autoencoders.with_contraction(rebuild, AUTOENCODER, 0.3),
        "probed_contraction": jn.autoencoders.with_contraction(
            rebuild, AUTOENCODER, 0.3, num_probes=2
        ),
        "noise": jn.with_noise(bernoulli, jn.nn.masking_noise(0.2)),
        "binarized": jn.with_augmentation(bernoulli, jn.nn.bernoulli_sampling()),
        "reconstruction": rebuild,
        "bernoulli_reconstruction": bernoulli,
    }
    targets = INPUTS | {"p": Shape((N, CLUSTERS), jnp.float32)}
    return {
        "classification": Case(classify, MLP.init, LABELS),
        "binary_classification": Case(jn.binary_classification(scorer), scorer.init, LABELS),
        "regression": Case(jn.regression(regressor), regressor.init, INPUTS | {"y": WEIGHT}),
        "regression_of_vectors": Case(
            jn.regression(outputs), outputs.init, INPUTS | {"y": Shape((N, 3), jnp.float32)}
        ),
        "soft_classification": Case(
            jn.classification(MLP), MLP.init, INPUTS | {"y": Shape((N, 4), jnp.float32)}
        ),
        "multilabel_classification": Case(
            jn.multilabel_classification(outputs),
            outputs.init,
            INPUTS | {"y": Shape((N, 3), jnp.int32)},
        ),
        "multitask": Case(
            jn.objectives.multitask(HEADS, {"class": jn.classification, "size": jn.regression}),
            HEADS.init,
            INPUTS | {"y": {"class": LABELS["y"], "size": WEIGHT}},
        ),
        "quantile_regression": Case(
            jn.objectives.quantile_regression(outputs, (0.05, 0.5, 0.95)),
            outputs.init,
            INPUTS | {"y": WEIGHT},
        ),
        **{
            name: Case(
                _with_state(each) if isinstance(each, jn.StatefulObjective) else each, init, LABELS
            )
            for name, (each, init) in SEMI_SUPERVISED.items()
        },
        "l1": Case(jn.with_l1(classify, 0.1), MLP.init, LABELS),
        "l2": Case(jn.with_l2(classify, 0.1), MLP.init, LABELS),
        "loss_scale": Case(_with_state(jn.with_loss_scale(classify)), MLP.init, LABELS),
        "augmentation": Case(
            jn.with_augmentation(classify, jn.random_affine((2, 3, 1), max_shift=0.5)),
            MLP.init,
            LABELS,
        ),
        **{name: Case(each, AUTOENCODER.init, INPUTS) for name, each in penalties.items()},
        "negative_elbo": Case(jn.autoencoders.negative_elbo(VAE), VAE.init, INPUTS),
        "importance_weighted": Case(jn.autoencoders.importance_weighted(VAE, 3), VAE.init, INPUTS),
        "contrastive_divergence": Case(jn.boltzmann.contrastive_divergence(RBM), RBM.init, INPUTS),
        "observed_reconstruction": Case(
            jn.recommendation.observed_reconstruction(AUTOREC), AUTOREC.init, INPUTS
        ),
        "multinomial_elbo": Case(
            _with_state(jn.recommendation.multinomial_elbo(MULT_VAE)), MULT_VAE.init, INPUTS
        ),
        "rating_divergence": Case(
            jn.recommendation.rating_divergence(RATING_RBM),
            RATING_RBM.init,
            {"x": Shape((N, DIM), jnp.int32), "weight": WEIGHT},
        ),
        "factorization": Case(
            jn.recommendation.factorization_objective(FACTORS, 0.1),
            FACTORS.init,
            {"x": Shape((N, 2), jnp.int32), "y": WEIGHT, "weight": WEIGHT},
        ),
        "deep_embedded_clustering": Case(
            clusters.deep_embedded_clustering(AUTOENCODER), _embedded_params, targets
        ),
        "improved_deep_embedded_clustering": Case(
            clusters.improved_deep_embedded_clustering(AUTOENCODER, rebuild),
            _embedded_params,
            targets,
        ),
        "deep_clustering_network": Case(
            clusters.deep_clustering_network(AUTOENCODER, rebuild, strength=0.1),
            _embedded_params,
            INPUTS | {"cluster": Shape((N,), jnp.int32)},
        ),
        "next_event": Case(
            jn.anomaly.next_event(EVENTS),
            EVENTS.init,
            {"x": Shape((N, DIM), jnp.int32), "weight": WEIGHT},
        ),
        "variational_deep_embedding": Case(
            clusters.variational_deep_embedding(VAE), _vade_params, INPUTS
        ),
    }


OBJECTIVES = _objectives()


class Training(NamedTuple):
    """A learner, the shapes of a data set, and hooks."""

    learner: jn.Learner
    data: Any
    hooks: Any = ()


def _learners() -> dict[str, Training]:
    rebuild = jn.autoencoders.reconstruction(AUTOENCODER)
    classify = jn.gradient_learner(MLP.init, jn.classification(MLP), optax.sgd(1e-3))
    chains = jn.boltzmann.persistent_contrastive_divergence(RBM, num_chains=5)
    embedded = jn.clustering.with_targets(
        jn.clustering.deep_embedded_clustering(AUTOENCODER), num_examples=N
    )
    return {
        **{
            name: Training(jn.gradient_learner(init, each, optax.sgd(1e-3)), LABELS)
            for name, (each, init) in SEMI_SUPERVISED.items()
            if name in ("scheduled", "mean_teacher", "virtual_adversarial_normalized")
        },
        "ladder": Training(
            jn.gradient_learner(
                SHORT_LADDER.network.init, _of_both_parts(SHORT_LADDER.objective), optax.sgd(1e-3)
            ),
            LABELS,
        ),
        "gradient_learner": Training(classify, LABELS),
        "averaged_learner": Training(jn.training.averaged_learner(classify, 0.9), LABELS),
        "augmented_learner": Training(
            jn.training.augmented_learner(classify, jn.nn.gaussian_noise(0.2)), LABELS
        ),
        "loss_scaled": Training(
            jn.gradient_learner(
                MLP.init,
                jn.with_loss_scale(
                    jn.classification(jn.compute_in(MLP, jnp.float16)), growth_interval=2
                ),
                optax.sgd(1e-3),
            ),
            LABELS,
        ),
        "minibatch_kmeans_learner": Training(
            jn.clustering.minibatch_kmeans_learner(
                lambda key: jax.random.normal(key, (CLUSTERS, DIM))
            ),
            INPUTS,
        ),
        "persistent_contrastive_divergence": Training(
            jn.gradient_learner(RBM.init, chains, optax.sgd(0.1)), INPUTS
        ),
        "deep_embedded_clustering": Training(
            jn.gradient_learner(_embedded_params, embedded, optax.sgd(1e-3)),
            INPUTS | {"index": Shape((N,), jnp.int32)},
            ((3, jn.clustering.refresh_targets(AUTOENCODER)),),
        ),
        "deep_clustering_network_learner": Training(
            jn.clustering.deep_clustering_network_learner(
                _embedded_params, AUTOENCODER, rebuild, optax.sgd(1e-3), strength=0.1
            ),
            INPUTS,
        ),
    }


LEARNERS = _learners()

BATCHES = {
    "shuffled": (jn.training.shuffled(4), LABELS),
    "shuffled_shards": (jn.training.shuffled(4, num_shards=2), LABELS),
    "index_shuffled": (jn.training.index_shuffled(4), LABELS),
    "index_shuffled_blocks": (jn.training.index_shuffled(4, blocks=3, window=2), LABELS),
    "in_order": (jn.training.in_order(2, length=2), LABELS),
    "balanced": (jn.training.balanced(4, num_classes=4), LABELS),
    "side_by_side": (
        jn.training.side_by_side(
            {"labeled": jn.training.shuffled(2), "unlabeled": jn.training.shuffled(4)}
        ),
        {"labeled": LABELS, "unlabeled": INPUTS},
    ),
}


def example_data(shapes: Any, seed: int = 0) -> Any:
    """Data of the shapes of a case: uniform numbers, labels 0 and 1, every index once."""
    generator = np.random.default_rng(seed)

    def draw(path: Any, leaf: Shape) -> Any:
        if getattr(path[-1], "key", None) == "index":
            return np.arange(leaf.shape[0], dtype=leaf.dtype)
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            return generator.integers(2, size=leaf.shape).astype(leaf.dtype)
        return generator.uniform(0.1, 0.9, size=leaf.shape).astype(leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def example_params(init: Any, seed: int = 0) -> Any:
    """Parameters of the structure that `init` gives them, drawn by NumPy: nothing is compiled."""
    generator = np.random.default_rng(seed)
    shapes = jax.eval_shape(init, jax.random.key(0))
    return jax.tree.map(
        lambda leaf: np.asarray(generator.normal(size=leaf.shape) / 2, leaf.dtype), shapes
    )
