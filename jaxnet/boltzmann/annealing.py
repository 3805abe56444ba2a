"""Annealed importance sampling: the partition function of machines too large to enumerate."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxnet.boltzmann.machine import RBM
from jaxnet.typing import Params


class PartitionEstimate(NamedTuple):
    """An estimate of `log Z` by `annealed_importance_sampling`.

    Attributes:
        log_partition: `log Z`, in nats.
        standard_error: its standard error, in nats.
        log_weights: logarithms of the importance weights, one for each chain; the estimate is
            `log Z_0 + log mean(exp(log_weights))`.
    """

    log_partition: Float[Array, "..."]
    standard_error: Float[Array, "..."]
    log_weights: Float[Array, "... chains"]


def annealing_schedule(num_betas: int = 14_500) -> np.ndarray:
    """Inverse temperatures from 0 to 1, the denser the nearer to 1.

    In the proportions of Salakhutdinov and Murray (2008), in their experiments: of 14 500, there
    are 500 from 0 to 0.5, 4 000 from 0.5 to 0.9 and 10 000 from 0.9 to 1, each piece evenly spaced.

    Args:
        num_betas: how many, at least 4.

    Raises:
        ValueError: fewer than 4.

    >>> annealing_schedule(29).round(2).tolist()[:5], annealing_schedule().shape
    ([0.0, 0.5, 0.55, 0.6, 0.65], (14500,))
    """
    if num_betas < 4:
        raise ValueError(f"annealing_schedule: num_betas must be at least 4, found {num_betas}")
    first = max(1, round(num_betas * 500 / 14_500))
    second = max(1, round(num_betas * 4_000 / 14_500))
    return np.concatenate(
        [
            np.linspace(0, 0.5, first, endpoint=False),
            np.linspace(0.5, 0.9, second, endpoint=False),
            np.linspace(0.9, 1, num_betas - first - second),
        ]
    )


def annealed_importance_sampling(
    rbm: RBM,
    params: Params,
    key: Array,
    *,
    base_bias: Float[Array, " visible"],
    betas: Float[Array, " betas"] | np.ndarray,
    num_chains: int = 100,
) -> PartitionEstimate:
    """Estimate `log Z` by annealed importance sampling, with its standard error.

    Chains pass from a machine without weights, whose `Z_0` is known, to the machine through

        p_beta(v, h) ~ m(v) m(h) exp((1 - beta) b_0.v + beta (b.v + c.h + v W h)),

    where `b_0` is `base_bias` and `m` the measure of the units (1 for Bernoulli). A chain at `v`
    multiplies its weight by `p_next(v) / p_beta(v)`, then takes one Gibbs step under `p_next`.
    The mean weight w is an unbiased estimate of `Z / Z_0`: Neal (2001), "Annealed importance
    sampling"; Salakhutdinov and Murray (2008), "On the quantitative analysis of deep belief
    networks". The standard error of `log Z` is `std(w) / (sqrt(num_chains) mean(w))`
    by the delta method. It is believable while small (below 0.5, say): by Jensen's inequality the
    estimate is too low on average, and so the log-probability of data too high.

    It is one compiled program with matrix products over all chains; its memory is that of the
    chains and the betas.

    Args:
        rbm: the machine.
        params: its parameters.
        key: PRNG key.
        base_bias: visible biases of the machine where it begins; `rbm.data_bias(x)` for training
            data `x` is the paper's choice.
        betas: inverse temperatures, increasing from 0 to 1, such as `annealing_schedule()`.
        num_chains: chains, at least 2.

    Returns:
        The estimate, in nats.

    Raises:
        ValueError: fewer than 2 chains, or betas that do not increase from 0 to 1.

    >>> from jaxnet import boltzmann
    >>> rbm = RBM(6, 3)
    >>> params = {name: 50 * leaf for name, leaf in rbm.init(jax.random.key(0)).items()}
    >>> estimate = annealed_importance_sampling(
    ...     rbm, params, jax.random.key(1), base_bias=jnp.zeros(6), betas=annealing_schedule(100)
    ... )
    >>> exact = boltzmann.log_partition(rbm, params)
    >>> bool(abs(estimate.log_partition - exact) < 4 * estimate.standard_error)
    True
    """
    if num_chains < 2:
        raise ValueError(
            f"annealed_importance_sampling: num_chains must be at least 2, found {num_chains}; "
            "the standard error comes from their differences"
        )
    if not isinstance(betas, Tracer):
        steps = np.diff(np.asarray(betas))
        if len(steps) < 1 or betas[0] != 0 or betas[-1] != 1 or steps.min() <= 0:
            raise ValueError(
                "annealed_importance_sampling: betas must increase from 0 to 1, found "
                f"{len(betas)} numbers from {min(betas)} to {max(betas)}; use annealing_schedule"
            )
    betas = jnp.asarray(betas, params["kernel"].dtype)
    return _anneal(rbm, params, key, base_bias, betas, num_chains)


@functools.partial(jax.jit, static_argnums=(0, 5))
def _anneal(
    rbm: RBM, params: Params, key: Array, base_bias: Array, betas: Array, num_chains: int
) -> PartitionEstimate:
    kernel, b, c = params["kernel"], params["visible_bias"], params["hidden_bias"]
    start_key, chain_key = jax.random.split(key)

    def step(carry: tuple[Array, Array], xs: tuple[Array, Array, Array]):
        v, log_weight = carry
        beta, following, index = xs
        up_key, down_key = jax.random.split(jax.random.fold_in(chain_key, index))
        eta = v @ kernel + c[None]
        normalizer = rbm.hidden.log_normalizer
        # Differences of each unit, not of the sums, which are large beside them.
        log_weight += (following - beta) * (v @ (b - base_bias))
        log_weight += jnp.sum(normalizer(following * eta) - normalizer(beta * eta), axis=-1)
        h = rbm.hidden.sample(up_key, following * eta)
        eta = (1 - following) * base_bias[None] + following * (b[None] + h @ kernel.T)
        return (rbm.visible.sample(down_key, eta), log_weight), None

    eta = jnp.broadcast_to(base_bias, (num_chains, rbm.num_visible))
    carry = rbm.visible.sample(start_key, eta), jnp.zeros(num_chains, kernel.dtype)
    pairs = (betas[:-1], betas[1:], jnp.arange(len(betas) - 1))
    (_, log_weights), _ = jax.lax.scan(step, carry, pairs)

    log_base = jnp.sum(rbm.visible.log_normalizer(base_bias))
    log_base += jnp.sum(rbm.hidden.log_normalizer(jnp.zeros_like(c)))
    log_mean = jax.nn.logsumexp(log_weights) - math.log(num_chains)
    relative = jnp.std(jnp.exp(log_weights - log_mean), ddof=1)
    return PartitionEstimate(log_base + log_mean, relative / math.sqrt(num_chains), log_weights)
