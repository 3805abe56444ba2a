"""Exact partition functions of small machines, by enumeration."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnet.boltzmann.machine import RBM
from jaxnet.boltzmann.units import BERNOULLI
from jaxnet.typing import Params

MAX_UNITS = 20
"""Number of units of the largest layer that is enumerated: about a million states."""

_CHUNK_BITS = 10


def log_partition(rbm: RBM, params: Params) -> Float[Array, ""]:
    """Exact `log Z`, `Z = sum_{v, h} exp(-E(v, h))`, by enumerating the smaller Bernoulli layer.

    The other layer is summed (or integrated) in closed form, as in the free energy:
    `Z = sum_v exp(-F(v))`, or the same with the layers exchanged. The `2^n` states of n units are
    enumerated in blocks of 1024. The result is differentiable: the gradient of
    `mean_i -F(v_i) - log Z` is that of the exact log-likelihood.

    Args:
        rbm: a machine with a Bernoulli layer of at most 20 units.
        params: parameters of the machine.

    Returns:
        `log Z` in nats, a scalar.

    Raises:
        ValueError: the machine has no Bernoulli layer of at most 20 units.

    >>> rbm = RBM(6, 3)
    >>> params = jax.tree.map(jnp.zeros_like, rbm.init(jax.random.key(0)))
    >>> bool(abs(log_partition(rbm, params) - 9 * jnp.log(2)) < 1e-5)
    True

    Source: Salakhutdinov and Murray (2008), "On the quantitative analysis of deep belief networks",
    which computes the exact values of small machines in this way.
    """
    layers = {"visible": (rbm.num_visible, rbm.visible), "hidden": (rbm.num_hidden, rbm.hidden)}
    sizes = {name: size for name, (size, unit) in layers.items() if unit is BERNOULLI}
    layer = min(sizes, key=lambda name: sizes[name])
    if sizes[layer] > MAX_UNITS:
        sizes_found = " and ".join(
            f"{size} {unit.name} {name}" for name, (size, unit) in layers.items()
        )
        raise ValueError(
            f"log_partition: one Bernoulli layer must have at most {MAX_UNITS} units to be "
            f"enumerated, found {sizes_found} units; use annealed_importance_sampling"
        )
    if layer == "hidden":
        rbm, params = _exchange(rbm, params)
    num_units = rbm.num_visible
    chunk = 2 ** min(num_units, _CHUNK_BITS)

    def log_sum(start: Array) -> Array:
        bits = (start + jnp.arange(chunk))[:, None] >> jnp.arange(num_units)[None, :] & 1
        states = bits.astype(params["kernel"].dtype)
        return jax.nn.logsumexp(-rbm.free_energy(params, states))

    # Without checkpoint, a gradient would keep intermediate values of all states.
    starts = jnp.arange(0, 2**num_units, chunk)
    return jax.nn.logsumexp(jax.lax.map(jax.checkpoint(log_sum), starts))


def _exchange(rbm: RBM, params: Params) -> tuple[RBM, Params]:
    """The same joint distribution with visible and hidden layers exchanged."""
    return RBM(rbm.num_hidden, rbm.num_visible, visible=rbm.hidden, hidden=rbm.visible), {
        "kernel": params["kernel"].T,
        "visible_bias": params["hidden_bias"],
        "hidden_bias": params["visible_bias"],
    }
