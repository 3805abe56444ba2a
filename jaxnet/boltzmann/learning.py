"""Learning: contrastive divergence, from the data and with persistent chains, as objectives."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet._checks import require_positive
from jaxnet.boltzmann.machine import RBM
from jaxnet.objectives.weighting import masked, require_entry, weighted_mean, widen
from jaxnet.typing import Batch, Metrics, Objective, Params, StatefulObjective


def contrastive_divergence(rbm: RBM, *, num_steps: int = 1) -> Objective:
    """Contrastive divergence CD-k: lower the free energy of data, raise that of their chains' ends.

    `mean_i F(v_i) - F(v_i^k)`, where `v_i^k` is what k Gibbs steps make of the example `v_i`, held
    constant in the gradient. So the gradient in `W` is minus the textbook update
    `v_i p(h|v_i)^T - v_i^k p(h|v_i^k)^T`, with hidden probabilities for the statistics and sampled
    visible units (Hinton 2002; Hinton 2010, section 3). Every optimizer may use it.

    The loss is that difference. It is not a likelihood, does not fall as training goes on, and is
    near zero when it begins and when it ends. The log-likelihood comes from `log_partition` or
    `annealed_importance_sampling`.

    Args:
        rbm: the machine.
        num_steps: k, Gibbs steps.

    Returns:
        An objective on batches whose `x` has shape `(batch, visible)`. Metrics:
        `squared_reconstruction_error`, the squared difference of `x` and `rbm.reconstruct`, summed
        over the visible units; `free_energy`, the mean of `F` over the data, whose distance to
        that of validation data shows overfitting (Hinton 2010, section 6).

    Raises:
        ValueError: a number of steps below 1; (of the objective) no key.

    >>> import jaxnet as jn, optax
    >>> rbm = RBM(6, 3)
    >>> learner = jn.gradient_learner(rbm.init, contrastive_divergence(rbm), optax.sgd(0.1))
    >>> state, batch = jax.jit(learner.init)(jax.random.key(0)), {"x": jnp.ones((4, 6))}
    >>> state, metrics = jax.jit(learner.step)(state, batch)
    >>> sorted(metrics)
    ['free_energy', 'loss', 'squared_reconstruction_error']
    """
    require_positive("contrastive_divergence", num_steps=num_steps)

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        batch = masked(batch)
        x = require_entry("contrastive_divergence", batch, "x")
        constant = jax.lax.stop_gradient(params)
        ends = rbm.gibbs(constant, x, _required(key), num_steps=num_steps)
        energy = weighted_mean(rbm.free_energy(params, ends), batch.get("weight"))
        metrics = _data_metrics(rbm, params, batch)
        return metrics["free_energy"] - energy, metrics

    return objective


def persistent_contrastive_divergence(
    rbm: RBM, *, num_chains: int, num_steps: int = 1
) -> StatefulObjective:
    """Persistent contrastive divergence (PCD), also called stochastic maximum likelihood.

    As `contrastive_divergence`, but the chains continue from step to step instead of starting at
    the data: `mean_i F(v_i) - mean_m F(c_m)`, with chains `c_m` that take k Gibbs steps before each
    update. Tieleman (2008), "Training restricted Boltzmann machines using approximations to the
    likelihood gradient". The learning rate must be small enough for the chains to follow.

    Args:
        rbm: the machine.
        num_chains: number of chains.
        num_steps: k, Gibbs steps of each chain for one update.

    Returns:
        A stateful objective whose state is the chains, `(num_chains, visible)`. They start from
        independent visible units with the biases of the first parameters. Its metrics are those
        of `contrastive_divergence`; its loss is not a likelihood either.

    Raises:
        ValueError: a number of chains or steps below 1; (of the objective) no key.

    >>> import jaxnet as jn, optax
    >>> rbm = RBM(6, 3)
    >>> objective = persistent_contrastive_divergence(rbm, num_chains=10)
    >>> learner = jn.gradient_learner(rbm.init, objective, optax.sgd(0.01))
    >>> state, batch = jax.jit(learner.init)(jax.random.key(0)), {"x": jnp.ones((4, 6))}
    >>> state, metrics = jax.jit(learner.step)(state, batch)
    >>> state.extra.shape
    (10, 6)
    """
    require_positive(
        "persistent_contrastive_divergence", num_chains=num_chains, num_steps=num_steps
    )

    def init(params: Params, key: Array) -> Float[Array, "chains visible"]:
        # A machine of small weights is near the distribution from which its chains start.
        eta = jnp.broadcast_to(params["visible_bias"], (num_chains, rbm.num_visible))
        return rbm.visible.sample(key, eta)

    def apply(params: Params, chains: Array, batch: Batch, key: Array | None) -> Any:
        batch = masked(batch)
        require_entry("persistent_contrastive_divergence", batch, "x")
        constant = jax.lax.stop_gradient(params)
        chains = rbm.gibbs(constant, chains, _required(key), num_steps=num_steps)
        metrics = _data_metrics(rbm, params, batch)
        loss = metrics["free_energy"] - weighted_mean(rbm.free_energy(params, chains))
        return loss, (chains, metrics)

    return StatefulObjective(init, apply)


def _data_metrics(rbm: RBM, params: Params, batch: Batch) -> Metrics:
    x, weight = batch["x"], batch.get("weight")
    reconstructed = widen(rbm.reconstruct(jax.lax.stop_gradient(params), x))
    errors = jnp.sum((x - reconstructed) ** 2, axis=-1)
    return {
        "free_energy": weighted_mean(rbm.free_energy(params, x), weight),
        "squared_reconstruction_error": weighted_mean(errors, weight),
    }


def _required(key: Array | None) -> Array:
    if key is None:
        raise ValueError(
            "contrastive divergence needs a key, found None: it samples also where nothing is "
            "learned; to evaluate a machine use its log_probability or reconstruct"
        )
    return key
