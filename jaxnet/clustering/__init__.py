"""Clustering of vectors, and of codes that are learned together with their clusters.

`fit_kmeans` and `fit_gaussian_mixture` cluster vectors; `minibatch_kmeans_learner` clusters streams
and data sets larger than memory. `deep_embedded_clustering`, `improved_deep_embedded_clustering`,
`deep_clustering_network_learner` and `variational_deep_embedding` start from a trained autoencoder
and learn codes and clusters together. What needs the whole data set between steps, such as
`refresh_targets` and `reset_and_recluster`, is a hook of `jaxnet.fit` and `jaxnet.epochs`.

>>> import jax, jax.numpy as jnp
>>> from jaxnet import clustering, metrics
>>> x = jnp.concatenate([jnp.zeros((5, 2)), jnp.ones((5, 2))])
>>> result = clustering.fit_kmeans(jax.random.key(0), x, 2)
>>> clusters = clustering.assign(result.centers, x)
>>> float(metrics.clustering_accuracy([0] * 5 + [1] * 5, clusters))
1.0
"""

from jaxnet.clustering.deep.assignments import (
    assignment_divergence,
    student_t_assignments,
    target_distribution,
)
from jaxnet.clustering.deep.codes import assign_codes, cluster_codes, encode_all
from jaxnet.clustering.deep.dcn import (
    deep_clustering_network,
    deep_clustering_network_learner,
)
from jaxnet.clustering.deep.embedded import (
    deep_embedded_clustering,
    improved_deep_embedded_clustering,
    refresh_targets,
    with_targets,
)
from jaxnet.clustering.deep.reset import hidden_encoder_layers, reset_and_recluster, soft_reset
from jaxnet.clustering.deep.vade import (
    mixture_kl,
    mixture_params,
    mixture_responsibilities,
    variational_deep_embedding,
)
from jaxnet.clustering.em import MixtureFit, expectation_maximization, fit_gaussian_mixture
from jaxnet.clustering.kmeans import KMeans, assign, fit_kmeans, lloyd
from jaxnet.clustering.minibatch import minibatch_kmeans_learner, move_centers
from jaxnet.clustering.mixture import GaussianMixture, bic, log_density, responsibilities
from jaxnet.clustering.seeding import check_clusters, kmeans_plus_plus

__all__ = [
    "GaussianMixture",
    "KMeans",
    "MixtureFit",
    "assign",
    "assign_codes",
    "assignment_divergence",
    "bic",
    "check_clusters",
    "cluster_codes",
    "deep_clustering_network",
    "deep_clustering_network_learner",
    "deep_embedded_clustering",
    "encode_all",
    "expectation_maximization",
    "fit_gaussian_mixture",
    "fit_kmeans",
    "hidden_encoder_layers",
    "improved_deep_embedded_clustering",
    "kmeans_plus_plus",
    "lloyd",
    "log_density",
    "minibatch_kmeans_learner",
    "mixture_kl",
    "mixture_params",
    "mixture_responsibilities",
    "move_centers",
    "refresh_targets",
    "reset_and_recluster",
    "responsibilities",
    "soft_reset",
    "student_t_assignments",
    "target_distribution",
    "variational_deep_embedding",
    "with_targets",
]
