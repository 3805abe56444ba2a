"""Classifiers and regressors against closed forms, NumPy, scikit-learn and `jaxnet.fit`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.linear_model import LinearRegression, LogisticRegression

import jaxnet as jn
from jaxnet import estimators
from jaxnet.estimators._base import network_keys
from jaxnet.estimators._programs import fit_program

IRIS = load_iris(return_X_y=True)
SMALL = {"hidden_dims": (8,), "num_epochs": 10, "random_state": 0}
# All rows are one batch, and nothing is drawn for a row.
WHOLE = SMALL | {
    "batch_size": 1000,
    "dropout": 0.0,
    "schedule": "constant",
    "weight_decay": None,
}
LINEAR = WHOLE | {"hidden_dims": ()}


def forward(params, x):
    """Outputs of networks with one hidden layer, in NumPy."""
    first, second = params["dense_0"], params["dense_1"]
    hidden = np.maximum(x @ first["kernel"] + first["bias"][:, None], 0)
    return hidden @ second["kernel"] + second["bias"][:, None]


def scaled(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


def test_a_fit_is_that_of_jaxnet():
    x, y = IRIS
    model = estimators.NetworkClassifier(**WHOLE, learning_rate=5e-3).fit(x, y)
    network = jn.mlp([4, 8, 3])
    learner = jn.gradient_learner(
        network.init, jn.classification(network), jn.optimizer("adamw", 5e-3)
    )
    seed = np.random.RandomState(0).randint(2**31 - 1)
    data = {"x": scaled(x).astype(np.float32), "y": y.astype(np.int32)}
    key = jax.random.wrap_key_data(network_keys(seed, 1)[0])
    run = jax.jit(lambda key, data: jn.fit(learner, key, data, batch_size=150, num_epochs=10))
    state, history = run(key, data)
    for part, leaves in state.params.items():
        for name, leaf in leaves.items():
            np.testing.assert_allclose(model.params_[part][name][0], leaf, atol=1e-5)
    np.testing.assert_allclose(model.loss_curve_, history["loss"], rtol=1e-5)
    assert model.n_iter_ == 10 and model.classes_.tolist() == [0, 1, 2]


def test_a_linear_regression_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(3, 2, (90, 3)), rng.integers(0, 3, 90)
    y = x @ rng.normal(size=(3, 2)) + rng.normal(size=(90, 2))
    options = {"optimizer": "lbfgs", "learning_rate": None, "dtype": "float64"}
    model = estimators.NetworkRegressor(**LINEAR, **options).set_params(num_epochs=40)
    model.fit(x, y, sample_weight=weight)
    expected = LinearRegression().fit(x, y, sample_weight=weight).predict(x)
    np.testing.assert_allclose(model.predict(x), expected, atol=1e-4)


def test_a_linear_classification_is_that_of_logistic_regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2))
    y = np.where(rng.random(120) < special.expit(2 * x[:, 0] - 1), "yes", "no")
    options = {"optimizer": "sgd", "learning_rate": 2.0, "dtype": "float64"}
    weights = {"yes": 2.0, "no": 0.5}
    model = estimators.NetworkClassifier(**LINEAR, **options, class_weight=weights)
    model.set_params(num_epochs=200).fit(x, y)
    expected = LogisticRegression(C=np.inf, class_weight=weights, tol=1e-8).fit(x, y)
    np.testing.assert_allclose(model.predict_proba(x), expected.predict_proba(x), atol=1e-4)
    assert model.predict(x).tolist() == expected.predict(x).tolist()


def test_class_weights_are_weights_of_rows():
    rows = np.r_[:80, 50:80, 100:140]
    x, y = IRIS[0][rows], IRIS[1][rows]
    model = estimators.NetworkClassifier(**SMALL)
    balanced = model.set_params(class_weight="balanced").fit(x, y).params_
    weight = 150 / 3 / np.bincount(y)[y]
    given = model.set_params(class_weight=None).fit(x, y, sample_weight=weight).params_
    np.testing.assert_allclose(
        balanced["dense_1"]["kernel"], given["dense_1"]["kernel"], rtol=1e-4, atol=1e-5
    )


def test_rows_of_weight_0_are_left_out():
    x, y = (array.copy() for array in IRIS)
    model = estimators.NetworkClassifier(**SMALL)
    alone = model.fit(x, y).n_iter_
    weight = np.arange(150) < 100
    x[100:] *= 1e3
    model.fit(x, y, sample_weight=weight)
    assert alone == model.n_iter_
    np.testing.assert_allclose(model._offset, x[:100].mean(axis=0))
    assert model.score(x[:100], y[:100]) > 0.6


def test_networks_are_averaged_and_the_first_are_those_of_fewer():
    x, y = IRIS
    three = estimators.NetworkClassifier(**WHOLE, num_networks=3).fit(x, y)
    one = estimators.NetworkClassifier(**WHOLE).fit(x, y)
    outputs = forward(three.params_, scaled(x))
    assert outputs.shape == (3, 150, 3)
    expected = special.softmax(outputs, axis=-1).mean(axis=0)
    np.testing.assert_allclose(three.predict_proba(x), expected, atol=1e-5)
    kernel = three.params_["dense_0"]["kernel"]
    np.testing.assert_allclose(kernel[0], one.params_["dense_0"]["kernel"][0], atol=1e-4)
    assert np.abs(kernel[0] - kernel[1]).max() > 0.1
    assert three.history_["accuracy"].shape == (3, 10) and three.loss_curve_.shape == (10,)
    binary = estimators.NetworkClassifier(**WHOLE, num_networks=3).fit(x[:100], y[:100])
    outputs = forward(binary.params_, scaled(x[:100]))[..., 0]
    expected = special.expit(outputs).mean(axis=0)
    np.testing.assert_allclose(binary.predict_proba(x[:100])[:, 1], expected, atol=1e-5)
    np.testing.assert_allclose(
        special.expit(binary.decision_function(x[:100])), expected, atol=1e-5
    )


def test_several_outputs():
    x, y = make_multilabel_classification(100, 6, n_classes=4, random_state=0)
    model = estimators.NetworkClassifier(**WHOLE | {"learning_rate": 0.3}).fit(x, y)
    outputs = forward(model.params_, scaled(x))[0]
    np.testing.assert_allclose(model.predict_proba(x), special.expit(outputs), atol=1e-5)
    assert model.predict(x).tolist() == (outputs > 0).astype(int).tolist()
    assert (model.predict(x) == y).mean() > 0.7
    x, y = load_diabetes(return_X_y=True)
    regressor = estimators.NetworkRegressor(**WHOLE | {"num_networks": 2, "learning_rate": 0.1})
    targets = np.stack([y, 1e5 - 10 * y], axis=1)
    predicted = regressor.fit(x, targets).predict(x)
    outputs = forward(regressor.params_, scaled(x)).mean(axis=0)
    expected = outputs * targets.std(axis=0) + targets.mean(axis=0)
    np.testing.assert_allclose(predicted, expected, rtol=1e-4)
    assert regressor.score(x, targets) > 0.4


def test_early_stopping_keeps_the_best():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(120, 5)), rng.integers(0, 2, 120)
    options = LINEAR | {"num_epochs": 60, "learning_rate": 0.1}
    model = estimators.NetworkClassifier(
        **options, early_stopping=True, patience=3, validation_fraction=0.25
    ).fit(x, y)
    losses = model.history_["validation_loss"][0]
    assert model.n_iter_ == len(losses) == losses.argmin() + 4 < 60
    assert model.history_["loss"].shape == (1, model.n_iter_)
    several = model.set_params(num_networks=2).fit(x, y).history_["validation_loss"]
    ends = np.isfinite(several).sum(axis=1)
    assert (ends == np.nanargmin(several, axis=1) + 4).all()


def test_parts_of_a_training():
    x, y = IRIS
    options = LINEAR | {"optimizer": "adam"}
    whole = estimators.NetworkClassifier(**options).set_params(num_epochs=3).fit(x, y)
    parts = estimators.NetworkClassifier(**options)
    for _ in range(3):
        parts.partial_fit(x, y, classes=[0, 1, 2])
    np.testing.assert_allclose(
        parts.params_["dense_0"]["kernel"], whole.params_["dense_0"]["kernel"], atol=1e-5
    )
    assert parts.n_iter_ == 3 and parts.history_["loss"].shape == (1, 3)
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-4)
    loss = whole.loss_curve_
    again = whole.set_params(warm_start=True).fit(x, y).loss_curve_
    assert again[0] < loss[-1]
    with pytest.raises(ValueError, match="the class 7, expected one of classes"):
        parts.partial_fit(x, np.full(150, 7))
    with pytest.raises(ValueError, match="needs classes, found None"):
        estimators.NetworkClassifier().partial_fit(x, y)
    with pytest.raises(ValueError, match="was that of 1 networks"):
        parts.set_params(num_networks=2).partial_fit(x, y)


def test_the_seed_decides():
    x, y = IRIS

    def kernel(random_state):
        model = estimators.NetworkClassifier(**SMALL | {"random_state": random_state})
        return model.fit(x, y).params_["dense_0"]["kernel"]

    first = kernel(0)
    assert np.array_equal(kernel(0), first)
    assert np.array_equal(kernel(np.random.RandomState(0)), first)
    assert not np.array_equal(kernel(1), first)
    assert not np.array_equal(kernel(None), first)
    generator = np.random.RandomState(0)
    assert not np.array_equal(kernel(generator), kernel(generator))


def test_progress_is_printed(capsys):
    x, y = IRIS
    options = LINEAR | {"early_stopping": True, "patience": 20}
    silent = estimators.NetworkClassifier(**options).fit(x, y)
    assert not capsys.readouterr().out
    model = estimators.NetworkClassifier(**options, verbose=5).fit(x, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 5/10", "epoch 10/10"]
    assert "validation_loss" in lines[0]
    np.testing.assert_allclose(model.predict_proba(x), silent.predict_proba(x), atol=1e-5)
    assert model.history_.keys() == silent.history_.keys()


@pytest.mark.parametrize("name", ["schedule_free_adamw", "noisy_sgd", "muon"])
def test_optimizers_by_name(name):
    x, y = IRIS
    model = estimators.NetworkClassifier(**LINEAR, optimizer=name)
    assert model.fit(x, y).loss_curve_[-1] < model.loss_curve_[0]


def test_numbers_share_a_program_and_the_cache_is_bounded(traces):
    x, y = IRIS
    model = estimators.NetworkClassifier(**SMALL)
    for rows, rate, dropout in ((150, 0.01, 0.1), (149, 0.03, 0.2), (147, 0.1, 0.5)):
        model.set_params(learning_rate=rate, dropout=dropout, label_smoothing=dropout)
        model.fit(x[:rows], y[:rows]).predict(x[:20])
    assert traces == {"build_learner": 1, "predict": 1}
    assert fit_program.cache_info().maxsize == 64


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"hidden_dims": (0,)}, "hidden_dims must"),
        ({"num_epochs": 0}, "num_epochs must be at least 1, found 0"),
        ({"optimizer": "adamm"}, "unknown optimizer 'adamm'; did you mean"),
        ({"activation": "rel"}, "unknown activation 'rel'; did you mean relu"),
        ({"schedule": "cosin"}, "did you mean cosine"),
        ({"learning_rate": -1.0}, "learning_rate must"),
        ({"weight_decay": -1.0}, "weight_decay must"),
        ({"dropout": 1.0}, "dropout must"),
        ({"batch_size": 0}, "batch_size must"),
        ({"num_networks": 0}, "num_networks must"),
        ({"validation_fraction": 0.0}, "validation_fraction must"),
        ({"label_smoothing": 1.0}, "label_smoothing must"),
        ({"class_weight": {0: -1.0, 1: 1.0, 2: 1.0}}, "the class_weight of 0 must"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("as_users_run")
def test_options_out_of_range_are_named(option, message):
    with pytest.raises(ValueError, match=message):
        estimators.NetworkClassifier(**option).fit(*IRIS)


def test_targets_that_cannot_be_learned_are_named():
    x, y = IRIS
    with pytest.raises(ValueError, match="y holds one class"):
        estimators.NetworkClassifier().fit(x, np.zeros(150))
    with pytest.raises(ValueError, match=r"sample_weight has shape \(3,\)"):
        estimators.NetworkClassifier().fit(x, y, sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="found -1"):
        estimators.NetworkRegressor().fit(x, y, sample_weight=np.full(150, -1.0))


def test_offsets_of_columns_cost_no_digits():
    """In float32 two numbers near 1e9 are equal."""
    x = 1e9 + np.arange(40.0)[:, None] % 2
    y = np.arange(40) % 2
    model = estimators.NetworkClassifier(**LINEAR, learning_rate=1.0).fit(x, y)
    assert model.score(x, y) == 1
    assert jnp.zeros(1).dtype == jnp.float32
