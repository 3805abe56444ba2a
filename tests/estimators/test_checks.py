"""All checks of scikit-learn for estimators, without expected failures."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxnet import estimators

# The checks train on tables of many shapes, each with programs of its own: linear networks, and one
# epoch of one batch at a constant rate, which is also what `partial_fit` trains, make them small.
OPTIONS = {"num_epochs": 1, "batch_size": 512, "optimizer": "sgd", "schedule": "constant"}
# Weights are those of repeated rows where all rows are one batch and nothing is drawn for a row; in
# float64 rounding stays below the tolerance of that check.
SUPERVISED = OPTIONS | {"hidden_dims": (), "dropout": 0.0, "dtype": "float64"}
# The clusterer trains the same autoencoder first.
CODES = OPTIONS | {"hidden_dims": (), "code_dim": 4}
ESTIMATORS = (
    estimators.NetworkClassifier(**SUPERVISED, learning_rate=10.0),
    estimators.NetworkRegressor(**SUPERVISED, learning_rate=0.5),
    estimators.AutoencoderTransformer(**CODES),
    estimators.RestrictedBoltzmannMachine(**OPTIONS, num_hidden=8),
    estimators.DeepClusterer(**CODES, pretrain_epochs=1, n_clusters=3, num_restarts=2),
)


@pytest.mark.usefixtures("as_users_run")
@parametrize_with_checks(list(ESTIMATORS))
def test_scikit_learn(estimator, check):
    check(estimator)
