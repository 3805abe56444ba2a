"""Transformers: autoencoders and restricted Boltzmann machines with scikit-learn's interface."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from jaxnet._checks import require_integer, require_positive, require_range
from jaxnet.estimators import _programs
from jaxnet.estimators._base import NetworkEstimator, padded_inputs, random_seed, validated_rows
from jaxnet.estimators._design import Design
from jaxnet.optim._names import require_name


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class _Transformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkEstimator):
    """What is trained on rows without targets.

    Attributes:
        warm_start: whether `fit` starts from the parameters of the fit before.
    """

    warm_start: bool = False

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: Any, y: Any = None) -> Any:
        """Train from new initial parameters, or with `warm_start` from those there are.

        Args:
            X: rows, `(n, columns)`.
            y: not used.
        """
        self._check_options()
        X = validated_rows(self, X)
        self._fit_columns(X)
        return self._train(X, is_part=False)

    def partial_fit(self, X: Any, y: Any = None) -> Any:
        """Train one epoch, from where the training stands; columns are scaled as at the first call.

        Args:
            X: rows, `(n, columns)`.
            y: not used.
        """
        self._check_options()
        first = not hasattr(self, "params_")
        X = validated_rows(self, X, reset=first)
        if first:
            self._fit_columns(X)
        return self._train(X, is_part=True)

    def _train(self, x: np.ndarray, *, is_part: bool) -> Any:
        raise NotImplementedError

    def _outputs(self, name: str, x: np.ndarray, dtype: Any) -> np.ndarray:
        """Outputs of a function of the network for scaled rows."""
        outputs = _programs.outputs(Design._make(self._design), name, self.params_, x)
        return np.asarray(outputs[0], dtype)

    @property
    def _n_features_out(self) -> int:
        return Design._make(self._design).dims[-1]


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class AutoencoderTransformer(_Transformer):
    """Codes of an autoencoder: few numbers from which the columns are reconstructed.

    It minimizes the squared error of the scaled columns: `jaxnet.autoencoders.reconstruction`,
    with `noise` that of the columns before the noise.

    Attributes:
        code_dim: numbers in a code.
        noise: fraction of the inputs that is set to 0 in training, as in Vincent et al. (2010),
            "Stacked denoising autoencoders".

    >>> from sklearn.datasets import load_wine
    >>> x, _ = load_wine(return_X_y=True)
    >>> model = AutoencoderTransformer(code_dim=2, num_epochs=20, random_state=0)
    >>> model.fit_transform(x).shape, model.get_feature_names_out().tolist()
    ((178, 2), ['autoencodertransformer0', 'autoencodertransformer1'])
    """

    code_dim: int = 8
    noise: float = 0.0
    num_epochs: int = 100

    def _check_options(self) -> None:
        super()._check_options()
        require_positive(type(self).__name__, code_dim=self.code_dim)
        require_range(type(self).__name__, "noise", self.noise, 0, 1, include_high=False)

    def _train(self, x: np.ndarray, *, is_part: bool) -> "AutoencoderTransformer":
        _, seed = random_seed(self.random_state)
        dims = (x.shape[1], *self.hidden_dims, self.code_dim)
        design = self._new_design("reconstruction", dims, len(x))._replace(drops=self.noise > 0)
        settings = self._new_settings(len(x), {"noise": self.noise})
        data = padded_inputs(design.num_rows, self._scaled(x))
        self._run(design, settings, data, seed=seed, is_part=is_part)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Codes, `(n, code_dim)`, of the dtype of the rows.

        Args:
            X: rows, `(n, columns)`.
        """
        X = self._validated(X)
        return self._outputs("encode", self._scaled(X), X.dtype)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Reconstructions of codes, in the unit of the columns, `(n, columns)`.

        Args:
            X: codes, `(n, code_dim)`.
        """
        self._require_fitted()
        codes = np.asarray(X, self.dtype)
        if codes.ndim != 2 or codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"AutoencoderTransformer: codes have shape {codes.shape}, expected "
                f"(n, {self._n_features_out})"
            )
        return self._outputs("decode", codes, np.float64) * self._factor + self._offset

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the mean squared error of the scaled columns; greater is better.

        Args:
            X: rows, `(n, columns)`.
            y: not used.
        """
        x = self._scaled(self._validated(X))
        codes = self._outputs("encode", x, self.dtype)
        return -float(np.mean((x - self._outputs("decode", codes, np.float64)) ** 2))


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class RestrictedBoltzmannMachine(_Transformer):
    """Features of a restricted Boltzmann machine: the means of its hidden units.

    It learns by contrastive divergence, `jaxnet.boltzmann.contrastive_divergence`, or with
    `num_chains` by persistent chains. `loss_curve_` is what the gradient is that of, and not a
    likelihood; see `history_["squared_reconstruction_error"]`. Bernoulli units take columns in
    [0, 1], and with `standardize` columns are scaled from their range in the training rows to it;
    Gaussian units take columns of mean 0 and variance 1.

    Attributes:
        num_hidden: number of hidden units, which are the features.
        visible: kind of the visible units, bernoulli or gaussian.
        num_gibbs_steps: Gibbs steps of an update.
        num_chains: persistent chains; 0 starts each update at the rows.

    >>> from sklearn.datasets import load_digits
    >>> x, _ = load_digits(return_X_y=True)
    >>> model = RestrictedBoltzmannMachine(num_hidden=16, num_epochs=2, random_state=0)
    >>> features = model.fit_transform(x[:200])
    >>> features.shape, bool((features >= 0).all() and (features <= 1).all())
    ((200, 16), True)
    """

    num_hidden: int = 128
    visible: Literal["bernoulli", "gaussian"] = "bernoulli"
    num_gibbs_steps: int = 1
    num_chains: int = 0
    hidden_dims: Sequence[int] = ()
    optimizer: str = "sgd"
    schedule: str = "constant"
    num_epochs: int = 20

    _default_rate = 0.05

    def _check_options(self) -> None:
        super()._check_options()
        name = type(self).__name__
        require_positive(name, num_hidden=self.num_hidden, num_gibbs_steps=self.num_gibbs_steps)
        require_integer(name, "num_chains", self.num_chains, 0)
        require_name("visible", self.visible, ("bernoulli", "gaussian"))
        if tuple(self.hidden_dims):
            raise ValueError(
                f"{name}: hidden_dims must be empty, found {self.hidden_dims}; num_hidden is the "
                "number of hidden units"
            )

    def _fit_columns(self, x: np.ndarray, weight: np.ndarray | None = None) -> None:
        super()._fit_columns(x, weight)
        if self.standardize and self.visible == "bernoulli":
            low, high = x.min(axis=0), x.max(axis=0)
            span = np.where(high > low, high - low, 1.0)
            self._offset, self._factor = np.float64(low), np.float64(span)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        values = super()._scaled(x)
        if self.visible == "gaussian":
            return values
        if self.standardize:
            # New rows may lie outside of the range of the training rows.
            return np.clip(values, 0, 1)
        if values.min() < 0 or values.max() > 1:
            raise ValueError(
                f"RestrictedBoltzmannMachine: Bernoulli units take numbers in [0, 1], found "
                f"{values.min():g} to {values.max():g}; pass standardize=True or visible='gaussian'"
            )
        return values

    def _train(self, x: np.ndarray, *, is_part: bool) -> "RestrictedBoltzmannMachine":
        _, seed = random_seed(self.random_state)
        scaled = self._scaled(x)
        design = self._new_design("boltzmann", (x.shape[1], self.num_hidden), len(x))
        design = design._replace(
            units=self.visible,
            num_gibbs_steps=int(self.num_gibbs_steps),
            num_chains=int(self.num_chains),
        )
        # As `RBM.data_bias`, here without the padding.
        bias = scaled.mean(axis=0, dtype=np.float64)
        if self.visible == "bernoulli":
            p = (bias * len(x) + 1) / (len(x) + 2)
            bias = np.log(p / (1 - p))
        settings = self._new_settings(len(x), {"visible_bias": bias})
        data = padded_inputs(design.num_rows, scaled)
        self._run(design, settings, data, seed=seed, is_part=is_part)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Means of the hidden units, `(n, num_hidden)`, of the dtype of the rows.

        Args:
            X: rows, `(n, columns)`.
        """
        X = self._validated(X)
        return self._outputs("hidden_mean", self._scaled(X), X.dtype)

    def score_samples(self, X: Any) -> np.ndarray:
        """Log-probability of rows up to a constant, `log Z`: minus the free energy, `(n,)`.

        Args:
            X: rows, `(n, columns)`.
        """
        return -self._outputs("free_energy", self._scaled(self._validated(X)), np.float64)

    def reconstruct(self, X: Any) -> np.ndarray:
        """Means of the visible units given those of the hidden units, in the unit of the columns.

        Args:
            X: rows, `(n, columns)`.
        """
        x = self._scaled(self._validated(X))
        return self._outputs("reconstruct", x, np.float64) * self._factor + self._offset
