"""Whether data and options of a classification fit each other."""

import jaxnet as jn
from experiments.classification.config import (
    BagOfEmbeddings,
    Cnn,
    Config,
    Conv1d,
    Rnn,
    WordRecognizer,
)
from experiments.data import Dataset


def is_cross_validated(config: Config) -> bool:
    """Whether a config asks for a network for each fold."""
    return bool(config.cross_validate or config.group)


def check(config: Config, dataset: Dataset) -> None:
    """Check data, and that the options fit them and each other.

    Raises:
        ValueError: they do not.
    """
    jn.check_data(dataset.inputs, dataset.y, num_classes=dataset.num_classes)
    _check_model(config, dataset)
    if config.label_smoothing > 0 and dataset.num_classes == 2:
        raise ValueError(
            "label_smoothing needs more than two classes, since two have one logistic output, "
            f"found {config.label_smoothing}; leave it out"
        )
    if config.cross_validate == 1:
        raise ValueError("cross_validate must be 0 or at least 2, found 1; use more folds")
    if config.group is not None and config.group not in dataset.groupings:
        known = ", ".join(dataset.groupings) or "none"
        raise ValueError(
            f"group {config.group!r} is not a grouping of {dataset.name}, found {known}; leave it "
            "out, or name a column of a user's table"
        )
    _check_calibration(config)
    without = "cross_validate" if is_cross_validated(config) else "validation_fraction 0"
    if config.patience is not None and (
        is_cross_validated(config) or config.validation_fraction == 0
    ):
        raise ValueError(
            f"patience {config.patience} needs validation data, and {without} leaves none; "
            "leave one of the two out"
        )
    if config.impute is not None and config.validation_fraction != Config.validation_fraction:
        raise ValueError(
            "impute takes medians from the training rows, which validation_fraction changes; leave "
            "one of the two out"
        )
    if is_cross_validated(config) and config.impute is not None:
        raise ValueError(
            "impute takes medians from the training rows of one split, which are others in each "
            "fold of cross_validate; leave one of the two out, or fill the cells before"
        )
    rate = config.max_false_positive_rate
    if rate is None:
        return
    if dataset.num_classes != 2:
        raise ValueError(
            f"max_false_positive_rate is for two classes, {dataset.name} has "
            f"{dataset.num_classes}; leave it out"
        )
    if not is_cross_validated(config) and config.validation_fraction == 0:
        raise ValueError(
            "max_false_positive_rate needs validation data to choose a threshold on, and "
            "validation_fraction 0 leaves none; leave one of the two out"
        )
    if config.cross_validate == 2:
        raise ValueError(
            "max_false_positive_rate with cross_validate needs at least 3 folds, found 2: one "
            "tests, one chooses the threshold, the others train; use more folds"
        )
    if (config.false_positive_cost, config.false_negative_cost) != (1, 1):
        raise ValueError(
            "max_false_positive_rate chooses the threshold, and so do costs; leave one out"
        )


def _check_calibration(config: Config) -> None:
    """Raise where no validation examples calibrate."""
    for name, is_given in (
        ("calibrate", config.calibrate != "none"),
        ("coverage", config.coverage is not None),
    ):
        if is_given and is_cross_validated(config):
            raise ValueError(
                f"{name} needs examples that neither trained nor tested a network, and "
                "cross_validate leaves none; leave one of the two out"
            )
        if is_given and config.validation_fraction == 0:
            raise ValueError(
                f"{name} needs validation examples, and validation_fraction 0 leaves none; leave "
                "one of the two out"
            )


def _check_model(config: Config, dataset: Dataset) -> None:
    """Raise where a model cannot take the examples of a data set."""
    model = config.model
    kind = "a table"
    if dataset.is_tokens:
        kind = "texts as tokens"
    elif dataset.is_series:
        kind = "series"
    elif dataset.is_image:
        kind = "images"
    takes = {
        Cnn: "images",
        Rnn: "series",
        Conv1d: "series",
        WordRecognizer: "series",
        BagOfEmbeddings: "texts as tokens",
    }
    needed = takes.get(type(model))
    if needed not in (None, kind):
        other = {"series": "rnn", "texts as tokens": "bag_of_embeddings"}.get(kind, "mlp")
        raise ValueError(
            f"model {model.name} needs {needed}, {dataset.name} is {kind}; use {other}"
        )
    if needed is None and dataset.is_tokens:
        raise ValueError(
            f"model {model.name} needs features, {dataset.name} is texts as tokens; use "
            "bag_of_embeddings"
        )
    if needed is None and dataset.length is not None:
        shortest, longest = dataset.length.min(), dataset.length.max()
        if shortest < longest:
            raise ValueError(
                f"model {model.name} needs series of one length, those of {dataset.name} have "
                f"{shortest} to {longest} steps; use rnn"
            )
