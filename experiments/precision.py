"""The type of numbers that networks compute in; parameters, losses and metrics are in float32."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax.numpy as jnp

import jaxnet as jn
from experiments.config import PrecisionOptions
from jaxnet.autoencoders import Autoencoder, VariationalAutoencoder
from jaxnet.typing import AnyObjective

AutoencoderT = TypeVar("AutoencoderT", bound=Autoencoder)


def in_precision(config: PrecisionOptions, network: jn.Network) -> jn.Network:
    """A network that computes in the precision of a config, with outputs in float32.

    Args:
        config: the options.
        network: a network whose parts are plain networks.

    Returns:
        A network with the same parameters; the same network for float32.

    >>> network = in_precision(PrecisionOptions(precision="bfloat16"), jn.mlp([3, 2]))
    >>> network.apply({"dense_0": {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}},
    ...               jnp.full((1, 3), 1.001)).tolist()
    [[3.0, 3.0]]
    """
    if config.precision == "float32":
        return network
    return jn.compute_in(network, config.precision, output_dtype=jnp.float32)


def autoencoder_in_precision(
    config: PrecisionOptions, network: AutoencoderT, *, tied: bool = False
) -> AutoencoderT:
    """An autoencoder whose encoder and decoder compute in the precision of a config.

    Args:
        config: the options.
        network: the autoencoder.
        tied: whether its decoder has the kernels of its encoder.

    Returns:
        An autoencoder with the same parameters, whose codes and outputs are in float32.
    """
    if config.precision == "float32":
        return network
    encoder, decoder = (in_precision(config, part) for part in (network.encoder, network.decoder))
    if isinstance(network, VariationalAutoencoder):
        return jn.autoencoders.variational_autoencoder(  # pyright: ignore[reportReturnType]
            encoder, decoder, network.latent_dim, likelihood=network.likelihood
        )
    return jn.autoencoders.autoencoder(encoder, decoder, tied=tied)  # pyright: ignore[reportReturnType]


def scaled(config: PrecisionOptions, objective: Any) -> AnyObjective:
    """An objective with a dynamic scale of its loss in float16, which has no small numbers."""
    return jn.with_loss_scale(objective) if config.precision == "float16" else objective


def scaling(config: PrecisionOptions) -> Callable[[Any], AnyObjective]:
    """`scaled` as a function of the objective."""
    return lambda objective: scaled(config, objective)


def require_float32(config: PrecisionOptions, method: str) -> None:
    """Raise for another precision where a method has no network.

    Raises:
        ValueError: another precision than float32.

    >>> require_float32(PrecisionOptions(precision="float16"), "kmeans")
    Traceback (most recent call last):
        ...
    ValueError: precision is for networks, and kmeans trains none, found float16; leave it out
    """
    if config.precision != "float32":
        raise ValueError(
            f"precision is for networks, and {method} trains none, found {config.precision}; "
            "leave it out"
        )
