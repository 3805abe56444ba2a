"""Settings of a sweep: which are traced, which values they take, and how much each matters."""

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from experiments.classification import experiment as classification
from experiments.classification.config import Config as Classification
from experiments.classification.config import Mlp
from experiments.numbers import shared_configs, with_numbers
from experiments.protocol import configure
from experiments.sweep.importance import tree_importance
from experiments.sweep.settings import parse_space, trial_config


def test_numbers_of_a_config_are_traced_and_the_rest_is_static():
    configs = [
        Classification(model=Mlp(dropout=rate), learning_rate=1e-3, weight_decay=decay)
        for rate, decay in ((0.1, None), (0.2, None), (0.2, 0.5))
    ]
    shared = shared_configs(configs, classification.TRACED)
    assert shared[0].config == shared[1].config != shared[2].config
    assert [each.numbers["dropout"] for each in shared] == [0.1, 0.2, 0.2]
    assert "weight_decay" not in shared[0].numbers
    for config, each in zip(configs, shared, strict=True):
        assert with_numbers(each.config, each.numbers) == config
    assert shared[0].config.model.dropout == 0.1


def test_another_optimizer_has_its_own_rate():
    base = configure(classification, dataset="iris")
    assert trial_config(base, {"optimizer": "sgd"}).learning_rate == 0.1
    given = trial_config(base, {"optimizer": "sgd", "learning_rate": 0.5})
    assert (given.optimizer, given.learning_rate) == ("sgd", 0.5)
    space = parse_space(["weight_decay=none,0.1", "batch_size=8,all"], base, classification.SWEPT)
    assert space["weight_decay"].choices == (None, 0.1)
    assert space["batch_size"].choices == (8, "all")


def test_the_importance_of_a_tree_is_that_of_its_function():
    """The marginals of a tree, by its values at many points."""
    rng = np.random.default_rng(0)
    x = rng.random((60, 3))
    y = np.sin(4 * x[:, 0]) + x[:, 1] * x[:, 0] + 0.1 * rng.normal(size=60)
    tree = DecisionTreeRegressor(max_leaf_nodes=12, random_state=0).fit(x, y)
    axis = (np.arange(120) + 0.5) / 120
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    values = tree.predict(grid).reshape(120, 120, 120)
    expected = [values.mean(axis=tuple({0, 1, 2} - {dim})).var() / values.var() for dim in range(3)]
    np.testing.assert_allclose(tree_importance(tree.tree_, 3), expected, atol=0.02)
    constant = DecisionTreeRegressor().fit(x, np.ones(60))
    assert tree_importance(constant.tree_, 3) is None
