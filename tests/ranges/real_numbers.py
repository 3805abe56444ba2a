"""Arguments that are real numbers, with numbers inside and outside of their ranges."""

import math

import jax.numpy as jnp
import optax

from jaxnet import autoencoders, clustering, metrics, nn, objectives, optim, training
from jaxnet.clustering import deep
from tests.ranges.calls import (
    AUTOENCODER,
    IMAGES,
    KEY,
    LEARNER,
    MIXTURE,
    NETWORK,
    X,
    spread,
    traced,
    zero,
)

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
    (nn.padded_mlp, "dropout"): (
        spread(nn.padded_mlp, "dropout", [4, 3, 2], [2]),
        (0.0, 0.5),
        (-0.5, 1.0),
    ),
    (nn.padded_mlp, "input_dropout"): (
        spread(nn.padded_mlp, "input_dropout", [4, 3, 2], [2]),
        (0.0, 0.5),
        (-0.5, 1.0),
    ),
    (objectives.distillation, "temperature"): (
        spread(objectives.distillation, "temperature", NETWORK),
        (0.5, 2.0),
        (0.0, -1.0, math.inf),
    ),
    (objectives.distillation, "label_weight"): (
        spread(objectives.distillation, "label_weight", NETWORK),
        (0.0, 1.0),
        (-0.5, 1.5),
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
    (objectives.with_loss_scale, "initial_scale"): (
        spread(objectives.with_loss_scale, "initial_scale", zero),
        (0.5, 2.0**15),
        (0.0, -1.0, math.inf),
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
    (metrics.nab_score, "probation"): (
        spread(metrics.nab_score, "probation", [[0.1, 0.9]], [[]]),
        (0.0, 0.5),
        (-0.5, 1.0),
    ),
    (nn.token_dropout, "rate"): (spread(nn.token_dropout, "rate"), (0.0, 0.5), (-0.5, 1.0)),
    (nn.rnn, "dropout"): (spread(nn.rnn, "dropout", [2, 3, 2]), (0.0, 0.5), (-0.5, 1.0)),
    (nn.conv1d, "dropout"): (spread(nn.conv1d, "dropout", [1, 8, 5]), (0.0, 0.5), (-0.5, 1.0)),
    **{
        (nn.bag_of_embeddings, name): (
            spread(nn.bag_of_embeddings, name, 9, [2, 2]),
            (0.0, 0.5),
            (-0.5, 1.0),
        )
        for name in ("dropout", "token_dropout")
    },
    (nn.min_gru, "gate_bias"): (spread(nn.min_gru, "gate_bias", 2, 2), (0.0, -3.0), (math.inf,)),
    (nn.lstm, "forget_bias"): (spread(nn.lstm, "forget_bias", 2, 2), (0.0, 1.0), (math.inf,)),
}
