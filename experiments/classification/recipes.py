"""Default configs of experiments.classification by data set and model.

Values were chosen on validation data, never on the test set. Results: docs/results.md.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from experiments.classification.config import (
    BagOfEmbeddings,
    Cnn,
    Config,
    Conv1d,
    Linear,
    Mlp,
    Rnn,
    WordRecognizer,
)
from experiments.facts import Facts, batch_size_for, is_large

_FEW_ROWS = 1000
# Chosen by the validation part of CLINC150 for all texts.
_TEXTS = {"learning_rate": 1e-2, "schedule": "cosine", "label_smoothing": 0.1}


def recipe(
    facts: Facts, method: str | None = None, given: Mapping[str, Any] | None = None
) -> Config:
    """The default config for a data set and a model.

    Args:
        facts: sizes of the data set.
        method: name of the model; None is `default_model`.
        given: options that are given; early stopping needs validation data.

    >>> from experiments.facts import named_facts
    >>> recipe(named_facts("digits")).model
    Mlp(name='mlp', hidden_dims=(512,), dropout=0.4, input_dropout=0.0)
    """
    name = method or default_model(facts)
    config = Config(
        dataset=facts.name or Config().dataset,
        model={
            "linear": Linear(),
            "mlp": Mlp(hidden_dims=(128,), dropout=0.0),
            "cnn": Cnn(channels=(16, 32), hidden_dims=(128,), dropout=0.0),
            "rnn": Rnn(),
            "conv1d": Conv1d(),
            "word_recognizer": WordRecognizer(),
            "bag_of_embeddings": BagOfEmbeddings(),
        }[name],
        label_smoothing=0.0,
    )
    if not facts.name:
        return _user_recipe(config, facts, given or {})
    return dataclasses.replace(config, **_named(facts.name, name))


def default_model(facts: Facts) -> str:
    """The name of the model for data of a kind."""
    if facts.is_tokens:
        return "bag_of_embeddings"
    if facts.name == "fsdd":
        return "word_recognizer"
    return "rnn" if facts.is_series else "mlp"


def _user_recipe(config: Config, facts: Facts, given: Mapping[str, Any]) -> Config:
    """For a user's table: the larger, the larger its batches and the fewer its epochs.

    Values were chosen by the accuracy and the log loss on the validation rows of the tables of
    experiments.tables; those of few rows, whose validation parts are too small to choose by, on 48
    splits of 24 other tables of `make_classification`, of 150 and 300 rows. Without early stopping
    the log loss of small tables is up to half as high again; weight decay and dropout cost little
    on any of them, and gain most on noisy ones.
    """
    options: dict[str, Any] = {"batch_size": batch_size_for(facts.num_examples)}
    if is_large(facts):
        options |= {"num_epochs": 20, "num_seeds": 3}
    has_folds = given.get("cross_validate") or given.get("group")
    if not has_folds and given.get("validation_fraction") != 0:
        # Otherwise there are no validation rows.
        options["patience"] = 20
    if isinstance(config.model, Mlp):
        options["optimizer"] = "adamw"
        if facts.num_examples < _FEW_ROWS:
            # Fewer parameters, more epochs: a validation loss on few rows stops at random.
            options["model"] = Mlp(hidden_dims=(128,), dropout=0.1)
            options |= {"weight_decay": 2.0, "num_epochs": 120}
            options |= {"patience": 40} if "patience" in options else {}
        else:
            options["model"] = Mlp(hidden_dims=(256, 256), dropout=0.2)
            options["weight_decay"] = 0.5
    elif isinstance(config.model, BagOfEmbeddings):
        # A schedule that ends where few epochs suffice needs no early stopping.
        num_epochs = 60 if facts.num_examples < _FEW_ROWS else 15
        options |= _TEXTS | {"num_epochs": num_epochs, "patience": None}
        if facts.num_classes == 2:
            options["label_smoothing"] = 0.0
    elif isinstance(config.model, Cnn):
        options["model"] = dataclasses.replace(config.model, dropout=0.2)
    return dataclasses.replace(config, **options)


def _named(dataset: str, model: str) -> dict[str, Any]:
    """What differs from the defaults for a named data set."""
    wide = Mlp(hidden_dims=(512, 512), dropout=0.3, input_dropout=0.1)
    deep = Cnn(channels=(16, 32, 64), convs_per_stage=2, hidden_dims=(), dropout=0.2)
    match dataset, model:
        case "digits", "mlp":
            return {"model": Mlp(hidden_dims=(512,), dropout=0.4), "label_smoothing": 0.1}
        case "digits", "cnn":
            return {"model": Cnn(hidden_dims=(64,), dropout=0.2), "num_epochs": 30}
        case "breast_cancer", "linear":
            return {"l2_weight": 1e-2, "batch_size": 32}
        case "breast_cancer", "mlp":
            model_options = Mlp(hidden_dims=(64,), dropout=0.2)
            return {"model": model_options, "l2_weight": 1e-2, "batch_size": 32}
        case "wine", "mlp":
            return {"model": Mlp(hidden_dims=(64,), dropout=0.2), "batch_size": 16}
        case "iris", "mlp":
            model_options = Mlp(hidden_dims=(32,), dropout=0.0)
            return {"model": model_options, "batch_size": 16, "learning_rate": 1e-2}
        case "JapaneseVowels", "rnn":
            model_options = Rnn(hidden_dims=(64, 64), bidirectional=True, dropout=0.3)
            options = {"learning_rate": 3e-3, "schedule": "warmup_cosine", "batch_size": 32}
            options |= {"num_epochs": 40, "num_seeds": 10, "validation_fraction": 0.0}
            return {"model": model_options} | options
        case "emails", "linear":
            return {"learning_rate": 2e-2, "num_epochs": 15, "num_seeds": 5}
        case "emails", "mlp":
            options = {"learning_rate": 5e-3, "num_epochs": 10, "num_seeds": 5}
            return {"model": Mlp(hidden_dims=(32,), dropout=0.5)} | options
        case "banking77", "bag_of_embeddings":
            return _TEXTS | {"batch_size": 128, "num_epochs": 5, "num_seeds": 5}
        case "clinc150", "bag_of_embeddings":
            return _TEXTS | {"batch_size": 256, "num_epochs": 6, "num_seeds": 5}
        case "fsdd", "word_recognizer":
            # Chosen by a speaker that is left out beside the one that tests.
            options = {"label_smoothing": 0.1, "batch_size": 50, "num_epochs": 25}
            return options | {"num_seeds": 5}
        case "mnist", "linear":
            return {"num_epochs": 20, "batch_size": 128, "num_seeds": 3}
        case "mnist" | "fashion_mnist", "mlp":
            num_epochs = 20 if dataset == "mnist" else 30
            options = {"learning_rate": 1e-3, "batch_size": 128, "num_seeds": 1}
            return {"model": wide, "num_epochs": num_epochs} | options
        case "mnist" | "fashion_mnist", "cnn":
            return {"model": deep, "num_epochs": 15, "batch_size": 128, "num_seeds": 1}
    return {}
