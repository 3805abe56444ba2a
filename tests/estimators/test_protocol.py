"""Estimators in the tools of scikit-learn, in other processes, and what they hold."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from jaxnet import estimators
from tests.estimators.common import CLUSTERING

ROOT = Path(__file__).resolve().parents[2]
X, Y = load_iris(return_X_y=True)
OPTIONS = {
    "hidden_dims": (),
    "num_epochs": 10,
    "random_state": 0,
    "learning_rate": 0.3,
    "batch_size": 512,
    "schedule": "constant",
}


def test_a_search_compiles_once(traces):
    grid = {"learning_rate": [0.003, 0.3], "weight_decay": [0.1, 1.0]}
    search = GridSearchCV(estimators.NetworkClassifier(**OPTIONS), grid, cv=4).fit(X[:-3], Y[:-3])
    # Folds of 110 and 111 rows, and all rows of the last fit, in another size class.
    assert traces == {"build_learner": 2, "predict": 1}
    assert search.best_score_ > 0.8 and search.best_params_["learning_rate"] == 0.3


def test_a_pipeline_and_its_clone():
    pipeline = make_pipeline(
        MinMaxScaler(),
        estimators.AutoencoderTransformer(**OPTIONS, code_dim=4),
        estimators.NetworkClassifier(**OPTIONS),
    ).set_output(transform="default")
    names = pipeline[:-1].fit(X, Y).get_feature_names_out()
    assert names.tolist() == [f"autoencodertransformer{index}" for index in range(4)]
    assert clone(pipeline).fit(X, Y).score(X, Y) > 0.6


def held(value):
    """All values inside of a value."""
    yield value
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from held(part)


def fitted():
    return [
        estimators.NetworkClassifier(**OPTIONS).fit(X, Y),
        estimators.NetworkRegressor(**OPTIONS, early_stopping=True).fit(X, Y),
        estimators.AutoencoderTransformer(**OPTIONS, code_dim=4).fit(X),
        estimators.RestrictedBoltzmannMachine(num_epochs=2, num_hidden=5, batch_size=512).fit(X),
        estimators.DeepClusterer(**CLUSTERING, method="vade").fit(X),
    ]


def test_estimators_hold_arrays_and_plain_values():
    plain = (np.ndarray, np.generic, dict, list, tuple, str, int, float, bool, type(None))
    for model in fitted():
        wrong = {type(value).__name__ for value in held(vars(model)) if type(value) not in plain}
        assert not {name for name in wrong if not name.startswith(("int", "float", "bool"))}
        method = "predict" if hasattr(model, "predict") else "transform"
        before = getattr(pickle.loads(pickle.dumps(model)), method)(X)
        np.testing.assert_array_equal(before, getattr(model, method)(X))


@pytest.mark.crash
def test_pickled_before_and_after_predict_into_another_process(tmp_path, user_flags):
    np.save(tmp_path / "x.npy", X)
    cases = []
    for number, model in enumerate(fitted()):
        method = "predict" if hasattr(model, "predict") else "transform"
        cases.append((number, method))
        (tmp_path / f"{number}-before.pickle").write_bytes(pickle.dumps(model))
        np.save(tmp_path / f"{number}-expected.npy", getattr(model, method)(X))
        (tmp_path / f"{number}-after.pickle").write_bytes(pickle.dumps(model))
    assert cases
    code = f"""
import pickle, numpy as np
x = np.load("x.npy")
for number, method in {cases}:
    expected = np.load(f"{{number}}-expected.npy")
    for name in ("before", "after"):
        model = pickle.load(open(f"{{number}}-{{name}}.pickle", "rb"))
        outputs = getattr(model, method)(x)
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4, err_msg=str(model))
"""
    environment = {"PYTHONPATH": str(ROOT), "XLA_FLAGS": user_flags, "PATH": ""}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=environment)


@pytest.mark.crash
def test_cross_validation_in_processes():
    model = estimators.NetworkClassifier(**OPTIONS)
    scores = cross_val_score(model, X, Y, cv=3, n_jobs=2)
    np.testing.assert_allclose(scores, cross_val_score(model, X, Y, cv=3), atol=0.03)
    assert scores.min() > 0.7
