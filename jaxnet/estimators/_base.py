"""What the estimators share: options of a training, columns, random numbers, progress, results."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxnet._checks import require_above_zero, require_not_negative, require_positive, require_sizes
from jaxnet.estimators._design import ACTIVATIONS, Design
from jaxnet.estimators._programs import Trained, train
from jaxnet.estimators._rows import pad_rows, size_class
from jaxnet.optim import default_learning_rate, optimizer_names, schedule_names
from jaxnet.optim._names import require_name

_FLOATS = (np.float64, np.float32)
_DECOUPLED = ("adamw", "nadamw")


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class NetworkEstimator(BaseEstimator):
    """What every estimator that trains a network has.

    Attributes:
        hidden_dims: sizes of the hidden layers; an autoencoder has them again in reverse order.
        activation: of the hidden layers: relu, elu, gelu, silu, sigmoid or tanh.
        optimizer: name of any Optax optimizer, one of `jaxnet.optimizer_names()`.
        learning_rate: the largest learning rate; None is a rate of the estimator for the optimizer
            that is its default, and `jaxnet.optim.default_learning_rate` for others.
        schedule: of the learning rate over the training: constant, cosine, warmup_cosine,
            exponential or step. Optimizers that take none ignore it, and so does `partial_fit`.
        weight_decay: strength of weight decay; None for the default of the optimizer. "auto" is
            500 / rows, at most 2, for adamw and nadamw, and None for others.
        num_epochs: passes over the rows; with early stopping, the most.
        batch_size: rows in a batch; "auto" chooses it by the number of rows.
        standardize: whether columns are centered and divided by their standard deviation, as
            fitted on the training rows.
        dtype: in which networks compute.
        random_state: decides all random numbers: a seed, a `numpy.random.RandomState`, or None.
        verbose: 0 is silent; n prints the metrics of every n-th epoch, and compiles at each fit.
        params_: parameters of the networks, NumPy arrays with a first axis for the networks.
        history_: metrics after each epoch, `(networks, epochs)` each; NaN after the end of a
            network that stopped early.
        loss_curve_: the training loss after each epoch, the mean over the networks.
        n_iter_: epochs that were trained, of the network that was trained longest.
        n_features_in_: columns.
    """

    hidden_dims: Sequence[int] = (128,)
    activation: Literal["relu", "elu", "gelu", "silu", "sigmoid", "tanh"] = "relu"
    optimizer: str = "adamw"
    learning_rate: float | None = None
    schedule: str = "cosine"
    weight_decay: float | Literal["auto"] | None = None
    num_epochs: int = 60
    batch_size: int | Literal["auto"] = "auto"
    standardize: bool = True
    dtype: Literal["float32", "float64"] = "float32"
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    # Of the default optimizer, where no learning rate is given.
    _default_rate = 2e-3

    def _check_options(self) -> None:
        name = type(self).__name__
        require_sizes(name, "hidden_dims", self.hidden_dims, "be one size for each hidden layer")
        require_positive(name, num_epochs=self.num_epochs)
        require_name("activation", self.activation, tuple(ACTIVATIONS))
        require_name("optimizer", self.optimizer, optimizer_names())
        require_name("schedule", self.schedule, schedule_names())
        require_name("dtype", self.dtype, ("float32", "float64"))
        if self.learning_rate is not None:
            require_above_zero(name, learning_rate=self.learning_rate)
        if self.weight_decay not in (None, "auto"):
            require_not_negative(name, weight_decay=self.weight_decay)
        if self.batch_size != "auto":
            require_positive(name, batch_size=self.batch_size)

    def _new_design(self, task: str, dims: Sequence[int], num_examples: int) -> Design:
        """The design of a training of one network on a number of rows."""
        num_rows = size_class(num_examples)
        auto = self.batch_size == "auto"
        batch_size = batch_size_for(num_examples) if auto else int(self.batch_size)
        return Design(
            task,
            tuple(map(int, dims)),
            num_rows,
            num_validation_rows=0,
            batch_size=min(batch_size, num_rows),
            num_epochs=int(self.num_epochs),
            num_networks=1,
            optimizer=self.optimizer,
            schedule=None if self._rate() is None else self.schedule,
            decays=self._decay(num_examples) is not None,
            activation=self.activation,
            dtype=self.dtype,
        )

    def _rate(self) -> float | None:
        """The largest learning rate; None of an optimizer that finds its own."""
        if self.learning_rate is not None:
            return self.learning_rate
        if self.optimizer == type(self).optimizer:
            return self._default_rate
        return default_learning_rate(self.optimizer)

    def _decay(self, num_examples: int) -> float | None:
        """The weight decay for a number of rows; None for the default of the optimizer."""
        if self.weight_decay != "auto":
            return self.weight_decay
        # Others add the decayed weights to the gradient, where this would be far too much.
        return min(2.0, 500 / num_examples) if self.optimizer in _DECOUPLED else None

    def _new_settings(self, num_examples: int, numbers: dict[str, Any]) -> dict[str, Any]:
        """Numbers that are traced: those of the optimizer, and others."""
        decay = self._decay(num_examples) or 0.0
        numbers = {"learning_rate": self._rate() or 1.0, "weight_decay": decay} | numbers
        return {name: np.asarray(value, self.dtype) for name, value in numbers.items()}

    def _fit_columns(self, x: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Fit the scale of the columns, in float64."""
        scale = self.standardize
        self._offset, self._factor = (standardization if scale else identity)(x, weight)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        """Rows as the network takes them; in float64 until a large offset is subtracted."""
        return np.ascontiguousarray((x - self._offset) / self._factor, self.dtype)

    def _require_fitted(self) -> None:
        check_is_fitted(self)

    def _validated(self, x: Any) -> np.ndarray:
        """Rows to predict, checked against those of the training."""
        self._require_fitted()
        return validated_rows(self, x, reset=False)

    def _run(
        self,
        design: Design,
        settings: dict[str, Any],
        data: dict[str, np.ndarray],
        *,
        seed: int,
        is_part: bool,
        validation: dict[str, np.ndarray] | None = None,
    ) -> None:
        """Train on padded rows, and keep the results.

        Args:
            design: what is static.
            settings: numbers.
            data: padded rows.
            seed: of the keys of the networks.
            is_part: whether this is one epoch of `partial_fit`, at a constant rate.
            validation: padded validation rows.
        """
        start: dict[str, Any] = {"keys": network_keys(seed, design.num_networks)}
        report = None if is_part else self._reporter()
        if is_part:
            # Of one epoch there is no end that a schedule could run to.
            design = design._replace(num_epochs=1, schedule=design.schedule and "constant")
        if hasattr(self, "params_") and (is_part or getattr(self, "warm_start", False)):
            old = Design._make(self._design)
            if (old.task, old.dims, old.num_networks) != (*design[:2], design.num_networks):
                raise ValueError(
                    f"{type(self).__name__}: the training before was that of {old.num_networks} "
                    f"networks of the sizes {old.dims}, found {design.num_networks} of "
                    f"{design.dims}; pass warm_start=False and call fit"
                )
            start = {"leaves": self._leaves} if is_part else start | {"params": self.params_}
        trained = train(design, settings, data, validation=validation, report=report, **start)
        self._keep(design, trained, append=is_part)

    def _keep(self, design: Design, trained: Trained, *, append: bool = False) -> None:
        """Take over what a training left."""
        history = trained.history
        if append and hasattr(self, "history_"):
            old = self.history_
            history = {
                name: np.concatenate([old[name], values], axis=1)
                for name, values in history.items()
                if name in old
            }
        lengths = np.isfinite(history["loss"]).sum(axis=1)
        self.n_iter_ = int(max(1, lengths.max()))
        self.history_ = {name: values[:, : self.n_iter_] for name, values in history.items()}
        self.loss_curve_ = mean_of_trained(self.history_["loss"])
        self.params_, self._leaves, self._design = trained.params, trained.leaves, tuple(design)

    def _reporter(self) -> Callable[[int, dict[str, float]], None] | None:
        """What prints the metrics of epochs, where that is asked for."""
        every = int(self.verbose)
        if not every:
            return None

        def report(epoch: int, metrics: dict[str, float]) -> None:
            if epoch % every == 0 or epoch == self.num_epochs:
                values = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
                print(f"epoch {epoch}/{self.num_epochs}: {values}", flush=True)

        return report


def validated_rows(estimator: Any, x: Any, *, reset: bool = True) -> np.ndarray:
    """Training rows as scikit-learn checks them: finite, two-dimensional, floats."""
    rows: Any = validate_data(estimator, x, dtype=_FLOATS, reset=reset)
    return rows


def validated_pairs(
    estimator: Any, x: Any, y: Any, *, reset: bool = True, y_numeric: bool = False
) -> tuple[np.ndarray, Any]:
    """Training rows and their targets, which may be several for each row."""
    options = {"dtype": _FLOATS, "multi_output": True, "y_numeric": y_numeric}
    pair: Any = validate_data(estimator, x, y, reset=reset, **options)
    return pair


def mean_of_trained(values: np.ndarray) -> np.ndarray:
    """The mean over networks `(networks, epochs)` of the values that are not NaN.

    >>> mean_of_trained(np.array([[1.0, 2.0], [3.0, np.nan]])).tolist()
    [2.0, 2.0]
    """
    present = np.isfinite(values)
    return np.where(present, values, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)


def standardization(
    x: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation of columns; 1 for a column that does not vary.

    >>> standardization(np.array([[1.0, 5.0], [3.0, 5.0]]))
    (array([2., 5.]), array([1., 1.]))
    """
    x = np.asarray(x, np.float64)
    mean = np.average(x, axis=0, weights=weight)
    deviation = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
    # What rounding of the mean leaves of a constant column.
    varies = deviation > 1e-12 * np.abs(mean)
    return mean, np.where(varies, deviation, 1.0)


def identity(x: np.ndarray, weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A scale that changes nothing."""
    return np.zeros(x.shape[1]), np.ones(x.shape[1])


def batch_size_for(num_rows: int) -> int:
    """Rows in a batch: the more rows, the more in a batch.

    >>> [batch_size_for(rows) for rows in (20, 150, 1500, 20_000, 500_000)]
    [32, 32, 32, 256, 1024]
    """
    size = 32
    while size < 1024 and size * 100 < num_rows:
        size *= 2
    return size


def random_seed(random_state: Any) -> tuple[np.random.RandomState, int]:
    """A random generator of the host, and a seed of a key that it has drawn."""
    generator = check_random_state(random_state)
    return generator, int(generator.randint(2**31 - 1))


def network_keys(seed: int, num_networks: int) -> np.ndarray:
    """The data of a key for each network; the first are the same for any number of networks.

    >>> bool((network_keys(0, 2) == network_keys(0, 3)[:2]).all())
    True
    """
    return np.asarray(_key_program(num_networks)(np.uint32(seed)))


@functools.lru_cache(16)
def _key_program(num_networks: int) -> Callable[..., Any]:
    def keys(seed: Any) -> Any:
        fold = functools.partial(jax.random.fold_in, jax.random.key(seed))
        return jax.vmap(lambda index: jax.random.key_data(fold(index)))(np.arange(num_networks))

    return jax.jit(keys)


def padded(num_rows: int, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays padded to a number of rows."""
    return {name: pad_rows(array, num_rows) for name, array in arrays.items()}


def padded_inputs(num_rows: int, x: np.ndarray) -> dict[str, np.ndarray]:
    """Scaled rows without targets, padded, each of weight 1."""
    return padded(num_rows, {"x": x, "weight": np.ones(len(x), x.dtype)})
