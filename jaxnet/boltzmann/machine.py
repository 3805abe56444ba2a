"""The restricted Boltzmann machine: its energy, its conditionals, and Gibbs sampling."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from jaxnet._checks import require_positive
from jaxnet.boltzmann.units import BERNOULLI, GAUSSIAN, Unit
from jaxnet.typing import Params


@dataclasses.dataclass(frozen=True)
class RBM:
    """Description of a restricted Boltzmann machine; its methods are pure functions of `params`.

    `p(v, h) = exp(-E(v, h)) / Z` with `E(v, h) = -b.v - c.h - v W h`, plus `|v|^2 / 2` where the
    visible units are Gaussian and `|h|^2 / 2` where the hidden ones are (unit variance). `W` is
    `params["kernel"]`, `(visible, hidden)`; `b` is `params["visible_bias"]`, `c` is
    `params["hidden_bias"]`. Smolensky (1986); Hinton (2002), "Training products of experts by
    minimizing contrastive divergence". For Gaussian units the literature often writes
    `|v - b|^2 / 2`: the same distribution, whose `log Z` is less by `|b|^2 / 2`.

    Attributes:
        num_visible: visible units.
        num_hidden: hidden units.
        visible: kind of the visible units, `BERNOULLI` (data in [0, 1]) or `GAUSSIAN` (data
            standardized to variance 1).
        hidden: kind of the hidden units; `GAUSSIAN` for the linear code of an autoencoder.

    Raises:
        ValueError: a size below 1; both layers Gaussian.

    >>> rbm = RBM(num_visible=6, num_hidden=3)
    >>> params = rbm.init(jax.random.key(0))
    >>> v = jnp.ones((5, 6))
    >>> rbm.free_energy(params, v).shape, rbm.hidden_mean(params, v).shape
    ((5,), (5, 3))
    """

    num_visible: int
    num_hidden: int
    visible: Unit = BERNOULLI
    hidden: Unit = BERNOULLI

    def __post_init__(self) -> None:
        require_positive("RBM", num_visible=self.num_visible, num_hidden=self.num_hidden)
        if self.visible is GAUSSIAN and self.hidden is GAUSSIAN:
            raise ValueError(
                "RBM: visible and hidden units are both Gaussian, expected one layer to be "
                "Bernoulli: such a machine is a linear model and has no distribution once its "
                "weights are large; use principal components instead"
            )

    def init(
        self, key: Array, *, visible_bias: Float[Array, " visible"] | None = None
    ) -> dict[str, Array]:
        """Weights from a normal distribution of standard deviation 0.01, and biases of zero.

        Hinton (2010), "A practical guide to training restricted Boltzmann machines", section 8.

        Args:
            key: PRNG key.
            visible_bias: where the visible biases start, such as `rbm.data_bias(x)`, which section
                8.1 recommends; by default zeros.

        Returns:
            `kernel` (visible, hidden), `visible_bias` and `hidden_bias`.

        >>> {name: leaf.shape for name, leaf in RBM(6, 3).init(jax.random.key(0)).items()}
        {'kernel': (6, 3), 'visible_bias': (6,), 'hidden_bias': (3,)}
        """
        kernel = 0.01 * jax.random.normal(key, (self.num_visible, self.num_hidden))
        if visible_bias is None:
            visible_bias = jnp.zeros(self.num_visible, kernel.dtype)
        hidden_bias = jnp.zeros(self.num_hidden, kernel.dtype)
        return {"kernel": kernel, "visible_bias": visible_bias, "hidden_bias": hidden_bias}

    def data_bias(self, x: Shaped[Array, "examples visible"]) -> Float[Array, " visible"]:
        """Visible biases with which a machine without weights has the means of the data.

        `log(p / (1 - p))` for Bernoulli units, with `p = (sum + 1) / (examples + 2)`, which is
        never 0 or 1; the means for Gaussian units. They start the training (`init`) and annealed
        importance sampling.

        Args:
            x: training data.

        >>> bias = RBM(2, 1).data_bias(jnp.array([[0.0, 1.0], [0.0, 0.0]]))
        >>> jax.nn.sigmoid(bias).round(2).tolist()
        [0.25, 0.5]
        """
        return self.visible.bias_of(jnp.asarray(x))

    def free_energy(
        self, params: Params, v: Shaped[Array, "*batch visible"]
    ) -> Float[Array, "*batch"]:
        """Free energy `F(v) = -log sum_h exp(-E(v, h))`, one number for each example.

        `F(v) = -b.v - sum_j log(1 + exp(c_j + (v W)_j))` for Bernoulli units, Hinton (2010),
        eq. 25; plus `|v|^2 / 2` for Gaussian visible units. With Gaussian hidden units the sum is
        an integral, and its terms are `(c_j + (v W)_j)^2 / 2 + log(2 pi) / 2`.

        Args:
            params: parameters.
            v: visible units; examples in the leading axes.
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
        """Log-probability `log p(v) = -F(v) - log Z` in nats, one number for each example.

        Args:
            params: parameters.
            v: visible units.
            log_partition: `log Z`, from `log_partition` or `annealed_importance_sampling`.
        """
        return -self.free_energy(params, v) - log_partition

    def hidden_mean(
        self, params: Params, v: Shaped[Array, "*batch visible"]
    ) -> Float[Array, "*batch hidden"]:
        """Mean of the hidden units given the visible ones; the features that the machine learned.

        For Bernoulli units the probabilities `p(h_j = 1 | v) = sigmoid(c_j + (v W)_j)`, Hinton
        (2010), eq. 7; for Gaussian units `c_j + (v W)_j`.
        """
        return self.hidden.mean(self._up(params, v))

    def visible_mean(
        self, params: Params, h: Shaped[Array, "*batch hidden"]
    ) -> Float[Array, "*batch visible"]:
        """Mean of the visible units given the hidden ones.

        For Bernoulli units the probabilities `p(v_i = 1 | h) = sigmoid(b_i + (W h)_i)`, Hinton
        (2010), eq. 8; for Gaussian units `b_i + (W h)_i`.
        """
        return self.visible.mean(self._down(params, h))

    def sample_hidden(
        self, params: Params, v: Shaped[Array, "*batch visible"], key: Array
    ) -> Float[Array, "*batch hidden"]:
        """Hidden units drawn given the visible ones."""
        return self.hidden.sample(key, self._up(params, v))

    def sample_visible(
        self, params: Params, h: Shaped[Array, "*batch hidden"], key: Array
    ) -> Float[Array, "*batch visible"]:
        """Visible units drawn given the hidden ones."""
        return self.visible.sample(key, self._down(params, h))

    def gibbs(
        self,
        params: Params,
        v: Shaped[Array, "*batch visible"],
        key: Array,
        *,
        num_steps: int | Int[Array, ""],
    ) -> Float[Array, "*batch visible"]:
        """Block Gibbs sampling: all hidden units given the visible ones, then the reverse.

        Args:
            params: parameters.
            v: where the chains start, one in each leading position.
            key: PRNG key.
            num_steps: steps, each up and down once; may be traced.

        Returns:
            The visible units after the last step.

        Raises:
            ValueError: a number of steps below 1.

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
        """Mean of the visible units given the mean of the hidden units; nothing is drawn."""
        return self.visible_mean(params, self.hidden_mean(params, v))

    def sample(
        self, params: Params, key: Array, *, num_samples: int, num_steps: int | Int[Array, ""]
    ) -> Float[Array, "samples visible"]:
        """Samples of the machine, each the end of a Gibbs chain of its own.

        Args:
            params: parameters.
            key: PRNG key.
            num_samples: chains.
            num_steps: Gibbs steps of each, from visible units drawn by their biases alone. Machines
                that are trained well mix slowly and need thousands.

        Raises:
            ValueError: a number of samples or steps below 1.

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
                "in the last axis; flatten pictures to one axis"
            )
        eta = v @ params["kernel"]
        return eta + jax.lax.broadcast_to_rank(params["hidden_bias"], eta.ndim)

    def _down(self, params: Params, h: Array) -> Array:
        """Input of the visible units, `b + W h`."""
        eta = h @ params["kernel"].T
        return eta + jax.lax.broadcast_to_rank(params["visible_bias"], eta.ndim)
