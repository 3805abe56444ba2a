"""Classifiers and regressors: multi-layer perceptrons with the interface of scikit-learn."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from scipy import special
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from jaxnet._checks import require_not_negative, require_range
from jaxnet.estimators._base import standardization, validated_pairs
from jaxnet.estimators._supervised import SupervisedEstimator


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class NetworkClassifier(ClassifierMixin, SupervisedEstimator):
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

    def _check_options(self) -> None:
        super()._check_options()
        smoothing = self.label_smoothing
        require_range("NetworkClassifier", "label_smoothing", smoothing, 0, 1, include_high=False)
        if isinstance(self.class_weight, Mapping):
            for label, weight in self.class_weight.items():
                name = f"the class_weight of {label!r}"
                require_not_negative("NetworkClassifier", **{name: weight})

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "NetworkClassifier":
        """Train from new initial parameters, or with `warm_start` from those there are.

        Args:
            X: rows, `(n, columns)`.
            y: classes `(n,)`, or zeros and ones `(n, labels)`.
            sample_weight: weight of each row; a row of weight 0 is left out.
        """
        self._check_options()
        X, y = validated_pairs(self, X, y)
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
        X, y = validated_pairs(self, X, y, reset=first)
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
                    f"NetworkClassifier: class_weight {self.class_weight!r} needs all labels, "
                    "which partial_fit does not see; pass a dict, or sample_weight"
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
            logits: Any = outputs[0]
        elif self._task() == "classification":
            # Up to a constant of each row, which changes no probability.
            logits = special.logsumexp(special.log_softmax(outputs, axis=-1), axis=0)
        else:
            positive, negative = special.log_expit(outputs), special.log_expit(-outputs)
            logits = special.logsumexp(np.stack([positive, negative]), axis=1)
            logits = logits[0] - logits[1]
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
                f"NetworkClassifier: y holds one class, {self.classes_[0]!r}, expected at "
                "least two classes"
            )
        self._num_outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        return self._as_labels(y)

    def _as_labels(self, y: Any) -> np.ndarray:
        """Labels as an array, checked against the classes."""
        if self._is_multilabel:
            y = _dense(y)
            if y.ndim != 2 or y.shape[1] != len(self.classes_):
                raise ValueError(
                    f"NetworkClassifier: y has shape {y.shape}, expected {len(self.classes_)} "
                    "labels of each row, as in the first call"
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
class NetworkRegressor(RegressorMixin, SupervisedEstimator):
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
        X, y = validated_pairs(self, X, y, reset=first, y_numeric=True)
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
