"""Restricted Boltzmann machines for ratings: softmax visible units, of which most are missing."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from jaxnet import _draws
from jaxnet._checks import require_positive
from jaxnet.boltzmann.units import BERNOULLI
from jaxnet.objectives.weighting import require_entry, weighted_mean, widen
from jaxnet.typing import Batch, Metrics, Objective, Params


@dataclasses.dataclass(frozen=True)
class RatingRBM:
    """A restricted Boltzmann machine of the ratings of a user; its methods are pure functions.

    Each item has a softmax unit over the levels of a rating, and a user has those of the items that
    the user has rated alone: `p(v, h) ~ exp(sum_ik v_ik b_ik + sum_j h_j c_j + sum_ikj v_ik W_ikj
    h_j)`, where the sums are over rated items. So each user has a machine with fewer units, and all
    share their weights. The energy of the source has one more term, the normalizers of the softmax
    units given `h`; it is left out, since the conditional distributions, by which the source learns
    and predicts, are those of this energy.

    `v` holds 1 at the level of each rating, `(..., items, levels)`, and zeros for a missing item:
    `one_hot`.

    Attributes:
        num_items: number of items.
        num_levels: number of levels of a rating, such as 5.
        num_hidden: number of hidden units.

    Raises:
        ValueError: a number below 1.

    >>> rbm = RatingRBM(num_items=4, num_levels=5, num_hidden=3)
    >>> params = rbm.init(jax.random.key(0))
    >>> v = rbm.one_hot(jnp.array([[4, -1, 0, -1]]))
    >>> rbm.level_probabilities(params, v).shape
    (1, 4, 5)

    Source: Salakhutdinov, Mnih and Hinton (2007), "Restricted Boltzmann machines for collaborative
    filtering", section 2.
    """

    num_items: int
    num_levels: int
    num_hidden: int

    def __post_init__(self) -> None:
        require_positive(
            "RatingRBM",
            num_items=self.num_items,
            num_levels=self.num_levels,
            num_hidden=self.num_hidden,
        )

    def init(
        self, key: Array, *, visible_bias: Float[Array, "items levels"] | None = None
    ) -> Params:
        """Initialize weights from a normal distribution of standard deviation 0.01, biases with 0.

        Args:
            key: PRNG key.
            visible_bias: initial visible biases, such as `rbm.data_bias(levels)`; None for zeros.

        Returns:
            `kernel` (items, levels, hidden), `visible_bias` (items, levels), `hidden_bias`
            (hidden,).

        >>> params = RatingRBM(4, 5, 3).init(jax.random.key(0))
        >>> {name: leaf.shape for name, leaf in params.items()}
        {'kernel': (4, 5, 3), 'visible_bias': (4, 5), 'hidden_bias': (3,)}
        """
        kernel = 0.01 * _draws.normal(key, (self.num_items, self.num_levels, self.num_hidden))
        if visible_bias is None:
            visible_bias = jnp.zeros(kernel.shape[:2], kernel.dtype)
        return {
            "kernel": kernel,
            "visible_bias": visible_bias,
            "hidden_bias": jnp.zeros(self.num_hidden, kernel.dtype),
        }

    def one_hot(self, levels: Int[Array, "*batch items"]) -> Float[Array, "*batch items levels"]:
        """Visible units of ratings; zeros where a level is out of range, such as -1.

        Args:
            levels: index of the level of each rating, `(..., items)`.

        Returns:
            The units, `(..., items, levels)`.
        """
        if levels.shape[-1:] != (self.num_items,):
            raise ValueError(
                f"RatingRBM: the levels have shape {levels.shape}, expected {self.num_items} items "
                "in the last axis"
            )
        return jax.nn.one_hot(levels, self.num_levels)

    def data_bias(self, levels: Int[Array, "users items"]) -> Float[Array, "items levels"]:
        """Visible biases of a machine without weights: log frequencies of the levels of each item.

        `log((n_ik + f_k) / (n_i + 1))`, where `f_k`, the frequency of the level among all ratings
        and one more that is spread over the levels, stands for one more rating of each item.

        Args:
            levels: training ratings, `(users, items)`, -1 where missing.

        Returns:
            The biases, `(items, levels)`.

        >>> rbm = RatingRBM(2, 2, 1)
        >>> bias = rbm.data_bias(jnp.array([[0, -1], [1, -1], [1, -1]]))
        >>> bool(jnp.allclose(jax.nn.softmax(bias)[1], jnp.array([1.5, 2.5]) / 4))
        True
        """
        counts = self.one_hot(levels).sum(axis=0)
        # So that a level that never occurs stays possible.
        frequency = counts.sum(axis=0) + 1 / self.num_levels
        frequency = frequency / frequency.sum()
        total = counts.sum(axis=1, keepdims=True) + 1
        return jnp.log(counts + frequency[None]) - jnp.log(total)

    def free_energy(
        self, params: Params, v: Shaped[Array, "*batch items levels"]
    ) -> Float[Array, "*batch"]:
        """Free energy `F(v) = -sum v b - sum_j log(1 + exp(c_j + sum v W_j))` of each user.

        Args:
            params: parameters of the machine.
            v: visible units, `(..., items, levels)`.

        Returns:
            Free energies in nats, `(...)`.
        """
        visible = jnp.sum(v * self._like(params["visible_bias"], v), axis=(-2, -1))
        return -visible - jax.nn.softplus(self._up(params, v)).sum(axis=-1)

    def hidden_mean(
        self, params: Params, v: Shaped[Array, "*batch items levels"]
    ) -> Float[Array, "*batch hidden"]:
        """Probabilities of the hidden units, `sigmoid(c_j + sum_ik v_ik W_ikj)`.

        Args:
            params: parameters of the machine.
            v: visible units, `(..., items, levels)`.

        Returns:
            Probabilities, `(..., hidden)`.
        """
        return jax.nn.sigmoid(self._up(params, v))

    def level_probabilities(
        self, params: Params, v: Shaped[Array, "*batch items levels"]
    ) -> Float[Array, "*batch items levels"]:
        """Probabilities of the levels of all items, given the hidden probabilities of `v`.

        One step of mean field, `softmax_k(b_ik + sum_j W_ikj p_j)` with `p = hidden_mean(v)`,
        by which the source predicts many ratings at once (section 2.3).

        Args:
            params: parameters of the machine.
            v: known ratings, `(..., items, levels)`.

        Returns:
            Probabilities, `(..., items, levels)`.
        """
        return jax.nn.softmax(self._down(params, self.hidden_mean(params, v)), axis=-1)

    def gibbs(
        self,
        params: Params,
        v: Shaped[Array, "*batch items levels"],
        key: Array,
        *,
        num_steps: int | Int[Array, ""],
    ) -> Float[Array, "*batch items levels"]:
        """Gibbs sampling: draw the hidden units, then the ratings of the items that have one.

        Args:
            params: parameters of the machine.
            v: initial ratings, `(..., items, levels)`.
            key: PRNG key.
            num_steps: number of steps, at least 1; may be traced.

        Returns:
            The ratings after the last step, zeros where `v` has zeros, `(..., items, levels)`.

        Raises:
            ValueError: `num_steps` is below 1.
        """
        require_positive("gibbs", num_steps=num_steps)
        v = jnp.asarray(v, params["kernel"].dtype)
        rated = v.sum(axis=-1, keepdims=True)

        def step(index: Array, v: Array) -> Array:
            up_key, down_key = jax.random.split(jax.random.fold_in(key, index))
            hidden = BERNOULLI.sample(up_key, self._up(params, v))
            levels = jax.random.categorical(down_key, self._down(params, hidden))
            return jax.nn.one_hot(levels, self.num_levels, dtype=v.dtype) * rated

        return jax.lax.fori_loop(0, num_steps, step, v)

    def _like(self, leaf: Array, v: Array) -> Array:
        if v.shape[-2:] != (self.num_items, self.num_levels):
            raise ValueError(
                f"RatingRBM: the visible units have shape {v.shape}, expected last axes "
                f"({self.num_items}, {self.num_levels}); use one_hot"
            )
        return jax.lax.broadcast_to_rank(leaf, v.ndim)

    def _up(self, params: Params, v: Array) -> Array:
        self._like(params["visible_bias"], v)
        kernel = params["kernel"].reshape(-1, self.num_hidden)
        eta = v.reshape(*v.shape[:-2], len(kernel)).astype(kernel.dtype) @ kernel
        return eta + jax.lax.broadcast_to_rank(params["hidden_bias"], eta.ndim)

    def _down(self, params: Params, h: Array) -> Array:
        kernel = params["kernel"].reshape(-1, self.num_hidden)
        eta = (h @ kernel.T).reshape(*h.shape[:-1], self.num_items, self.num_levels)
        return eta + jax.lax.broadcast_to_rank(params["visible_bias"], eta.ndim)


def rating_divergence(rbm: RatingRBM, *, num_steps: int = 1) -> Objective:
    """Contrastive divergence of a `RatingRBM`: `mean_u F(v_u) - F(v_u^k)` over the users.

    `v_u^k` is what `num_steps` Gibbs steps make of the ratings of a user, held constant. The
    gradient is minus the update of the source, with hidden probabilities for the
    statistics. As that of `boltzmann.contrastive_divergence`, the loss is not a likelihood and does
    not fall.

    Args:
        rbm: the machine.
        num_steps: k, Gibbs steps; the source begins with 1 and raises it to 9.

    Returns:
        An objective on batches of levels `x`, integers `(batch, items)`, -1 where missing. A
        `weight` of each user, `(batch,)`, counts the user; one of the shape of `x` is 0 where a
        rating is missing, whatever `x` holds. Metrics: `cross_entropy`, that of the known ratings
        under `level_probabilities`, in nats for each rating.

    Raises:
        ValueError: a number of steps below 1; (of the objective) no key, or other shapes.

    >>> import optax, jaxnet as jn
    >>> rbm = RatingRBM(4, 5, 3)
    >>> learner = jn.gradient_learner(rbm.init, rating_divergence(rbm), optax.sgd(0.1))
    >>> batch = {"x": jnp.array([[4, -1, 0, -1], [3, 3, -1, 1]])}
    >>> state, metrics = jax.jit(learner.step)(learner.init(jax.random.key(0)), batch)
    >>> sorted(metrics)
    ['cross_entropy', 'loss']

    Source: Salakhutdinov, Mnih and Hinton (2007), section 2.2.
    """
    require_positive("rating_divergence", num_steps=num_steps)

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        if key is None:
            raise ValueError(
                "rating_divergence: key is None, expected a key, since it samples; to evaluate a "
                "machine use level_probabilities"
            )
        x = require_entry("rating_divergence", batch, "x")
        v, weight = rbm.one_hot(x), batch.get("weight")
        if weight is not None:
            weight = widen(weight)
            if weight.ndim == 0 or weight.shape != x.shape[: weight.ndim]:
                raise ValueError(
                    f"weight has shape {weight.shape}, expected that of leading axes of x, "
                    f"{x.shape}: one weight for each user, or for each rating"
                )
            present = jax.lax.expand_dims(weight > 0, range(weight.ndim, v.ndim))
            v = jnp.where(present, v, 0)
        # A user without ratings has no machine.
        users = widen(v.any(axis=(-2, -1)))
        if weight is not None and weight.ndim == 1:
            users = users * weight
        constant = jax.lax.stop_gradient(params)
        ends = rbm.gibbs(constant, v, key, num_steps=num_steps)
        difference = rbm.free_energy(params, v) - rbm.free_energy(params, ends)
        logs = jnp.log(widen(rbm.level_probabilities(constant, v)))
        entropy = -jnp.sum(jnp.where(v > 0, logs, 0)) / jnp.maximum(jnp.sum(v), 1)
        return weighted_mean(difference, users), {"cross_entropy": entropy}

    return objective
