"""Arguments of recommendation and of rankings that are numbers."""

import math

import jax.numpy as jnp
import numpy as np

from jaxnet import metrics, recommendation
from tests.ranges.calls import X, spread, traced

MODEL = recommendation.matrix_factorization(2, 2, 2)
MULT_VAE = recommendation.multinomial_autoencoder([3, 2])
MACHINE = recommendation.RatingRBM(2, 2, 2)
PAIRS, RATINGS = np.array([[0, 0]]), np.ones(1)

# (function, argument) -> (call, a number inside the range, a number outside).
COUNTS = {
    (recommendation.matrix_factorization, "num_users"): (
        spread(recommendation.matrix_factorization, "num_users", num_items=2, dim=2),
        2,
        0,
    ),
    (recommendation.matrix_factorization, "num_items"): (
        spread(recommendation.matrix_factorization, "num_items", 2, dim=2),
        2,
        0,
    ),
    (recommendation.matrix_factorization, "dim"): (
        spread(recommendation.matrix_factorization, "dim", 2, 2),
        2,
        0,
    ),
    (recommendation.autorec, "num_ratings"): (
        spread(recommendation.autorec, "num_ratings", hidden_dim=2),
        2,
        0,
    ),
    (recommendation.autorec, "hidden_dim"): (spread(recommendation.autorec, "hidden_dim", 2), 2, 0),
    (recommendation.multinomial_autoencoder, "dims"): (
        lambda value: recommendation.multinomial_autoencoder([4, value, 2]),
        2,
        0,
    ),
    (recommendation.multinomial_elbo, "anneal_steps"): (
        spread(recommendation.multinomial_elbo, "anneal_steps", MULT_VAE),
        2,
        -1,
    ),
    (recommendation.rating_divergence, "num_steps"): (
        spread(recommendation.rating_divergence, "num_steps", MACHINE),
        2,
        0,
    ),
    (recommendation.rating_matrix, "num_users"): (
        spread(recommendation.rating_matrix, "num_users", PAIRS, RATINGS, num_items=2),
        2,
        0,
    ),
    (recommendation.rating_matrix, "num_items"): (
        spread(recommendation.rating_matrix, "num_items", PAIRS, RATINGS, 2),
        2,
        0,
    ),
    (recommendation.top_items, "k"): (traced(recommendation.top_items, "k", X), 2, 0),
    (metrics.ndcg_at_k, "k"): (traced(metrics.ndcg_at_k, "k", X, X), 2, 3),
    (metrics.recall_at_k, "k"): (traced(metrics.recall_at_k, "k", X, X), 2, 0),
}

# (function, argument) -> (call, numbers inside the range, numbers outside).
NUMBERS = {
    (recommendation.matrix_factorization, "mean"): (
        spread(recommendation.matrix_factorization, "mean", 2, 2, 2),
        (-1.0, 3.5),
        (math.inf,),
    ),
    (recommendation.factorization_objective, "strength"): (
        spread(recommendation.factorization_objective, "strength", MODEL),
        (0.0, 0.1),
        (-0.1, math.inf),
    ),
    (recommendation.autorec, "dropout"): (
        spread(recommendation.autorec, "dropout", 2, 2),
        (0.0, 0.5),
        (-0.5, 1.0),
    ),
    (recommendation.multinomial_autoencoder, "dropout"): (
        spread(recommendation.multinomial_autoencoder, "dropout", [3, 2]),
        (0.0, 0.5),
        (-0.5, 1.0),
    ),
    (recommendation.multinomial_elbo, "kl_weight"): (
        spread(recommendation.multinomial_elbo, "kl_weight", MULT_VAE),
        (0.0, 0.2),
        (-0.1, math.inf),
    ),
    (recommendation.fit_ease, "strength"): (
        traced(recommendation.fit_ease, "strength", jnp.ones((2, 3))),
        (0.5, 2.0),
        (0.0, -1.0, math.inf),
    ),
}
