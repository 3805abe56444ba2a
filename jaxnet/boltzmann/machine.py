"""Restricted Boltzmann machines: energies, conditional distributions and Gibbs sampling."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from jaxnet import _draws
from jaxnet._checks import require_positive
from jaxnet.boltzmann.units import BERNOULLI, GAUSSIAN, Unit
from jaxnet.typing import Params


@dataclasses.dataclass(frozen=True)
class RBM:
    """Description of a restricted Boltzmann machine; its methods are pure functions of `params`.

    `p(v, h) = exp(-E(v, h)) / Z` with `E(v, h) = -b.v - c.h - v W h`, plus `|v|^2 / 2` for Gaussian
    visible units and `|h|^2 / 2` for Gaussian hidden units, of variance 1. `W` is
    `params["kernel"]`, `(visible, hidden)`; `b` is `params["visible_bias"]`, `(visible,)`; `c` is
    `params["hidden_bias"]`, `(hidden,)`. For Gaussian units the literature often writes
    `|v - b|^2 / 2`: the same distribution, with a `log Z` that is smaller by `|b|^2 / 2`.

    Attributes:
        num_visible: number of visible units.
        num_hidden: number of hidden units.
        visible: kind of the visible units, `BERNOULLI` (data in [0, 1]) or `GAUSSIAN` (data
            standardized to variance 1).
        hidden: kind of the hidden units; `GAUSSIAN` for the linear code of an autoencoder.

    Raises:
        ValueError: a number of units is below 1; both layers are Gaussian.

    >>> rbm = RBM(num_visible=6, num_hidden=3)
    >>> params = rbm.init(jax.random.key(0))
    >>> v = jnp.ones((5, 6))
    >>> rbm.free_energy(params, v).shape, rbm.hidden_mean(params, v).shape
    ((5,), (5, 3))

    Source: Smolensky (1986), "Information processing in dynamical systems"; Hinton (2002),
    "Training products of experts by minimizing contrastive divergence".
    """

    num_visible: int
    num_hidden: int
    visible: Unit = BERNOULLI
    hidden: Unit = BERNOULLI

    def __post_init__(self) -> None:
        require_positive("RBM", num_visible=self.num_visible, num_hidden=self.num_hidden)
        if self.visible is GAUSSIAN and self.hidden is GAUSSIAN:
            raise ValueError(
                "RBM: visible and hidden units are both Gaussian, expected at least one layer of "
                "Bernoulli units: a linear machine has no distribution if its weights are large; "
                "use principal components instead"
            )

    def init(
        self, key: Array, *, visible_bias: Float[Array, " visible"] | None = None
    ) -> dict[str, Array]:
        """Initialize weights from a normal distribution of standard deviation 0.01, biases with 0.

        Args:
            key: PRNG key.
            visible_bias: initial visible biases, `(visible,)`, such as `rbm.data_bias(x)`, which
                section 8.1 of the source recommends; None for zeros.

        Returns:
            `kernel` (visible, hidden), `visible_bias` (visible,) and `hidden_bias` (hidden,).

        >>> {name: leaf.shape for name, leaf in RBM(6, 3).init(jax.random.key(0)).items()}
        {'kernel': (6, 3), 'visible_bias': (6,), 'hidden_bias': (3,)}

        Source: Hinton (2010), "A practical guide to training restricted Boltzmann machines",
        section 8.
        """
        kernel = 0.01 * _draws.normal(key, (self.num_visible, self.num_hidden))
        if visible_bias is None:
            visible_bias = jnp.zeros(self.num_visible, kernel.dtype)
        hidden_bias = jnp.zeros(self.num_hidden, kernel.dtype)
        return {"kernel": kernel, "visible_bias": visible_bias, "hidden_bias": hidden_bias}

    def data_bias(self, x: Shaped[Array, "examples visible"]) -> Float[Array, " visible"]:
        """Visible biases for which a machine without weights has the means of the data.

        `log(p / (1 - p))` with `p = (sum of the examples + 1) / (n + 2)` for Bernoulli units, the
        means for Gaussian units. Initial biases for `init` and `annealed_importance_sampling`.

        Args:
            x: training data, `(n, visible)`.

        Returns:
            The biases, `(visible,)`.

        >>> bias = RBM(2, 1).data_bias(jnp.array([[0.0, 1.0], [0.0, 0.0]]))
        >>> jax.nn.sigmoid(bias).round(2).tolist()
        [0.25, 0.5]
        """
        return self.visible.bias_of(jnp.asarray(x))

    def free_energy(
        self, params: Params, v: Shaped[Array, "*batch visible"]
    ) -> Float[Array, "*batch"]:
        """Free energy `F(v) = -log sum_h exp(-E(v, h))` of each example.

        `F(v) = -b.v - sum_j log(1 + exp(c_j + (v W)_j))` for Bernoulli units, Hinton (2010),
        eq. 25; plus `|v|^2 / 2` for Gaussian visible units. For Gaussian hidden units the sum is an
        integral, with terms `(c_j + (v W)_j)^2 / 2 + log(2 pi) / 2`.

        Args:
            params: parameters of the machine.
            v: visible units, `(..., visible)`.

        Returns:
            Free energies in nats, `(...)`.

        Raises:
            ValueError: the last axis of `v` does not have `num_visible` units.
        """
        hidden = self.hidden.log_normalizer(self._up(params, v)).sum(axis=-1)
        visible = self.visible.log_measure(v).sum(axis=-1) + v @ params["visible_bias"]
        return -visible - hidden

    def log_probability(
        self,
        params: Params,
        v: Shaped[Array, "*batch visible"],
        log_partition: Float[Array, ""],
    ) -> Float[Array, "*batch"]:
        """Log-probability `log p(v) = -F(v) - log Z` of each example.

        Args:
            params: parameters of the machine.
            v: visible units, `(..., visible)`.
            log_partition: `log Z`, from `log_partition` or `annealed_importance_sampling`.

        Returns:
            Log-probabilities (log-densities for Gaussian visible units) in nats, `(...)`.
        """
        return -self.free_energy(params, v) - log_partition

    def hidden_mean(
        self, params: Params, v: Shaped[Array, "*batch visible"]
    ) -> Float[Array, "*batch hidden"]:
        """Mean of the hidden units given the visible units: the features of the machine.

        The probabilities `p(h_j = 1 | v) = sigmoid(c_j + (v W)_j)` for Bernoulli units, Hinton
        (2010), eq. 7; `c_j + (v W)_j` for Gaussian units.

        Args:
            params: parameters of the machine.
            v: visible units, `(..., visible)`.

        Returns:
            Means, `(..., hidden)`.
        """
        return self.hidden.mean(self._up(params, v))

    def visible_mean(
        self, params: Params, h: Shaped[Array, "*batch hidden"]
    ) -> Float[Array, "*batch visible"]:
        """Mean of the visible units given the hidden units.

        The probabilities `p(v_i = 1 | h) = sigmoid(b_i + (W h)_i)` for Bernoulli units, Hinton
        (2010), eq. 8; `b_i + (W h)_i` for Gaussian units.

        Args:
            params: parameters of the machine.
            h: hidden units, `(..., hidden)`.

        Returns:
            Means, `(..., visible)`.
        """
        return self.visible.mean(self._down(params, h))

    def sample_hidden(
        self, params: Params, v: Shaped[Array, "*batch visible"], key: Array
    ) -> Float[Array, "*batch hidden"]:
        """Draw hidden units given the visible units.

        Args:
            params: parameters of the machine.
            v: visible units, `(..., visible)`.
            key: PRNG key.

        Returns:
            Hidden units, `(..., hidden)`.
        """
        return self.hidden.sample(key, self._up(params, v))

    def sample_visible(
        self, params: Params, h: Shaped[Array, "*batch hidden"], key: Array
    ) -> Float[Array, "*batch visible"]:
        """Draw visible units given the hidden units.

        Args:
            params: parameters of the machine.
            h: hidden units, `(..., hidden)`.
            key: PRNG key.

        Returns:
            Visible units, `(..., visible)`.
        """
        return self.visible.sample(key, self._down(params, h))

    def gibbs(
        self,
        params: Params,
        v: Shaped[Array, "*batch visible"],
        key: Array,
        *,
        num_steps: int | Int[Array, ""],
    ) -> Float[Array, "*batch visible"]:
        """Block Gibbs sampling: draw all hidden units given the visible units, then the reverse.

        Args:
            params: parameters of the machine.
            v: initial visible units of the chains, `(..., visible)`.
            key: PRNG key.
            num_steps: number of steps, at least 1; each draws hidden and visible units once. May be
                traced.

        Returns:
            The visible units after the last step, `(..., visible)`.

        Raises:
            ValueError: `num_steps` is below 1.

        >>> rbm = RBM(6, 3)
        >>> params = rbm.init(jax.random.key(0))
        >>> v = rbm.gibbs(params, jnp.zeros((5, 6)), jax.random.key(1), num_steps=10)
        >>> v.shape, sorted(set(v.ravel().tolist()))
        ((5, 6), [0.0, 1.0])
        """
        require_positive("gibbs", num_steps=num_steps)

        def step(index: Array, v: Array) -> Array:
            up_key, down_key = jax.random.split(jax.random.fold_in(key, index))
            return self.sample_visible(params, self.sample_hidden(params, v, up_key), down_key)

        return jax.lax.fori_loop(0, num_steps, step, jnp.asarray(v, params["kernel"].dtype))

    def reconstruct(
        self, params: Params, v: Shaped[Array, "*batch visible"]
    ) -> Float[Array, "*batch visible"]:
        """Mean of the visible units given the mean of the hidden units, without sampling.

        Args:
            params: parameters of the machine.
            v: visible units, `(..., visible)`.

        Returns:
            Reconstructions, `(..., visible)`.
        """
        return self.visible_mean(params, self.hidden_mean(params, v))

    def sample(
        self, params: Params, key: Array, *, num_samples: int, num_steps: int | Int[Array, ""]
    ) -> Float[Array, "samples visible"]:
        """Draw independent samples of the machine, each by a separate Gibbs chain.

        Args:
            params: parameters of the machine.
            key: PRNG key.
            num_samples: number of chains; static.
            num_steps: Gibbs steps of each chain, which starts from visible units drawn by their
                biases alone; may be traced. Well-trained machines mix slowly and need thousands.

        Returns:
            Visible units, `(num_samples, visible)`.

        Raises:
            ValueError: `num_samples` or `num_steps` is below 1.

        >>> rbm = RBM(6, 3)
        >>> params = rbm.init(jax.random.key(0))
        >>> rbm.sample(params, jax.random.key(1), num_samples=4, num_steps=100).shape
        (4, 6)
        """
        require_positive("sample", num_samples=num_samples, num_steps=num_steps)
        start_key, chain_key = jax.random.split(key)
        start = self.visible.sample(
            start_key, jnp.broadcast_to(params["visible_bias"], (num_samples, self.num_visible))
        )
        return self.gibbs(params, start, chain_key, num_steps=num_steps)

    def _up(self, params: Params, v: Array) -> Array:
        """Input of the hidden units, `c + v W`."""
        if v.shape[-1:] != (self.num_visible,):
            raise ValueError(
                f"RBM: the visible units have shape {v.shape}, expected {self.num_visible} numbers "
                "in the last axis; flatten images to one axis"
            )
        eta = v @ params["kernel"]
        return eta + jax.lax.broadcast_to_rank(params["hidden_bias"], eta.ndim)

    def _down(self, params: Params, h: Array) -> Array:
        """Input of the visible units, `b + W h`."""
        eta = h @ params["kernel"].T
        return eta + jax.lax.broadcast_to_rank(params["visible_bias"], eta.ndim)
