"""All checks of scikit-learn for estimators, without expected failures."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxnet import estimators

# Weights are those of repeated rows where all rows are one batch and nothing is drawn for a row; in
# float64 rounding stays below the tolerance of that check.
SUPERVISED = {
    "num_epochs": 40,
    "hidden_dims": (16,),
    "batch_size": 512,
    "dropout": 0.0,
    "learning_rate": 0.03,
    "dtype": "float64",
}
ESTIMATORS = (
    estimators.NetworkClassifier(**SUPERVISED),
    estimators.NetworkRegressor(**SUPERVISED),
    estimators.AutoencoderTransformer(num_epochs=5, hidden_dims=(16,)),
    estimators.RestrictedBoltzmannMachine(num_epochs=5, num_hidden=8),
    estimators.DeepClusterer(pretrain_epochs=20, hidden_dims=(16,), num_restarts=2),
)


@pytest.mark.usefixtures("as_users_run")
@parametrize_with_checks(list(ESTIMATORS))
def test_scikit_learn(estimator, check):
    check(estimator)
