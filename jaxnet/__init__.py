"""Functional neural networks in JAX: pure functions for networks, objectives and training."""

from importlib import metadata as _metadata

try:
    _metadata.distribution("jaxnet")
except _metadata.PackageNotFoundError:
    pass
else:
    raise ImportError(
        "the distribution 'jaxnet', another project, is installed beside 'functional-jaxnet'; both "
        "write into the folder jaxnet. Run: pip uninstall -y jaxnet functional-jaxnet, then "
        "install functional-jaxnet again"
    )

from jaxnet.architectures import cnn, mlp
from jaxnet.augmentation import (
    augmented,
    augmented_learner,
    random_affine,
    transform_pictures,
)
from jaxnet.autoencoders import (
    Autoencoder,
    autoencoder,
    check_autoencoder,
    cnn_autoencoder,
    mlp_autoencoder,
)
from jaxnet.checks import check_data, check_unit_interval
from jaxnet.code_penalties import (
    contractive_penalty,
    kl_sparsity_penalty,
    l1_sparsity_penalty,
)
from jaxnet.evidence import gaussian_kl, importance_weighted, log_likelihood, negative_elbo
from jaxnet.layers import (
    activation,
    conv,
    dense,
    dropout,
    flatten,
    layer_norm,
    max_pool,
    mean_pool,
)
from jaxnet.likelihoods import Likelihood, bernoulli_likelihood, gaussian_likelihood
from jaxnet.network import Chain, Network, chain, parallel
from jaxnet.noise import (
    bernoulli_sampling,
    gaussian_noise,
    masking_noise,
    salt_and_pepper_noise,
)
from jaxnet.objectives import (
    binary_classification,
    classification,
    l1_penalty,
    l2_penalty,
    regression,
    supervised,
    weighted_mean,
)
from jaxnet.optimizers import (
    default_learning_rate,
    needs_key,
    optimizer,
    optimizer_names,
    schedule,
    schedule_names,
    takes_schedule,
)
from jaxnet.pca import PCA, pca
from jaxnet.prediction import predict
from jaxnet.reconstructions import (
    bernoulli_reconstruction,
    binarized,
    denoising,
    reconstruction,
)
from jaxnet.shaping import reshape, upsample
from jaxnet.training.driver import advance, begin_epoch, epochs, mean_metrics
from jaxnet.training.early_stopping import Best, keep_best, no_best, out_of_patience
from jaxnet.training.fit import fit, run_epoch, run_steps
from jaxnet.training.learner import Learner, TrainState, evaluation_params, gradient_learner
from jaxnet.training.periodic import periodically
from jaxnet.variational import (
    VariationalAutoencoder,
    mlp_variational_autoencoder,
    sample_prior,
    variational_autoencoder,
)

__all__ = [
    "Autoencoder",
    "Best",
    "Chain",
    "Learner",
    "Likelihood",
    "Network",
    "PCA",
    "TrainState",
    "VariationalAutoencoder",
    "activation",
    "advance",
    "augmented",
    "augmented_learner",
    "autoencoder",
    "begin_epoch",
    "bernoulli_likelihood",
    "bernoulli_reconstruction",
    "bernoulli_sampling",
    "binarized",
    "binary_classification",
    "chain",
    "check_autoencoder",
    "check_data",
    "check_unit_interval",
    "classification",
    "cnn",
    "cnn_autoencoder",
    "contractive_penalty",
    "conv",
    "default_learning_rate",
    "denoising",
    "dense",
    "dropout",
    "epochs",
    "evaluation_params",
    "fit",
    "flatten",
    "gaussian_kl",
    "gaussian_likelihood",
    "gaussian_noise",
    "gradient_learner",
    "importance_weighted",
    "keep_best",
    "kl_sparsity_penalty",
    "l1_penalty",
    "l1_sparsity_penalty",
    "l2_penalty",
    "layer_norm",
    "log_likelihood",
    "masking_noise",
    "max_pool",
    "mean_metrics",
    "mean_pool",
    "mlp",
    "mlp_autoencoder",
    "mlp_variational_autoencoder",
    "needs_key",
    "negative_elbo",
    "no_best",
    "optimizer",
    "optimizer_names",
    "out_of_patience",
    "parallel",
    "pca",
    "periodically",
    "predict",
    "random_affine",
    "reconstruction",
    "regression",
    "reshape",
    "run_epoch",
    "run_steps",
    "salt_and_pepper_noise",
    "sample_prior",
    "schedule",
    "schedule_names",
    "supervised",
    "takes_schedule",
    "transform_pictures",
    "upsample",
    "variational_autoencoder",
    "weighted_mean",
]
