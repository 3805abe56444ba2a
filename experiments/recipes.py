"""Recipes: the options of an experiment for a data set and a model, where a user gives none.

They were chosen on validation data, never on the test set. Clustering has no such data: its recipes
for the digits were tried with the scores in view. Results: docs/results.md.
"""

from typing import Any

from experiments.data import Dataset

_CLASSIFICATION: dict[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "weight_decay": None,
    "hidden_dims": (128,),
    "channels": (16, 32),
    "convs_per_stage": 1,
    "dropout": 0.0,
    "input_dropout": 0.0,
    "label_smoothing": 0.0,
    "l2": 0.0,
    "num_epochs": 60,
    "batch_size": 64,
    "num_seeds": 10,
}
_CLASSIFICATION_BY_DATASET: dict[tuple[str, str], dict[str, Any]] = {
    ("digits", "mlp"): {"hidden_dims": (512,), "dropout": 0.4, "label_smoothing": 0.1},
    ("digits", "cnn"): {"hidden_dims": (64,), "dropout": 0.2, "num_epochs": 30},
    ("breast_cancer", "linear"): {"l2": 1e-2, "batch_size": 32},
    ("breast_cancer", "mlp"): {"hidden_dims": (64,), "l2": 1e-2, "dropout": 0.2, "batch_size": 32},
    ("wine", "mlp"): {"hidden_dims": (64,), "dropout": 0.2, "batch_size": 16},
    ("iris", "mlp"): {"hidden_dims": (32,), "batch_size": 16, "learning_rate": 1e-2},
    ("emails", "linear"): {"learning_rate": 2e-2, "num_epochs": 15, "num_seeds": 5},
    ("emails", "mlp"): {
        "hidden_dims": (32,),
        "dropout": 0.5,
        "learning_rate": 5e-3,
        "num_epochs": 10,
        "num_seeds": 5,
    },
    ("mnist", "linear"): {"num_epochs": 20, "batch_size": 128, "num_seeds": 3},
    ("mnist", "mlp"): {
        "hidden_dims": (512, 512),
        "dropout": 0.3,
        "input_dropout": 0.1,
        "learning_rate": 1e-3,
        "num_epochs": 20,
        "batch_size": 128,
        "num_seeds": 1,
    },
    ("fashion_mnist", "mlp"): {
        "hidden_dims": (512, 512),
        "dropout": 0.3,
        "input_dropout": 0.1,
        "learning_rate": 1e-3,
        "num_epochs": 30,
        "batch_size": 128,
        "num_seeds": 1,
    },
}
for _pair in (("mnist", "cnn"), ("fashion_mnist", "cnn")):
    _CLASSIFICATION_BY_DATASET[_pair] = {
        "hidden_dims": (),
        "channels": (16, 32, 64),
        "convs_per_stage": 2,
        "dropout": 0.2,
        "num_epochs": 15,
        "batch_size": 128,
        "num_seeds": 1,
    }

_REGRESSION: dict[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 0.05,
    "schedule": "cosine",
    "weight_decay": None,
    "hidden_dims": (32,),
    "dropout": 0.0,
    "l2": 0.0,
    "num_epochs": 200,
    "batch_size": 32,
    "num_seeds": 10,
}


def classification_recipe(dataset: str, model: str) -> dict[str, Any]:
    """Options of `experiments.classification` for a data set and a model.

    >>> classification_recipe("digits", "mlp")["num_seeds"]
    10
    """
    return _CLASSIFICATION | _CLASSIFICATION_BY_DATASET.get((dataset, model), {})


def own_recipe(recipe: dict[str, Any], num_examples: int) -> dict[str, Any]:
    """A recipe for a table of one's own: the larger, the larger its batches and the fewer epochs.

    Args:
        recipe: of the experiment, for an unnamed data set.
        num_examples: rows of the table.

    >>> [own_recipe({}, rows)["batch_size"] for rows in (150, 5_000, 200_000)]
    [16, 64, 1024]
    """
    batch_size = 16
    while batch_size < 1024 and batch_size * 100 < num_examples:
        batch_size *= 2
    large = {"num_epochs": 20, "num_seeds": 3} if num_examples > 20_000 else {}
    return recipe | {"dropout": 0.1, "batch_size": batch_size} | large


def regression_recipe(dataset: str, model: str) -> dict[str, Any]:
    """Options of `experiments.regression` for a data set and a model; a batch size of None is all.

    >>> regression_recipe("line", "linear")["optimizer"]
    'lbfgs'
    """
    if model == "linear":
        # A convex problem with a closed solution: a line search on all the data finds it exactly.
        full = {"optimizer": "lbfgs", "learning_rate": None, "schedule": "constant"}
        return _REGRESSION | full | {"num_epochs": 50, "batch_size": None}
    by_dataset = {"diabetes": {"l2": 0.1, "num_epochs": 50}}
    return _REGRESSION | {"learning_rate": 0.01} | by_dataset.get(dataset, {})


_RECONSTRUCTION: dict[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 4e-3,
    "schedule": "cosine",
    "weight_decay": 0.3,
    "code_dim": 10,
    "num_epochs": 100,
    "batch_size": 64,
    "num_seeds": 10,
}
_AUTOENCODER: dict[str, Any] = {
    "hidden_dims": (512,),
    "activation": "relu",
    "loss": "squared",
    "tied": True,
}
_RECONSTRUCTION_BY_MODEL: dict[str, dict[str, Any]] = {
    "autoencoder": _AUTOENCODER,
    "denoising": _AUTOENCODER | {"noise": 0.1, "noise_kind": "masking"},
    "sparse": _AUTOENCODER | {"sparsity": 0.1, "sparsity_penalty": "kl", "code_dim": 32},
    "contractive": _AUTOENCODER | {"contraction": 0.01},
    "vae": {
        "hidden_dims": (256,),
        "activation": "relu",
        "binarize": False,
        "learning_rate": 2e-3,
        "num_epochs": 150,
    },
    "rbm": {
        "code_dim": 50,
        "binarize": False,
        "gibbs_steps": 1,
        "learning_rate": 5e-3,
        "weight_decay": 1e-3,
        "num_epochs": 150,
    },
    "deep_belief": {
        "hidden_dims": (256, 64),
        "loss": "squared",
        "pretrain_epochs": 50,
        "pretrain_rate": 0.01,
    },
}
# The sizes of Hinton and Salakhutdinov (2006).
_DEEP: dict[str, Any] = {"hidden_dims": (1000, 500, 250)}


def reconstruction_recipe(dataset: Dataset, config: Any) -> dict[str, Any]:
    """Options of `experiments.reconstruction` for a data set and what was asked for.

    Options that have no meaning for a model stay open.

    Args:
        dataset: the data set.
        config: the options of the command line.

    >>> from types import SimpleNamespace
    >>> from experiments.data import load
    >>> def recipe(model):
    ...     given = {"model": model, "sparsity_penalty": None, "channels": (), "data": None}
    ...     return reconstruction_recipe(load("digits"), SimpleNamespace(**given))
    >>> recipe("autoencoder")["code_dim"]
    10
    >>> "loss" in recipe("rbm")
    False
    """
    model = config.model
    recipe = _RECONSTRUCTION | _RECONSTRUCTION_BY_MODEL[model]
    if config.sparsity_penalty != "l1" and model == "sparse":
        recipe["sparsity_target"] = 0.2
    if config.channels:
        recipe |= {"tied": False, "hidden_dims": (128,), "num_epochs": 60}
    if dataset.name in ("mnist", "fashion_mnist") and config.data is None:
        recipe |= {"learning_rate": 1e-3, "weight_decay": 0.0, "batch_size": 128, "num_epochs": 20}
        recipe |= {"num_seeds": 1, "code_dim": 30}
        if model == "vae":
            # That of Burda et al. (2016), section 5, with one stochastic layer.
            recipe |= {"hidden_dims": (200, 200), "code_dim": 50, "binarize": True}
        elif model == "rbm":
            recipe |= {"optimizer": "sgd", "learning_rate": 0.05, "weight_decay": None}
            recipe |= {"batch_size": 100, "code_dim": 500, "binarize": True, "num_epochs": 10}
        elif model == "deep_belief":
            recipe |= _DEEP | {"pretrain_epochs": 10}
        elif not config.channels:
            recipe |= _DEEP | {"activation": "silu", "tied": False}
    elif config.data is not None or not dataset.is_image:
        narrow = max(1, min(recipe["code_dim"], dataset.x[0].size // 2))
        own = own_recipe(recipe, len(dataset.x))
        recipe |= {name: own[name] for name in ("batch_size", "num_epochs", "num_seeds")}
        if model not in ("sparse", "rbm"):
            recipe["code_dim"] = narrow
    return recipe


_CLUSTERING: dict[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "weight_decay": None,
    "batch_size": 256,
    "num_seeds": 10,
    "num_epochs": 50,
    "num_restarts": 10,
    "covariance": "full",
    "min_variance": 1e-3,
    "num_neighbors": 20,
    "hidden_dims": (256, 256, 512),
    "activation": "relu",
    "code_dim": 10,
    "augment": False,
    "pretrain_epochs": 100,
    "pretrain_rate": 1e-3,
    "refresh_every": 30,
    "reset": False,
    "reset_every": 10,
    "reset_factor": 0.8,
}
_MNIST = ("mnist", "mnist_test", "fashion_mnist")
# The sizes of DEC, and as few seeds and epochs as two processors bear.
_MNIST_CLUSTERING: dict[str, Any] = {
    "hidden_dims": (500, 500, 2000),
    "refresh_every": 140,
    "reset_every": 5,
}


def clustering_recipe(dataset: Dataset, config: Any) -> dict[str, Any]:
    """Options of `experiments.clustering` for a data set and a method.

    Args:
        dataset: the data set.
        config: the options of the command line.
    """
    pictures = dataset.is_image
    method = config.method or ("dec" if pictures else "kmeans")
    recipe = {"method": method} | _CLUSTERING
    if dataset.num_classes:
        recipe["num_clusters"] = dataset.num_classes
    if dataset.group_names:
        recipe["num_clusters"] = 12
    recipe["batch_size"] = min(recipe["batch_size"], len(dataset.x))
    if dataset.x[0].size > 1000:
        recipe |= {"covariance": "diagonal", "num_restarts": 3}
    if dataset.name in _MNIST:
        recipe |= _MNIST_CLUSTERING | {"num_seeds": 1, "pretrain_epochs": 40, "num_epochs": 10}
    if dataset.name == "mnist_test":
        recipe |= {"num_seeds": 3, "pretrain_epochs": 60, "num_epochs": 40}
    if dataset.is_text:
        recipe |= {"hidden_dims": (256,), "pretrain_epochs": 20, "pretrain_rate": 3e-4}
        recipe |= {"num_epochs": 20, "learning_rate": 3e-4}
    recipe["num_neighbors"] = max(2, min(recipe["num_neighbors"], len(dataset.x) - 1))
    recipe["embedding_dim"] = config.num_clusters or recipe.get("num_clusters")
    if method == "idec":
        # Of the authors' program, whose squared error is a mean over the features.
        recipe["strength"] = 0.1 * dataset.x[0].size
    elif method == "dcn":
        recipe["strength"] = 1.0
    elif method == "vade":
        if dataset.name in _MNIST:
            recipe |= {"output_std": 0.0, "learning_rate": 2e-4, "min_variance": 0.1}
        else:
            # The cross-entropy of few pixels weighs too little: codes would shrink to the prior.
            recipe |= {"output_std": 0.3, "min_variance": 0.01, "num_epochs": 100}
    elif method == "n2d" and dataset.name == "digits":
        recipe |= {"hidden_dims": (256,), "code_dim": 32, "pretrain_epochs": 60}
        # Where clusterings of ten seeds agree best.
        recipe["num_neighbors"] = 50
    return recipe
