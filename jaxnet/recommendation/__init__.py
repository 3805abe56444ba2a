"""Recommendation: ratings and rankings of items for users.

Ratings are predicted by `matrix_factorization` from pairs of a user and an item, by `autorec` from
the ratings of a user or an item, and by `RatingRBM` from those of a user. Items that users chose
are ranked by `fit_ease` and `multinomial_autoencoder`; `jaxnet.metrics.ndcg_at_k` and `recall_at_k`
evaluate rankings over all items. All but `fit_ease`, which is a closed form, are objectives for
`jaxnet.gradient_learner`, and `row_sparse_learner` updates the rows of a batch alone.

>>> import jax, jax.numpy as jnp, jaxnet as jn, optax
>>> from jaxnet import recommendation
>>> model = recommendation.matrix_factorization(num_users=3, num_items=4, dim=2, mean=3.0)
>>> objective = recommendation.factorization_objective(model, 0.02)
>>> learner = jn.gradient_learner(model.init, objective, optax.adam(0.1))
>>> pairs = jnp.array([[0, 0], [0, 1], [1, 0], [1, 2], [2, 1], [2, 3]])
>>> data = {"x": pairs, "y": jnp.array([5.0, 4.0, 3.0, 1.0, 4.0, 2.0])}
>>> state, _ = jn.fit(learner, jax.random.key(0), data, batch_size=6, num_epochs=100)
>>> scores = model.score_items(state.params, jnp.array([1]))
>>> recommendation.top_items(scores, 1, excluded=jnp.array([[1, 0, 1, 0]]) == 1).items.tolist()
[[1]]
"""

from jaxnet.recommendation.autoencoding import (
    autorec,
    multinomial_autoencoder,
    multinomial_elbo,
    multinomial_likelihood,
    observed_reconstruction,
)
from jaxnet.recommendation.factorization import (
    MatrixFactorization,
    factorization_objective,
    matrix_factorization,
)
from jaxnet.recommendation.interactions import TopItems, rating_matrix, top_items
from jaxnet.recommendation.linear import fit_ease
from jaxnet.recommendation.softmax_machine import RatingRBM, rating_divergence
from jaxnet.recommendation.tables import row_sparse_learner

__all__ = [
    "MatrixFactorization",
    "RatingRBM",
    "TopItems",
    "autorec",
    "factorization_objective",
    "fit_ease",
    "matrix_factorization",
    "multinomial_autoencoder",
    "multinomial_elbo",
    "multinomial_likelihood",
    "observed_reconstruction",
    "rating_divergence",
    "rating_matrix",
    "row_sparse_learner",
    "top_items",
]
