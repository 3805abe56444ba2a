"""scikit-learn estimators whose training is one compiled program; needs the extra `sklearn`.

`NetworkClassifier` and `NetworkRegressor` are multi-layer perceptrons, `AutoencoderTransformer`
reduces rows to codes, `DeepClusterer` finds clusters of codes, and `RestrictedBoltzmannMachine`
learns features. They are classes because scikit-learn's protocol asks for that, and each is thin:
it translates its parameters into a network, a learner and one run of `jaxnet.fit`. Fitted
estimators hold NumPy arrays and plain values, so that they are pickled at any time.

>>> from sklearn.datasets import load_iris
>>> from sklearn.model_selection import cross_val_score
>>> from jaxnet.estimators import NetworkClassifier
>>> x, y = load_iris(return_X_y=True)
>>> scores = cross_val_score(NetworkClassifier(num_epochs=40, random_state=0), x, y, cv=3)
>>> bool(scores.mean() > 0.9)
True
"""

from jaxnet.estimators.clusterer import DeepClusterer
from jaxnet.estimators.supervised import NetworkClassifier, NetworkRegressor
from jaxnet.estimators.unsupervised import AutoencoderTransformer, RestrictedBoltzmannMachine

__all__ = [
    "AutoencoderTransformer",
    "DeepClusterer",
    "NetworkClassifier",
    "NetworkRegressor",
    "RestrictedBoltzmannMachine",
]
