"""Autoencoders, variational autoencoders and principal components."""

from jaxnet.autoencoders.elbo import gaussian_kl, importance_weighted, log_likelihood, negative_elbo
from jaxnet.autoencoders.likelihoods import Likelihood, bernoulli_likelihood, gaussian_likelihood
from jaxnet.autoencoders.network import (
    Autoencoder,
    autoencoder,
    check_autoencoder,
    cnn_autoencoder,
    mlp_autoencoder,
)
from jaxnet.autoencoders.objectives import bernoulli_reconstruction, reconstruction
from jaxnet.autoencoders.pca import PCA, fit_pca
from jaxnet.autoencoders.penalties import with_contraction, with_kl_sparsity, with_l1_sparsity
from jaxnet.autoencoders.variational import (
    VariationalAutoencoder,
    mlp_variational_autoencoder,
    sample_prior,
    variational_autoencoder,
)

__all__ = [
    "Autoencoder",
    "Likelihood",
    "PCA",
    "VariationalAutoencoder",
    "autoencoder",
    "bernoulli_likelihood",
    "bernoulli_reconstruction",
    "check_autoencoder",
    "cnn_autoencoder",
    "fit_pca",
    "gaussian_kl",
    "gaussian_likelihood",
    "importance_weighted",
    "log_likelihood",
    "mlp_autoencoder",
    "mlp_variational_autoencoder",
    "negative_elbo",
    "reconstruction",
    "sample_prior",
    "variational_autoencoder",
    "with_contraction",
    "with_kl_sparsity",
    "with_l1_sparsity",
]
