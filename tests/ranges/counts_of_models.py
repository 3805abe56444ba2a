"""Arguments of networks, models and clusterings that are counts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet import autoencoders, boltzmann, clustering, nn, optim
from tests.ranges.calls import (
    AUTOENCODER,
    DATA,
    KEY,
    MIXTURE,
    NETWORK,
    PADDED_PARAMS,
    RBM,
    VARIATIONAL,
    X,
    identity,
    of_a_model,
    spread,
    traced,
    trivial,
    zero,
)

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
    (nn.padded_mlp, "dims"): (lambda value: nn.padded_mlp([4, value, 2], [1]), 2, 0),
    (nn.padded_sizes, "sizes"): (lambda value: nn.padded_sizes([value]), 2, 0),
    (nn.padded_sizes, "smallest"): (spread(nn.padded_sizes, "smallest", [3]), 2, 0),
    (nn.unpad_mlp, "hidden_dims"): (
        lambda value: nn.unpad_mlp(PADDED_PARAMS, [value]),
        2,
        0,
    ),
    (optim.select_optimizer, "index"): (
        spread(optim.select_optimizer, "index", [optax.sgd(0.1)] * 3),
        2,
        3,
    ),
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
}
