"""Training of networks that predict targets."""

import dataclasses
from typing import Any, Literal

import numpy as np
from sklearn.model_selection import train_test_split

from jaxnet._checks import require_positive, require_range
from jaxnet.estimators import _programs
from jaxnet.estimators._base import NetworkEstimator, padded, random_seed
from jaxnet.estimators._design import Design
from jaxnet.estimators._rows import size_class


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class SupervisedEstimator(NetworkEstimator):
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

    weight_decay: float | Literal["auto"] | None = "auto"
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
        fraction = self.validation_fraction
        require_range(
            name, "validation_fraction", fraction, 0, 1, include_low=False, include_high=False
        )

    _default_rate = 1e-2
    # Of the networks, set by `fit`.
    _num_outputs = 0

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
        num_rows = len(data["x"])
        dims = (x.shape[1], *self.hidden_dims, self._num_outputs)
        design = self._new_design(self._task(), dims, num_rows)
        design = design._replace(num_networks=int(self.num_networks), drops=self.dropout > 0)
        if validation is not None:
            size = size_class(len(validation["x"]))
            design = design._replace(num_validation_rows=size, patience=int(self.patience))
            validation = padded(size, validation)
        numbers = {
            "dropout": self.dropout,
            "label_smoothing": getattr(self, "label_smoothing", 0.0),
        }
        self._run(
            design,
            self._new_settings(num_rows, numbers),
            padded(design.num_rows, data),
            seed=seed,
            is_part=is_part,
            validation=validation,
        )

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
        design = Design._make(self._design)
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
                f"{type(self).__name__}: all weights are zero, expected a sample_weight above 0 "
                "for at least one row"
            )
        return weight
