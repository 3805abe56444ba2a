"""Clustering: groups in data that nobody labelled; `from jaxnet import clustering`.

`kmeans` and `gaussian_mixture` find clusters in vectors, and `minibatch_kmeans_learner` in streams.
`deep_embedded_clustering`, `improved_deep_embedded_clustering`, `deep_clustering_network` and
`variational_deep_embedding` go on from a trained autoencoder, whose codes and clusters are then
learned together; `jaxnet.periodically` puts between their steps what needs the whole data set, such
as `reset_and_recluster`. `clustering_accuracy` and its neighbors score a clustering by labels,
`silhouette` without any. `nearest_neighbors` searches by similarity.

>>> import jax, jax.numpy as jnp
>>> from jaxnet import clustering
>>> x = jnp.concatenate([jnp.zeros((5, 2)), jnp.ones((5, 2))])
>>> found = clustering.kmeans(jax.random.key(0), x, 2)
>>> clusters = clustering.assign(found.centers, x)
>>> float(clustering.clustering_accuracy([0] * 5 + [1] * 5, clusters))
1.0
"""

from jaxnet.clustering.assignments import (
    assignment_divergence,
    student_t_assignments,
    target_distribution,
)
from jaxnet.clustering.dcn import (
    CenterState,
    deep_clustering_network,
    deep_clustering_network_learner,
)
from jaxnet.clustering.deep import assign_codes, cluster_codes, encode_all
from jaxnet.clustering.distances import squared_distances
from jaxnet.clustering.em import MixtureFit, expectation_maximization, gaussian_mixture
from jaxnet.clustering.embedded import (
    TargetState,
    deep_embedded_clustering,
    embedded_clustering_learner,
    improved_deep_embedded_clustering,
    refresh_targets,
)
from jaxnet.clustering.kmeans import KMeans, assign, kmeans, lloyd
from jaxnet.clustering.mixture import GaussianMixture, bic, log_density, responsibilities
from jaxnet.clustering.neighbors import Neighbors, nearest_neighbors
from jaxnet.clustering.reset import hidden_encoder_layers, reset_and_recluster, soft_reset
from jaxnet.clustering.scores import (
    adjusted_rand_index,
    best_assignment,
    clustering_accuracy,
    completeness,
    contingency_table,
    homogeneity,
    normalized_mutual_information,
)
from jaxnet.clustering.seeding import check_clusters, kmeans_plus_plus
from jaxnet.clustering.silhouette import silhouette, silhouette_samples
from jaxnet.clustering.streaming import minibatch_kmeans_learner, move_centers
from jaxnet.clustering.vade import (
    mixture_kl,
    mixture_params,
    mixture_responsibilities,
    variational_deep_embedding,
)

__all__ = [
    "CenterState",
    "GaussianMixture",
    "KMeans",
    "MixtureFit",
    "Neighbors",
    "TargetState",
    "adjusted_rand_index",
    "assign",
    "assign_codes",
    "assignment_divergence",
    "best_assignment",
    "bic",
    "check_clusters",
    "cluster_codes",
    "clustering_accuracy",
    "completeness",
    "contingency_table",
    "deep_clustering_network",
    "deep_clustering_network_learner",
    "deep_embedded_clustering",
    "embedded_clustering_learner",
    "encode_all",
    "expectation_maximization",
    "gaussian_mixture",
    "hidden_encoder_layers",
    "homogeneity",
    "improved_deep_embedded_clustering",
    "kmeans",
    "kmeans_plus_plus",
    "lloyd",
    "log_density",
    "minibatch_kmeans_learner",
    "mixture_kl",
    "mixture_params",
    "mixture_responsibilities",
    "move_centers",
    "nearest_neighbors",
    "normalized_mutual_information",
    "refresh_targets",
    "reset_and_recluster",
    "responsibilities",
    "silhouette",
    "silhouette_samples",
    "soft_reset",
    "squared_distances",
    "student_t_assignments",
    "target_distribution",
    "variational_deep_embedding",
]
