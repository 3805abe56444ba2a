"""Multi-layer perceptrons whose hidden sizes are an option, or numbers of the runs of a program."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from jax.typing import ArrayLike
from jaxtyping import Array, Int

import jaxnet as jn
from jaxnet.optim import allows_padding


@dataclasses.dataclass(frozen=True)
class PaddedSizes:
    """Hidden sizes that may be traced, in place of the tuple of a config.

    Attributes:
        padded: sizes of the parameters.
        sizes: sizes of the network, at most the padded ones.
    """

    padded: tuple[int, ...]
    sizes: Int[Array, " layers"]


def build_mlp(
    in_dim: int,
    hidden_dims: Sequence[int] | PaddedSizes,
    out_dim: int,
    *,
    dropout: ArrayLike = 0.0,
    input_dropout: ArrayLike = 0.0,
) -> jn.Network:
    """The `mlp` of hidden sizes, or the `padded_mlp` where they are traced.

    >>> build_mlp(4, (8,), 3) == build_mlp(4, (16,), 3), len(build_mlp(4, (8,), 3))
    (False, 3)
    """
    rates: dict[str, Any] = {"dropout": dropout, "input_dropout": input_dropout}
    if isinstance(hidden_dims, PaddedSizes):
        dims = [in_dim, *hidden_dims.padded, out_dim]
        return jn.nn.padded_mlp(dims, hidden_dims.sizes, **rates)
    return jn.mlp([in_dim, *hidden_dims, out_dim], **rates)


def may_be_padded(config: Any) -> bool:
    """Whether the hidden sizes of a config may be `PaddedSizes`.

    With parameters padded by zeros the network of the padded sizes has the same outputs, because
    the activation of the experiments, ReLU, is 0 at 0.

    Args:
        config: options of a classification or a regression.

    >>> from experiments.regression.config import Config, Linear, Mlp
    >>> may_be_padded(Config(model=Mlp(), optimizer="adam")), may_be_padded(Config(model=Linear()))
    (True, False)
    """
    return config.model.name == "mlp" and allows_padding(config.optimizer)
