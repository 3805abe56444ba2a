"""Annealed importance sampling: partition functions of machines too large to enumerate."""

import functools
import math
import operator
from typing import NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxnet._checks import require_integer
from jaxnet.boltzmann.machine import RBM
from jaxnet.typing import Params


class PartitionEstimate(NamedTuple):
    """An estimate of `log Z` by `annealed_importance_sampling`.

    Attributes:
        log_partition: estimate of `log Z` in nats, `()`.
        standard_error: its standard error in nats, `()`.
        log_weights: logarithms of the importance weights of the chains, `(chains,)`; the estimate
            is `log Z_0 + log mean(exp(log_weights))`.
    """

    log_partition: Float[Array, "..."]
    standard_error: Float[Array, "..."]
    log_weights: Float[Array, "... chains"]


def annealing_schedule(num_betas: int = 14_500) -> np.ndarray:
    """Inverse temperatures from 0 to 1, denser towards 1.

    Of 14 500 inverse temperatures, 500 lie from 0 to 0.5, 4 000 from 0.5 to 0.9 and 10 000 from 0.9
    to 1, each part evenly spaced; other numbers keep these proportions.

    Args:
        num_betas: number of inverse temperatures, at least 4.

    Returns:
        Increasing numbers from 0 to 1, `(num_betas,)`, float64.

    Raises:
        ValueError: `num_betas` is below 4.

    >>> annealing_schedule(29).round(2).tolist()[:5], annealing_schedule().shape
    ([0.0, 0.5, 0.55, 0.6, 0.65], (14500,))

    Source: Salakhutdinov and Murray (2008), "On the quantitative analysis of deep belief networks",
    the schedule of the experiments.
    """
    require_integer("annealing_schedule", "num_betas", num_betas, 4)
    num_betas = operator.index(num_betas)
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

    Chains pass from a machine without weights, whose `Z_0` is known, to the given machine through

        p_beta(v, h) ~ m(v) m(h) exp((1 - beta) b_0.v + beta (b.v + c.h + v W h)),

    where `b_0` is `base_bias` and `m` the measure of the units (1 for Bernoulli). For each next
    beta a chain at `v` multiplies its weight by `p_next(v) / p_beta(v)` and takes one Gibbs step
    under `p_next`. The mean weight `w` is an unbiased estimate of `Z / Z_0`. The standard error of
    `log Z` is `std(w) / (sqrt(num_chains) mean(w))`, by the delta method; it is reliable while it
    is small (below 0.5). By Jensen's inequality the estimate of `log Z` is too low on average, and
    the log-probability of data too high.

    All chains run in one compiled program; memory is that of the chains and the betas.

    Args:
        rbm: the machine.
        params: parameters of the machine.
        key: PRNG key.
        base_bias: visible biases of the initial machine, `(visible,)`; the paper uses
            `rbm.data_bias(x)` of the training data `x`.
        betas: inverse temperatures, increasing from 0 to 1, such as `annealing_schedule()`.
        num_chains: number of chains, at least 2; static.

    Returns:
        `PartitionEstimate`.

    Raises:
        ValueError: `num_chains` is below 2; `betas` do not increase from 0 to 1 (traced ones are
            not checked).

    >>> from jaxnet import boltzmann
    >>> rbm = RBM(6, 3)
    >>> params = {name: 50 * leaf for name, leaf in rbm.init(jax.random.key(0)).items()}
    >>> estimate = annealed_importance_sampling(
    ...     rbm, params, jax.random.key(1), base_bias=jnp.zeros(6), betas=annealing_schedule(100)
    ... )
    >>> exact = boltzmann.log_partition(rbm, params)
    >>> bool(abs(estimate.log_partition - exact) < 4 * estimate.standard_error)
    True

    Source: Neal (2001), "Annealed importance sampling"; Salakhutdinov and Murray (2008), "On the
    quantitative analysis of deep belief networks".
    """
    require_integer(
        "annealed_importance_sampling",
        "num_chains",
        num_chains,
        2,
        remedy="the standard error is computed from the differences of chains",
    )
    if not isinstance(betas, jax.core.Tracer):
        steps = np.diff(np.asarray(betas))
        if len(steps) < 1 or betas[0] != 0 or betas[-1] != 1 or steps.min() <= 0:
            raise ValueError(
                "annealed_importance_sampling: betas must increase from 0 to 1, found "
                f"{len(betas)} numbers from {min(betas)} to {max(betas)}; use annealing_schedule"
            )
    betas = jnp.asarray(betas, params["kernel"].dtype)
    return _anneal(rbm, params, key, base_bias, betas, operator.index(num_chains))


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
        # Differences for each unit, not of the sums, which are much larger.
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
