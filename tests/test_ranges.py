"""Every argument that is a number with a range is checked, whatever kind of number it is."""

import inspect
import math
import typing

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet import autoencoders, boltzmann, clustering, metrics, nn, objectives, optim, training
from jaxnet.clustering import deep
from jaxnet.training.hooks import schedule_hooks

AUTOENCODER = autoencoders.mlp_autoencoder([4, 3, 2])
VARIATIONAL = autoencoders.mlp_variational_autoencoder([4, 2])
KEY, X = jax.random.key(0), jnp.ones((3, 2))
NETWORK = jn.dense(4, 3)
LEARNER = jn.gradient_learner(NETWORK.init, jn.regression(NETWORK), optax.sgd(0.1))
IMAGES = jnp.ones((2, 4, 4, 1))


def zero(params, batch, key):
    return jnp.zeros(()), {}


def trivial(*_):
    """A learner that learns nothing, so that calls which train cost nothing."""

    def init(key):
        return training.TrainState({}, (), (), key, jnp.zeros((), jnp.int32))

    def step(state, batch):
        return state._replace(step=state.step + 1), {"loss": jnp.zeros(())}

    return jn.Learner(init, step)


TRIVIAL, DATA = trivial(), {"x": jnp.ones((4, 2)), "y": jnp.zeros(4, int)}
STATE, STEPS = TRIVIAL.init(KEY), {"loss": jnp.zeros(2)}
RBM = boltzmann.RBM(num_visible=2, num_hidden=2)
LABELS = jnp.array([0, 1, 1])
BEST = training.init_best({})
MIXTURE = clustering.GaussianMixture(jnp.full(2, 0.5), jnp.eye(2), jnp.ones(2))


def identity(params, x, *, key=None):
    return x


def spread(function, name, *arguments, **options):
    """The call as a function of one of its arguments, for factories: nothing is computed."""
    return lambda value: function(*arguments, **options, **{name: value})


def traced(function, name, *arguments, **options):
    """The same for functions that compute: they are traced, but the argument is known."""

    def call(value):
        jax.eval_shape(lambda: function(*arguments, **options, **{name: value}))

    return call


def of_a_model(function, name, *arguments, **options):
    """The same for functions of a model and its parameters."""

    def call(value):
        def run(key):
            params = VARIATIONAL.init(key)
            return function(VARIATIONAL, params, *arguments, **options, **{name: value})

        jax.eval_shape(run, KEY)

    return call


# (function, argument) -> (call, numbers inside the range, numbers outside).
NUMBERS = {
    (nn.dropout, "rate"): (spread(nn.dropout, "rate"), (0.0, 0.5), (-0.5, 1.0, 1.5)),
    (nn.layer_norm, "epsilon"): (spread(nn.layer_norm, "epsilon", 3), (0.0, 1e-6), (-1.0,)),
    (nn.masking_noise, "rate"): (spread(nn.masking_noise, "rate"), (0.0, 0.5), (-0.5, 1.0)),
    (nn.salt_and_pepper_noise, "rate"): (
        spread(nn.salt_and_pepper_noise, "rate"),
        (0.0, 0.5),
        (-0.5, 1.0),
    ),
    (nn.gaussian_noise, "scale"): (
        spread(nn.gaussian_noise, "scale"),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (nn.random_affine, "max_shift"): (
        spread(nn.random_affine, "max_shift", (4, 4, 1)),
        (0.0, 1.5),
        (-0.5, math.inf),
    ),
    (nn.random_affine, "max_rotation"): (
        spread(nn.random_affine, "max_rotation", (4, 4, 1)),
        (0.0, 90.0),
        (-0.5, math.inf),
    ),
    (nn.random_affine, "max_scale"): (
        spread(nn.random_affine, "max_scale", (4, 4, 1)),
        (0.0, 0.5),
        (-0.5, 1.0),
    ),
    (nn.transform_images, "scale"): (
        traced(nn.transform_images, "scale", IMAGES),
        (0.5, 2.0),
        (0.0, -1.0, math.inf),
    ),
    (nn.mlp, "dropout"): (spread(nn.mlp, "dropout", [4, 3, 2]), (0.0, 0.5), (-0.5, 1.0)),
    (nn.mlp, "input_dropout"): (
        spread(nn.mlp, "input_dropout", [4, 3, 2]),
        (0.0, 0.5),
        (-0.5, 1.0),
    ),
    (nn.cnn, "dropout"): (spread(nn.cnn, "dropout", (4, 4, 1), [2], [2]), (0.0, 0.5), (1.0,)),
    (objectives.with_l1, "strength"): (
        spread(objectives.with_l1, "strength", zero),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (objectives.with_l2, "strength"): (
        spread(objectives.with_l2, "strength", zero),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (objectives.classification, "label_smoothing"): (
        spread(objectives.classification, "label_smoothing", NETWORK),
        (0.0, 0.1),
        (-0.1, 1.0),
    ),
    (optim.optimizer, "learning_rate"): (
        spread(optim.optimizer, "learning_rate", "adam"),
        (0.1,),
        (0.0, -1.0, math.inf),
    ),
    (optim.optimizer, "weight_decay"): (
        spread(optim.optimizer, "weight_decay", "adam"),
        (0.0, 0.1),
        (-1.0, math.inf),
    ),
    (optim.optimizer, "clip_norm"): (
        spread(optim.optimizer, "clip_norm", "adam"),
        (0.1,),
        (0.0, -1.0, math.inf),
    ),
    (optim.schedule, "peak"): (
        spread(optim.schedule, "peak", "cosine", num_steps=10),
        (0.1,),
        (0.0, -1.0, math.inf),
    ),
    (optim.schedule, "warmup_fraction"): (
        spread(optim.schedule, "warmup_fraction", "cosine", 0.1, num_steps=10),
        (0.1,),
        (0.0, 1.0),
    ),
    (optim.schedule, "final_fraction"): (
        spread(optim.schedule, "final_fraction", "cosine", 0.1, num_steps=10),
        (0.1, 1.0),
        (0.0, 1.5),
    ),
    (autoencoders.with_l1_sparsity, "strength"): (
        spread(autoencoders.with_l1_sparsity, "strength", zero, AUTOENCODER),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (autoencoders.with_kl_sparsity, "strength"): (
        spread(autoencoders.with_kl_sparsity, "strength", zero, AUTOENCODER),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (autoencoders.with_kl_sparsity, "target"): (
        spread(autoencoders.with_kl_sparsity, "target", zero, AUTOENCODER, 1.0),
        (0.1,),
        (0.0, 1.0),
    ),
    (autoencoders.with_contraction, "strength"): (
        spread(autoencoders.with_contraction, "strength", zero, AUTOENCODER),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (autoencoders.gaussian_likelihood, "scale"): (
        spread(autoencoders.gaussian_likelihood, "scale"),
        (0.1,),
        (0.0, -1.0, math.inf),
    ),
    (training.averaged_learner, "decay"): (
        spread(training.averaged_learner, "decay", LEARNER),
        (0.0, 1.0),
        (-0.5, 1.5),
    ),
    (deep.embedded.deep_embedded_clustering, "degrees_of_freedom"): (
        spread(deep.embedded.deep_embedded_clustering, "degrees_of_freedom", AUTOENCODER),
        (1.0,),
        (0.0, -1.0),
    ),
    (deep.dcn.deep_clustering_network_learner, "initial_count"): (
        spread(
            deep.dcn.deep_clustering_network_learner,
            "initial_count",
            AUTOENCODER.init,
            AUTOENCODER,
            zero,
            optax.sgd(0.1),
            strength=0.5,
        ),
        (0.0, 10.0),
        (-1.0,),
    ),
    (deep.reset.reset_and_recluster, "factor"): (
        spread(deep.reset.reset_and_recluster, "factor", AUTOENCODER, AUTOENCODER.init),
        (0.0, 1.0),
        (-0.5, 1.5),
    ),
    (clustering.fit_kmeans, "tolerance"): (
        traced(clustering.fit_kmeans, "tolerance", KEY, X, 2),
        (0.0, 0.1),
        (-1.0, math.inf),
    ),
    (clustering.fit_gaussian_mixture, "tolerance"): (
        traced(clustering.fit_gaussian_mixture, "tolerance", KEY, X, 2),
        (0.0, 0.1),
        (-1.0, math.inf),
    ),
    (clustering.fit_gaussian_mixture, "min_variance"): (
        traced(clustering.fit_gaussian_mixture, "min_variance", KEY, X, 2),
        (0.0, 0.1),
        (-1.0, math.inf),
    ),
    (deep.dcn.deep_clustering_network_learner, "strength"): (
        spread(
            deep.dcn.deep_clustering_network_learner,
            "strength",
            AUTOENCODER.init,
            AUTOENCODER,
            zero,
            optax.sgd(0.1),
        ),
        (0.0, 1.0),
        (-0.5,),
    ),
    (deep.embedded.improved_deep_embedded_clustering, "degrees_of_freedom"): (
        spread(
            deep.embedded.improved_deep_embedded_clustering,
            "degrees_of_freedom",
            AUTOENCODER,
            zero,
        ),
        (1.0,),
        (0.0, -1.0),
    ),
    (deep.embedded.refresh_targets, "degrees_of_freedom"): (
        spread(deep.embedded.refresh_targets, "degrees_of_freedom", AUTOENCODER),
        (1.0,),
        (0.0, -1.0),
    ),
    (clustering.lloyd, "tolerance"): (
        traced(clustering.lloyd, "tolerance", X, X[:2]),
        (0.0, 0.1),
        (-1.0, math.inf),
    ),
    (clustering.expectation_maximization, "tolerance"): (
        traced(clustering.expectation_maximization, "tolerance", X, MIXTURE),
        (0.0, 0.1),
        (-1.0, math.inf),
    ),
    (clustering.expectation_maximization, "min_variance"): (
        traced(clustering.expectation_maximization, "min_variance", X, MIXTURE),
        (0.0, 0.1),
        (-1.0, math.inf),
    ),
    (deep.assignments.student_t_assignments, "degrees_of_freedom"): (
        traced(
            deep.assignments.student_t_assignments,
            "degrees_of_freedom",
            jnp.ones((3, 2)),
            jnp.ones((2, 2)),
        ),
        (1.0,),
        (0.0, -1.0),
    ),
    (deep.reset.soft_reset, "factor"): (
        traced(deep.reset.soft_reset, "factor", KEY, {}, lambda key: {}),
        (0.0, 1.0),
        (-0.5, 1.5),
    ),
    (deep.dcn.deep_clustering_network, "strength"): (
        spread(deep.dcn.deep_clustering_network, "strength", AUTOENCODER, zero),
        (0.0, 1.0),
        (-0.5,),
    ),
    (deep.embedded.improved_deep_embedded_clustering, "strength"): (
        spread(deep.embedded.improved_deep_embedded_clustering, "strength", AUTOENCODER, zero),
        (0.0, 1.0),
        (-0.5,),
    ),
    (metrics.cost_threshold, "false_positive_cost"): (
        traced(
            metrics.cost_threshold,
            "false_positive_cost",
            jnp.ones(2),
            jnp.array([0, 1]),
            false_negative_cost=1.0,
        ),
        (0.0, 1.0),
        (-1.0, math.inf),
    ),
    (metrics.cost_threshold, "false_negative_cost"): (
        traced(
            metrics.cost_threshold,
            "false_negative_cost",
            jnp.ones(2),
            jnp.array([0, 1]),
            false_positive_cost=1.0,
        ),
        (0.0, 1.0),
        (-1.0, math.inf),
    ),
    (metrics.threshold_at_false_positive_rate, "budget"): (
        traced(metrics.threshold_at_false_positive_rate, "budget", jnp.ones(2), jnp.array([0, 1])),
        (0.0, 1.0),
        (-0.5, 1.5),
    ),
}

# (function, argument) -> (call, a number inside the range, a number outside).
COUNTS = {
    (nn.dense, "in_dim"): (spread(nn.dense, "in_dim", out_dim=2), 2, 0),
    (nn.dense, "out_dim"): (spread(nn.dense, "out_dim", 2), 2, 0),
    (nn.layer_norm, "dim"): (spread(nn.layer_norm, "dim"), 2, 0),
    (nn.flatten, "num_axes"): (spread(nn.flatten, "num_axes"), 2, 0),
    (nn.conv, "in_channels"): (spread(nn.conv, "in_channels", out_channels=2), 2, 0),
    (nn.conv, "out_channels"): (spread(nn.conv, "out_channels", 2), 2, 0),
    (nn.channels_last, "shape"): (lambda value: nn.channels_last((1, value, 1)), 2, 0),
    (nn.conv, "kernel_size"): (lambda value: nn.conv(1, 1, (3, value)), 2, 0),
    (nn.conv, "strides"): (lambda value: nn.conv(1, 1, strides=(value, 1)), 2, 0),
    (nn.max_pool, "window"): (lambda value: nn.max_pool((value, 2)), 2, 0),
    (nn.mean_pool, "window"): (lambda value: nn.mean_pool((value, 2)), 2, 0),
    (nn.reshape, "shape"): (lambda value: nn.reshape((value, 2)), 2, 0),
    (nn.upsample, "factors"): (lambda value: nn.upsample((value, 2)), 2, 0),
    (nn.random_affine, "image_shape"): (lambda value: nn.random_affine((4, value, 1)), 2, 0),
    (nn.mlp, "dims"): (lambda value: nn.mlp([4, value, 2]), 2, 0),
    (nn.cnn, "image_shape"): (lambda value: nn.cnn((4, 4, value), [2], [2]), 2, 0),
    (nn.cnn, "channels"): (lambda value: nn.cnn((4, 4, 1), [value], [2]), 2, 0),
    (nn.cnn, "dims"): (lambda value: nn.cnn((4, 4, 1), [2], [value, 2]), 2, 0),
    (nn.cnn, "kernel_size"): (spread(nn.cnn, "kernel_size", (4, 4, 1), [2], [2]), 2, 0),
    (nn.cnn, "convs_per_stage"): (spread(nn.cnn, "convs_per_stage", (4, 4, 1), [2], [2]), 2, 0),
    (nn.he_normal, "shape"): (
        lambda value: jax.eval_shape(lambda: nn.he_normal(KEY, (value, 2))),
        2,
        0,
    ),
    (nn.lecun_normal, "shape"): (
        lambda value: jax.eval_shape(lambda: nn.lecun_normal(KEY, (value, 2))),
        2,
        0,
    ),
    (optim.schedule, "num_steps"): (spread(optim.schedule, "num_steps", "cosine", 0.1), 10, 0),
    (autoencoders.mlp_autoencoder, "dims"): (
        lambda value: autoencoders.mlp_autoencoder([4, value]),
        2,
        0,
    ),
    (autoencoders.mlp_variational_autoencoder, "dims"): (
        lambda value: autoencoders.mlp_variational_autoencoder([4, value]),
        2,
        0,
    ),
    (autoencoders.cnn_autoencoder, "image_shape"): (
        lambda value: autoencoders.cnn_autoencoder((4, 4, value), [2], [2]),
        2,
        0,
    ),
    (autoencoders.cnn_autoencoder, "channels"): (
        lambda value: autoencoders.cnn_autoencoder((4, 4, 1), [value], [2]),
        2,
        0,
    ),
    (autoencoders.cnn_autoencoder, "dims"): (
        lambda value: autoencoders.cnn_autoencoder((4, 4, 1), [2], [value]),
        2,
        0,
    ),
    (autoencoders.cnn_autoencoder, "kernel_size"): (
        spread(autoencoders.cnn_autoencoder, "kernel_size", (4, 4, 1), [2], [2]),
        2,
        0,
    ),
    (autoencoders.check_autoencoder, "input_shape"): (
        lambda value: autoencoders.check_autoencoder(AUTOENCODER, [value]),
        4,
        0,
    ),
    (autoencoders.variational_autoencoder, "latent_dim"): (
        spread(autoencoders.variational_autoencoder, "latent_dim", NETWORK, NETWORK),
        2,
        0,
    ),
    (autoencoders.log_likelihood, "num_samples"): (
        of_a_model(autoencoders.log_likelihood, "num_samples", jnp.ones((1, 4)), KEY),
        2,
        0,
    ),
    (autoencoders.log_likelihood, "chunk_size"): (
        of_a_model(
            autoencoders.log_likelihood,
            "chunk_size",
            jnp.ones((1, 4)),
            KEY,
            num_samples=2,
        ),
        2,
        0,
    ),
    (autoencoders.sample_prior, "num_samples"): (
        of_a_model(autoencoders.sample_prior, "num_samples", KEY),
        2,
        0,
    ),
    (autoencoders.importance_weighted, "num_samples"): (
        spread(autoencoders.importance_weighted, "num_samples", VARIATIONAL),
        2,
        0,
    ),
    (autoencoders.with_contraction, "num_probes"): (
        spread(autoencoders.with_contraction, "num_probes", zero, AUTOENCODER, 1.0),
        2,
        0,
    ),
    (autoencoders.fit_pca, "num_components"): (
        traced(autoencoders.fit_pca, "num_components", jnp.eye(3)),
        2,
        0,
    ),
    (clustering.fit_kmeans, "num_clusters"): (
        traced(clustering.fit_kmeans, "num_clusters", KEY, X),
        2,
        0,
    ),
    (clustering.fit_kmeans, "max_iterations"): (
        traced(clustering.fit_kmeans, "max_iterations", KEY, X, 2),
        2,
        0,
    ),
    (clustering.fit_gaussian_mixture, "num_components"): (
        traced(clustering.fit_gaussian_mixture, "num_components", KEY, X),
        2,
        0,
    ),
    (clustering.fit_gaussian_mixture, "max_iterations"): (
        traced(clustering.fit_gaussian_mixture, "max_iterations", KEY, X, 2),
        2,
        0,
    ),
    (boltzmann.RBM, "num_visible"): (spread(boltzmann.RBM, "num_visible", num_hidden=2), 2, 0),
    (boltzmann.RBM, "num_hidden"): (spread(boltzmann.RBM, "num_hidden", 2), 2, 0),
    (boltzmann.stack, "dims"): (lambda value: boltzmann.stack([4, value]), 2, 0),
    (boltzmann.annealing_schedule, "num_betas"): (
        spread(boltzmann.annealing_schedule, "num_betas"),
        10,
        0,
    ),
    (boltzmann.annealed_importance_sampling, "num_chains"): (
        lambda value: jax.eval_shape(
            lambda key: boltzmann.annealed_importance_sampling(
                RBM,
                RBM.init(key),
                key,
                base_bias=jnp.zeros(2),
                betas=np.array([0.0, 1.0]),
                num_chains=value,
            ),
            KEY,
        ),
        2,
        0,
    ),
    (boltzmann.contrastive_divergence, "num_steps"): (
        spread(boltzmann.contrastive_divergence, "num_steps", RBM),
        2,
        0,
    ),
    (boltzmann.persistent_contrastive_divergence, "num_steps"): (
        spread(boltzmann.persistent_contrastive_divergence, "num_steps", RBM, num_chains=2),
        2,
        0,
    ),
    (boltzmann.persistent_contrastive_divergence, "num_chains"): (
        spread(boltzmann.persistent_contrastive_divergence, "num_chains", RBM),
        2,
        0,
    ),
    (boltzmann.fit_stack, "batch_size"): (
        traced(boltzmann.fit_stack, "batch_size", (RBM,), trivial, KEY, DATA["x"], num_epochs=1),
        2,
        0,
    ),
    (boltzmann.fit_stack, "num_epochs"): (
        traced(boltzmann.fit_stack, "num_epochs", (RBM,), trivial, KEY, DATA["x"], batch_size=2),
        2,
        0,
    ),
    (clustering.lloyd, "max_iterations"): (
        traced(clustering.lloyd, "max_iterations", X, X[:2]),
        0,
        -1,
    ),
    (clustering.expectation_maximization, "max_iterations"): (
        traced(clustering.expectation_maximization, "max_iterations", X, MIXTURE),
        0,
        -1,
    ),
    (clustering.fit_kmeans, "num_restarts"): (
        traced(clustering.fit_kmeans, "num_restarts", KEY, X, 2),
        2,
        0,
    ),
    (clustering.fit_gaussian_mixture, "num_restarts"): (
        traced(clustering.fit_gaussian_mixture, "num_restarts", KEY, X, 2),
        2,
        0,
    ),
    (clustering.kmeans_plus_plus, "num_clusters"): (
        traced(clustering.kmeans_plus_plus, "num_clusters", KEY, X),
        2,
        0,
    ),
    (clustering.kmeans_plus_plus, "num_candidates"): (
        traced(clustering.kmeans_plus_plus, "num_candidates", KEY, X, 2),
        2,
        0,
    ),
    (clustering.check_clusters, "num_clusters"): (
        spread(clustering.check_clusters, "num_clusters", np.eye(3)),
        2,
        0,
    ),
    (clustering.encode_all, "batch_size"): (
        traced(clustering.encode_all, "batch_size", identity, {}, X),
        2,
        0,
    ),
    (clustering.assign_codes, "batch_size"): (
        traced(
            clustering.assign_codes,
            "batch_size",
            identity,
            {"autoencoder": {}, "centers": X[:2]},
            X,
        ),
        2,
        0,
    ),
    (clustering.cluster_codes, "batch_size"): (
        traced(clustering.cluster_codes, "batch_size", KEY, identity, {}, X, 2),
        2,
        0,
    ),
    (clustering.cluster_codes, "num_clusters"): (
        traced(clustering.cluster_codes, "num_clusters", KEY, identity, {}, X),
        2,
        0,
    ),
    (clustering.cluster_codes, "num_restarts"): (
        traced(clustering.cluster_codes, "num_restarts", KEY, identity, {}, X, 2),
        2,
        0,
    ),
    (clustering.refresh_targets, "batch_size"): (
        spread(clustering.refresh_targets, "batch_size", AUTOENCODER),
        2,
        0,
    ),
    (clustering.reset_and_recluster, "subsample"): (
        spread(clustering.reset_and_recluster, "subsample", AUTOENCODER, zero),
        2,
        0,
    ),
    (clustering.with_targets, "num_examples"): (
        spread(clustering.with_targets, "num_examples", zero),
        2,
        0,
    ),
    (metrics.confusion_matrix, "num_classes"): (
        traced(metrics.confusion_matrix, "num_classes", LABELS, LABELS),
        2,
        0,
    ),
    (metrics.contingency_table, "num_classes"): (
        spread(metrics.contingency_table, "num_classes", [0, 1], [0, 1], num_clusters=2),
        2,
        0,
    ),
    (metrics.contingency_table, "num_clusters"): (
        spread(metrics.contingency_table, "num_clusters", [0, 1], [0, 1], num_classes=2),
        2,
        0,
    ),
    (metrics.expected_calibration_error, "num_bins"): (
        traced(metrics.expected_calibration_error, "num_bins", X, LABELS),
        2,
        0,
    ),
    (metrics.silhouette_samples, "num_clusters"): (
        traced(metrics.silhouette_samples, "num_clusters", X, LABELS),
        2,
        0,
    ),
    (metrics.silhouette_samples, "block_size"): (
        traced(metrics.silhouette_samples, "block_size", X, LABELS, num_clusters=2),
        2,
        0,
    ),
    (metrics.silhouette_score, "num_clusters"): (
        traced(metrics.silhouette_score, "num_clusters", X, LABELS),
        2,
        0,
    ),
    (metrics.silhouette_score, "block_size"): (
        traced(metrics.silhouette_score, "block_size", X, LABELS, num_clusters=2),
        2,
        0,
    ),
    (metrics.top_k_accuracy, "k"): (traced(metrics.top_k_accuracy, "k", X, LABELS), 2, 0),
    (training.fit, "num_epochs"): (
        traced(training.fit, "num_epochs", TRIVIAL, KEY, DATA, batch_size=2),
        2,
        0,
    ),
    (training.fit, "batch_size"): (
        traced(training.fit, "batch_size", TRIVIAL, KEY, DATA, num_epochs=1),
        2,
        0,
    ),
    (training.fit_stages, "num_epochs"): (
        traced(
            training.fit_stages,
            "num_epochs",
            [training.Stage("one", trivial)],
            KEY,
            DATA,
            batch_size=2,
        ),
        2,
        0,
    ),
    (training.fit_stages, "batch_size"): (
        traced(
            training.fit_stages,
            "batch_size",
            [training.Stage("one", trivial)],
            KEY,
            DATA,
            num_epochs=1,
        ),
        2,
        0,
    ),
    (training.epochs, "batch_size"): (
        spread(training.epochs, "batch_size", TRIVIAL, STATE, DATA),
        2,
        0,
    ),
    (training.begin_epoch, "batch_size"): (
        spread(training.begin_epoch, "batch_size", TRIVIAL, STATE, DATA),
        2,
        0,
    ),
    (training.advance, "num_steps"): (
        spread(training.advance, "num_steps", TRIVIAL, STATE, STEPS, DATA, batch_size=2),
        2,
        0,
    ),
    (training.advance, "batch_size"): (
        spread(training.advance, "batch_size", TRIVIAL, STATE, STEPS, DATA, num_steps=1),
        2,
        0,
    ),
    (training.run_epoch, "batch_size"): (
        traced(training.run_epoch, "batch_size", TRIVIAL, STATE, DATA),
        2,
        0,
    ),
    (training.run_steps, "start"): (
        traced(
            training.run_steps,
            "start",
            TRIVIAL,
            STATE,
            STEPS,
            DATA,
            batches=training.shuffled(2),
            stop=2,
        ),
        1,
        -1,
    ),
    (training.run_steps, "stop"): (
        traced(
            training.run_steps,
            "stop",
            TRIVIAL,
            STATE,
            STEPS,
            DATA,
            batches=training.shuffled(2),
            start=0,
        ),
        2,
        0,
    ),
    (training.shuffled, "batch_size"): (spread(training.shuffled, "batch_size"), 2, 0),
    (training.shuffled, "num_shards"): (spread(training.shuffled, "num_shards", 2), 2, 0),
    (training.in_order, "batch_size"): (spread(training.in_order, "batch_size"), 2, 0),
    (training.in_order, "length"): (spread(training.in_order, "length", 2), 2, 0),
    (training.balanced, "batch_size"): (
        spread(training.balanced, "batch_size", num_classes=2),
        2,
        0,
    ),
    (training.balanced, "num_classes"): (spread(training.balanced, "num_classes", 2), 2, 0),
    (training.device_mesh, "run"): (spread(training.device_mesh, "run"), 1, 0),
    (training.device_mesh, "data"): (spread(training.device_mesh, "data"), 1, 0),
    (training.keep_best, "epoch"): (
        lambda value: training.keep_best(BEST, {}, jnp.zeros(()), value, patience=1),
        2,
        0,
    ),
    (training.keep_best, "patience"): (
        spread(training.keep_best, "patience", BEST, {}, jnp.zeros(()), 1),
        2,
        0,
    ),
    (training.out_of_patience, "epoch"): (
        spread(training.out_of_patience, "epoch", BEST, patience=1),
        2,
        -1,
    ),
    (training.out_of_patience, "patience"): (
        spread(training.out_of_patience, "patience", BEST, 1),
        2,
        0,
    ),
    (training.evaluate, "batch_size"): (
        lambda value: training.evaluate(lambda p, b, k: (0.0, {}), {}, {"x": X}, batch_size=value),
        2,
        0,
    ),
    (training.predict, "batch_size"): (
        traced(training.predict, "batch_size", identity, {}, X),
        2,
        0,
    ),
    (training.per_run, "batch_size"): (lambda value: training.per_run(value), 2, 0),
    (training.HostData, "steps_per_epoch"): (
        spread(training.HostData, "steps_per_epoch", iter),
        2,
        0,
    ),
    (training.fit, "every"): (
        lambda value: schedule_hooks([(value, identity)]),
        2,
        0,
    ),
    (training.fit, "first"): (
        lambda value: schedule_hooks([(1, identity, value)]),
        2,
        -1,
    ),
}
PACKAGES = (nn, optim, objectives, autoencoders, boltzmann, clustering, metrics, training)
# Numbers without a range, and those that have another name in a message.
FREE = {("transform_images", "rotation"), ("per_run", "batches")}
KINDS = {
    "python": lambda value: value,
    "numpy": lambda value: (np.int64 if isinstance(value, int) else np.float32)(value),
    "jax": lambda value: (jnp.int32 if isinstance(value, int) else jnp.float32)(value),
}


pytestmark = pytest.mark.usefixtures("as_users_run")


def names(entry):
    return ".".join((entry[0].__name__, entry[1]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entry", NUMBERS, ids=names)
def test_numbers_outside_their_range_raise(entry, kind):
    call, good, bad = NUMBERS[entry]
    for value in good:
        call(KINDS[kind](value))
    for value in (*bad, math.nan):
        with pytest.raises(ValueError, match=rf"{entry[1]} must .*, found {value:g}"):
            call(KINDS[kind](value))
    many = jnp.array([good[0], bad[0]])
    if entry[0] not in (metrics.cost_threshold, metrics.threshold_at_false_positive_rate):
        with pytest.raises(ValueError, match=rf"{entry[1]} must .*at index \(1,\)"):
            call(many)
    for wrong in ("0.5", True, np.bool_(True), [good[0]]):
        with pytest.raises(TypeError, match=rf"{entry[1]} must be a number in .*, found"):
            call(wrong)


@pytest.mark.parametrize("entry", NUMBERS, ids=names)
def test_traced_numbers_pass(entry):
    call, _, bad = NUMBERS[entry]
    if entry in [(optim.schedule, "warmup_fraction"), (optim.schedule, "final_fraction")]:
        pytest.skip("the shape of a schedule is static")

    def run(value):
        call(value)
        return value

    assert jax.eval_shape(run, jnp.float32(bad[0])).shape == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entry", COUNTS, ids=names)
def test_counts_are_integers_in_their_range(entry, kind):
    call, good, bad = COUNTS[entry]
    call(KINDS[kind](good))
    with pytest.raises(ValueError, match=rf"{entry[1]} must .*, found .*{bad}"):
        call(KINDS[kind](bad))
    for wrong in (2.5, math.nan):
        with pytest.raises(TypeError, match=rf"{entry[1]} must .*integer.*, found"):
            call(KINDS[kind](wrong))
    for wrong in ("2", True, np.bool_(True)):
        with pytest.raises(TypeError, match=rf"{entry[1]} must .*integer.*, found"):
            call(wrong)


def test_every_argument_that_is_a_number_is_in_the_tables():
    """Arguments are numbers if their annotation is, or holds, `int` or `float`."""
    checked = {(function.__name__, argument) for function, argument in (*NUMBERS, *COUNTS)} | FREE
    missing = [
        f"{name}({argument}: {parameter.annotation})"
        for package in PACKAGES
        for name in package.__all__
        if inspect.isfunction(function := inspect.unwrap(getattr(package, name)))
        for argument, parameter in inspect.signature(function).parameters.items()
        if any(
            kind in (int, float)
            for kind in (parameter.annotation, *typing.get_args(parameter.annotation))
        )
        and (name, argument) not in checked
    ]
    assert not missing
