"""Networks with branches: several outputs from one trunk, and residual connections."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from jaxnet.nn.network import Network, one_line, require_network
from jaxnet.nn.sequences import zero_padding
from jaxnet.typing import Params, Sequences

_TRUNK = "trunk"


@dataclasses.dataclass(frozen=True)
class _Branches:
    """The trunk and the heads with their names; the place of each is folded into the key."""

    networks: tuple[tuple[str, Network], ...]

    def key(self, key: Array | None, index: int) -> Array | None:
        return None if key is None else jax.random.fold_in(key, index)

    def apply_part(self, params: Params, x: Any, key: Array | None, index: int) -> Any:
        name, network = self.networks[index]
        return network.apply(params.get(name, {}), x, key=self.key(key, index))


class _Init(_Branches):
    def __call__(self, key: Array) -> Params:
        params = {
            name: network.init(jax.random.fold_in(key, index))
            for index, (name, network) in enumerate(self.networks)
        }
        return {name: value for name, value in params.items() if jax.tree.leaves(value)}


class _Apply(_Branches):
    def __call__(self, params: Params, x: Any, /, *, key: Array | None = None) -> Any:
        features = self.apply_part(params, x, key, 0)
        return {
            name: self.apply_part(params, features, key, index)
            for index, (name, _) in enumerate(self.networks)
            if index > 0
        }


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Heads(Network):
    """A network with several outputs, made by `heads`.

    Attributes:
        trunk: from the input to the features that all heads share.
        branches: name -> network from the features to one output.
    """

    trunk: Network
    branches: tuple[tuple[str, Network], ...]

    def _children(self) -> list[tuple[str, Network]]:
        return [(_TRUNK, self.trunk), *self.branches]


def heads(trunk: Network, branches: Mapping[str, Any]) -> Heads:
    """Several outputs from one trunk: `{name: branch(trunk(x))}`.

    The trunk is computed once. `jaxnet.objectives.multitask` trains all outputs together; Caruana
    (1997), "Multitask learning", section 1.

    Args:
        trunk: from the input to the features that the branches share.
        branches: name -> network from the features to one output.

    Returns:
        A network whose outputs are a dict. Its parameters are a dict of those of the trunk,
        `params["trunk"]`, and of each branch.

    Raises:
        TypeError: what is not a network.
        ValueError: no branch, or one called "trunk".

    >>> import jaxnet as jn, jax.numpy as jnp
    >>> trunk = jn.chain(jn.dense(4, 8), jn.activation(jax.nn.relu))
    >>> network = heads(trunk, {"digit": jn.dense(8, 10), "angle": jn.dense(8, 1)})
    >>> params = jax.jit(network.init)(jax.random.key(0))
    >>> outputs = jax.jit(network.apply)(params, jnp.ones((5, 4)))
    >>> sorted(params), outputs["digit"].shape, outputs["angle"].shape
    (['angle', 'digit', 'trunk'], (5, 10), (5, 1))
    """
    require_network("heads", trunk, name="trunk")
    if not branches or _TRUNK in branches:
        raise ValueError(
            f"heads: branches must be one network or more, none called {_TRUNK!r}, found "
            f"{list(branches)}"
        )
    for name, network in branches.items():
        require_network("heads", network, name=f"branch {name!r}")
    networks = ((_TRUNK, trunk), *branches.items())
    return Heads(_Init(networks), _Apply(networks), "heads", trunk=trunk, branches=networks[1:])


def residual(network: Network) -> Network:
    """A network whose input is added to its output, `y = x + network(x)`.

    He et al. (2016), "Deep residual learning for image recognition", eq. 1.

    Args:
        network: from an array to an array of the same shape, or from `Sequences` to `Sequences` of
            the same shape and lengths.

    Returns:
        A network with the parameters of `network`; outputs beyond the length of a sequence are 0.

    Raises:
        TypeError: what is not a network.
        ValueError: (of the network) outputs of another shape than the inputs.

    >>> import jaxnet as jn, jax.numpy as jnp
    >>> network = residual(jn.activation(jax.nn.relu))
    >>> network.apply({}, jnp.array([-1.0, 2.0])).tolist()
    [-1.0, 4.0]
    """
    require_network("residual", network)
    apply = _ResidualApply(network)
    return Network(network.init, apply, "residual", detail=one_line(network))


@dataclasses.dataclass(frozen=True)
class _ResidualApply:
    inside: Network

    def __call__(self, params: Params, x: Any, /, *, key: Array | None = None) -> Any:
        if isinstance(x, Sequences):
            x = zero_padding(x)
        y = self.inside.apply(params, x, key=key)
        shapes = [jax.tree.map(np.shape, tree) for tree in (x, y)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"residual: the input has shape {shapes[0]} and the output {shapes[1]}, expected "
                "the same; change the sizes, the padding or the strides of the network"
            )
        if isinstance(x, Sequences):
            return Sequences(x.values + y.values, x.length)
        return x + y
