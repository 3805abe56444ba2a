"""Classifiers and regressors: multi-layer perceptrons with the interface of scikit-learn."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from scipy import special
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from jaxnet._checks import require_positive, require_range
from jaxnet.estimators import _programs
from jaxnet.estimators._base import (
    NetworkEstimator,
    network_keys,
    padded,
    random_seed,
    standardization,
    validated_rows,
)
from jaxnet.estimators._design import Design
from jaxnet.estimators._rows import size_class


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class _Supervised(NetworkEstimator):
    """Options and training of networks that predict targets.

    Attributes:
        dropout: rate of dropout after each hidden layer.
        num_networks: networks that are trained side by side, in one program, and whose predictions
            are averaged.
        early_stopping: whether a part of the rows is held out, the parameters with the lowest loss
            on it are kept, and the training ends `patience` epochs after it.
        validation_fraction: fraction of the rows that is held out.
        patience: epochs without a lower loss after which the training ends.
        warm_start: whether `fit` starts from the parameters of the fit before.
    """

    dropout: float = 0.1
    num_networks: int = 1
    early_stopping: bool = False
    validation_fraction: float = 0.1
    patience: int = 10
    warm_start: bool = False

    def _check_options(self) -> None:
        super()._check_options()
        name = type(self).__name__
        require_positive(name, num_networks=self.num_networks, patience=self.patience)
        require_range(name, "dropout", self.dropout, 0, 1, include_high=False)
        open_interval = {"include_low": False, "include_high": False}
        fraction = self.validation_fraction
        require_range(name, "validation_fraction", fraction, 0, 1, **open_interval)

    def _task(self) -> str:
        raise NotImplementedError

    def _strata(self, targets: np.ndarray) -> np.ndarray | None:
        """What the parts of a split have the same fractions of."""
        return None

    def _train(
        self, x: np.ndarray, targets: np.ndarray, weight: np.ndarray, *, is_part: bool = False
    ) -> None:
        """Train on scaled rows.

        Args:
            x: scaled rows.
            targets: as the objective takes them.
            weight: of each row, at least 0.
            is_part: whether this is one epoch of `partial_fit`.
        """
        generator, seed = random_seed(self.random_state)
        data = {"x": x, "y": targets, "weight": weight}
        validation = None
        if self.early_stopping and not is_part:
            data, validation = self._split(data, generator)
        present = data["weight"] > 0
        # The mean over the rows that are present is 1, whatever the unit of the weights is.
        data["weight"] = (data["weight"] / data["weight"][present].mean()).astype(self.dtype)
        num_rows = size_class(len(x) if validation is None else len(data["x"]))
        design = self._new_design(
            self._task(),
            (x.shape[1], *self.hidden_dims, self._num_outputs),
            num_rows,
            batch_size=self._batch_size(len(data["x"]), num_rows),
            num_networks=int(self.num_networks),
            drops=self.dropout > 0,
        )
        start: dict[str, Any] = {}
        if is_part:
            design = design._replace(num_epochs=1, schedule=design.schedule and "constant")
        elif validation is not None:
            size = size_class(len(validation["x"]))
            design = design._replace(num_validation_rows=size, patience=int(self.patience))
            validation = padded(size, **validation)
        old = getattr(self, "params_", None)
        if is_part and old is not None:
            start["leaves"] = self._leaves
        else:
            start["keys"] = network_keys(seed, design.num_networks)
            if self.warm_start and old is not None and not is_part:
                start["params"] = old
        numbers = {"dropout": self.dropout, "label_smoothing": getattr(self, "label_smoothing", 0)}
        trained = _programs.train(
            design,
            self._new_settings(**numbers),
            padded(num_rows, **data),
            validation=validation,
            report=None if is_part else self._reporter(),
            **start,
        )
        self._keep(design, trained, append=is_part)

    def _split(
        self, data: dict[str, np.ndarray], generator: np.random.RandomState
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Training and validation rows; rows of weight 0 are in neither."""
        rows = np.flatnonzero(data["weight"] > 0)
        if len(rows) < 2:
            raise ValueError(
                f"{type(self).__name__}: early stopping needs rows for training and validation, "
                f"found {len(rows)} sample; pass early_stopping=False"
            )
        options = {"test_size": self.validation_fraction, "random_state": generator.randint(2**31)}
        strata = self._strata(data["y"][rows])
        try:
            parts = train_test_split(rows, stratify=strata, **options)
        except ValueError:
            # Classes with one row, or fewer rows than classes in a part.
            parts = train_test_split(rows, **options)
        kept, held = ({name: array[part] for name, array in data.items()} for part in parts)
        held["weight"] = held["weight"].astype(self.dtype)
        return kept, held

    def _outputs(self, x: Any) -> np.ndarray:
        """Outputs of each network, `(networks, rows, outputs)`, in float64."""
        x = self._scaled(self._validated(x))
        design = Design(*self._design)
        return np.asarray(_programs.outputs(design, "outputs", self.params_, x), np.float64)

    def _checked_weight(self, sample_weight: Any, num_rows: int) -> np.ndarray:
        if sample_weight is None:
            return np.ones(num_rows)
        weight = np.asarray(sample_weight, np.float64)
        if weight.shape != (num_rows,):
            raise ValueError(
                f"{type(self).__name__}: sample_weight has shape {weight.shape}, expected one "
                f"number for each row, ({num_rows},)"
            )
        if not np.isfinite(weight).all() or weight.min() < 0:
            raise ValueError(
                f"{type(self).__name__}: sample_weight must be finite and at least 0, found "
                f"{weight.min():g}"
            )
        return weight

    def _require_weight(self, weight: np.ndarray) -> np.ndarray:
        if not weight.any():
            raise ValueError(
                f"{type(self).__name__}: all weights are zero, expected a sample_weight above 0 for "
                "at least one row"
            )
        return weight


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class NetworkClassifier(ClassifierMixin, _Supervised):
    """Multi-layer perceptrons that predict classes, or several labels of each row.

    They minimize the softmax cross-entropy, with two classes and with labels that do not exclude
    each other (`y` of zeros and ones, `(n, labels)`) the logistic loss: `jaxnet.classification`,
    `binary_classification`, `multilabel_classification`. Hyper-parameters that are numbers are
    traced, and rows are padded with weight 0 to few sizes, so that clones and folds share their
    compiled programs.

    Attributes:
        label_smoothing: probability that is spread over all classes, for more than two classes.
        class_weight: a dict from classes to weights, "balanced", or None; for several labels a list
            of dicts, as in `sklearn.utils.class_weight.compute_sample_weight`.
        classes_: the classes; for several labels the numbers of the labels.

    >>> from sklearn.datasets import load_wine
    >>> x, y = load_wine(return_X_y=True)
    >>> model = NetworkClassifier(num_epochs=20, random_state=0).fit(x, y)
    >>> model.score(x, y) > 0.95, model.predict_proba(x[:2]).shape
    (True, (2, 3))
    """

    label_smoothing: float = 0.0
    class_weight: Mapping[Any, float] | Sequence[Any] | Literal["balanced"] | None = None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "NetworkClassifier":
        """Train from new initial parameters, or with `warm_start` from those there are.

        Args:
            X: rows, `(n, columns)`.
            y: classes `(n,)`, or zeros and ones `(n, labels)`.
            sample_weight: weight of each row; a row of weight 0 is left out.
        """
        self._check_options()
        X, y = validated_rows(self, X, y, multi_output=True)
        weight = self._require_weight(self._checked_weight(sample_weight, len(X)))
        y = self._fit_classes(y)
        if self.class_weight is not None:
            weight = weight * compute_sample_weight(self.class_weight, y)
        self._fit_columns(X, weight)
        self._train(self._scaled(X), self._targets(y), self._require_weight(weight))
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> "NetworkClassifier":
        """Train one epoch, from where the training stands; columns are scaled as at the first call.

        Args:
            X: rows, `(n, columns)`.
            y: as in `fit`.
            classes: all classes, at the first call.
            sample_weight: as in `fit`.
        """
        self._check_options()
        first = not hasattr(self, "params_")
        X, y = validated_rows(self, X, y, multi_output=True, reset=first)
        weight = self._require_weight(self._checked_weight(sample_weight, len(X)))
        if first:
            if classes is None and np.ndim(y) == 1:
                raise ValueError(
                    "NetworkClassifier: the first call of partial_fit needs classes, found None; "
                    "pass classes=numpy.unique(all_labels)"
                )
            y = self._fit_classes(y, classes)
        else:
            y = self._as_labels(y)
        if self.class_weight is not None:
            if isinstance(self.class_weight, str):
                raise ValueError(
                    f"NetworkClassifier: class_weight {self.class_weight!r} needs all labels, which "
                    "partial_fit does not see; pass a dict, or sample_weight"
                )
            weight = weight * compute_sample_weight(self.class_weight, y)
        if first:
            self._fit_columns(X, weight)
        self._train(self._scaled(X), self._targets(y), self._require_weight(weight), is_part=True)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits: of the second of two classes `(n,)`, of each class or label `(n, classes)`.

        Those of several networks are the logits of the mean probability.

        Args:
            X: rows, `(n, columns)`.
        """
        outputs = self._outputs(X)
        if len(outputs) == 1:
            logits = outputs[0]
        elif self._task() == "classification":
            # Up to a constant of each row, which changes no probability.
            logits = special.logsumexp(special.log_softmax(outputs, axis=-1), axis=0)
        else:
            positive, negative = special.log_expit(outputs), special.log_expit(-outputs)
            logits = special.logsumexp(positive, axis=0) - special.logsumexp(negative, axis=0)
        return logits[:, 0] if self._task() == "binary" else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, or of each label, `(n, classes)`.

        Args:
            X: rows, `(n, columns)`.
        """
        logits = self.decision_function(X)
        if self._task() == "classification":
            return special.softmax(logits, axis=1)
        if self._task() == "multilabel":
            return special.expit(logits)
        return np.stack([special.expit(-logits), special.expit(logits)], axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class `(n,)`, or the labels whose probability is above 1/2.

        Args:
            X: rows, `(n, columns)`.
        """
        logits = self.decision_function(X)
        if self._task() == "classification":
            return self.classes_[logits.argmax(axis=1)]
        chosen = (logits > 0).astype(int)
        return chosen if self._task() == "multilabel" else self.classes_[chosen]

    def _task(self) -> str:
        if self._is_multilabel:
            return "multilabel"
        return "binary" if len(self.classes_) == 2 else "classification"

    def _strata(self, targets: np.ndarray) -> np.ndarray | None:
        return None if self._is_multilabel else targets

    def _fit_classes(self, y: Any, classes: Any = None) -> np.ndarray:
        """Find the classes, and return labels as an array."""
        check_classification_targets(y)
        self._is_multilabel = type_of_target(y) == "multilabel-indicator"
        if self._is_multilabel:
            y = _dense(y)
            self.classes_ = np.arange(y.shape[1])
            self._num_outputs = y.shape[1]
            return y
        y = column_or_1d(y, warn=True)
        self.classes_ = np.unique(y if classes is None else classes)
        if len(self.classes_) < 2:
            raise ValueError(
                f"NetworkClassifier: y holds one class, {self.classes_[0]!r}, expected at least two "
                "classes"
            )
        self._num_outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        return self._as_labels(y)

    def _as_labels(self, y: Any) -> np.ndarray:
        """Labels as an array, checked against the classes."""
        if self._is_multilabel:
            y = _dense(y)
            if y.ndim != 2 or y.shape[1] != len(self.classes_):
                raise ValueError(
                    f"NetworkClassifier: y has shape {y.shape}, expected {len(self.classes_)} labels "
                    "of each row, as in the first call"
                )
            return y
        y = column_or_1d(y, warn=True)
        if unknown := sorted(set(np.unique(y).tolist()) - set(self.classes_.tolist())):
            raise ValueError(
                f"NetworkClassifier: y holds the class {unknown[0]!r}, expected one of classes "
                f"{self.classes_.tolist()}; pass all classes to the first call of partial_fit"
            )
        return y

    def _targets(self, y: np.ndarray) -> np.ndarray:
        if self._is_multilabel:
            return y.astype(self.dtype)
        return np.searchsorted(self.classes_, y).astype(np.int32)


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class NetworkRegressor(RegressorMixin, _Supervised):
    """Multi-layer perceptrons that predict one number or several.

    They minimize the mean squared error of targets that are centered and divided by their standard
    deviation: `jaxnet.regression`. Losses are in this unit, predictions in that of `y`.

    >>> from sklearn.datasets import load_diabetes
    >>> x, y = load_diabetes(return_X_y=True)
    >>> model = NetworkRegressor(num_epochs=20, random_state=0).fit(x, y)
    >>> model.score(x, y) > 0.5, model.predict(x[:2]).shape
    (True, (2,))
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "NetworkRegressor":
        """Train from new initial parameters, or with `warm_start` from those there are.

        Args:
            X: rows, `(n, columns)`.
            y: targets, `(n,)` or `(n, targets)`.
            sample_weight: weight of each row; a row of weight 0 is left out.
        """
        return self._fit(X, y, sample_weight, is_part=False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "NetworkRegressor":
        """Train one epoch, from where the training stands; scales are those of the first call.

        Args:
            X: rows, `(n, columns)`.
            y: as in `fit`.
            sample_weight: as in `fit`.
        """
        return self._fit(X, y, sample_weight, is_part=True)

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, is_part: bool) -> "NetworkRegressor":
        self._check_options()
        first = not is_part or not hasattr(self, "params_")
        options = {"multi_output": True, "y_numeric": True, "reset": first}
        X, y = validated_rows(self, X, y, **options)
        weight = self._require_weight(self._checked_weight(sample_weight, len(X)))
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        targets = np.asarray(y, np.float64).reshape(len(y), -1)
        if first:
            self._is_single, self._num_outputs = y.ndim == 1, targets.shape[1]
            self._fit_columns(X, weight)
            self._y_offset, self._y_factor = standardization(targets, weight)
        elif targets.shape[1] != self._num_outputs:
            raise ValueError(
                f"NetworkRegressor: y has {targets.shape[1]} targets, expected {self._num_outputs} "
                "as in the first call"
            )
        targets = ((targets - self._y_offset) / self._y_factor).astype(self.dtype)
        self._train(self._scaled(X), targets, weight, is_part=is_part)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The mean of the predictions of all networks, `(n,)` or `(n, targets)`.

        Args:
            X: rows, `(n, columns)`.
        """
        outputs = self._outputs(X).mean(axis=0) * self._y_factor + self._y_offset
        return outputs[:, 0] if self._is_single else outputs

    def _task(self) -> str:
        return "regression"


def _dense(y: Any) -> np.ndarray:
    """An indicator matrix as an array."""
    return np.asarray(y.toarray() if hasattr(y, "toarray") else y)
