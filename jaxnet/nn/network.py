"""A network is a pair of pure functions; composition builds networks from networks."""

import dataclasses
import functools
import operator
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Shaped

from jaxnet.nn._kernels import init_together
from jaxnet.typing import Apply, Params, Sequences


@dataclasses.dataclass(frozen=True)
class Network:
    """A pair of pure functions, as an optimizer is in Optax.

    Attributes:
        init: `init(key) -> params`, a pytree of arrays.
        apply: `apply(params, x, *, key=None) -> y`. It acts on the trailing axes of `x` and treats
            every leading axis as batch; `x` may be a pytree of arrays where a network has several
            inputs. `key=None` is evaluation mode: nothing random happens.
        name: what the network is called inside a chain.
        detail: its arguments, such as sizes, for its `repr`.

    >>> network = Network(init=lambda key: {}, apply=lambda params, x, *, key=None: 2 * x)
    >>> float(network.apply({}, jnp.float32(3.0)))
    6.0
    """

    init: Callable[[Array], Params]
    apply: Apply
    name: str = "network"
    detail: str = dataclasses.field(default="", kw_only=True, compare=False)

    def __repr__(self) -> str:
        lines = [f"{name}: {network!r}" for name, network in self._children()]
        if not lines:
            return f"{self.name}({self.detail})"
        return "\n".join([f"{self.name}(", textwrap.indent("\n".join(lines), "  "), ")"])

    def _children(self) -> "list[tuple[str, Network]]":
        """The networks that this one is made of, with their names."""
        parts = getattr(self.apply, "parts", ())
        fields = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return [
            *((part.name, part.network) for part in parts),
            *((name, value) for name, value in fields if isinstance(value, Network)),
        ]


@dataclasses.dataclass(frozen=True)
class StatefulNetwork:
    """A network with state that no gradient changes, such as the statistics of batch normalization.

    Objectives take it where they take a `Network`, and are stateful objectives then.

    Attributes:
        init: `init(key) -> params`, a pytree of arrays.
        init_extra: `init_extra(params, key) -> extra`, the state before the first step.
        apply: `apply(params, extra, x, *, key=None) -> (y, extra)`. `key=None` is evaluation mode:
            nothing random happens and the state stays as it is.
        name: what the network is called.

    >>> def apply(params, count, x, *, key=None):
    ...     return params * x, count if key is None else count + 1
    >>> network = StatefulNetwork(lambda key: jnp.ones(()), lambda params, key: 0, apply)
    >>> network.apply(network.init(None), 0, 3.0, key=jax.random.key(0))[1]
    1
    >>> float(network.evaluation.apply((jnp.full((), 2.0), 5), 3.0))
    6.0
    """

    init: Callable[[Array], Params]
    init_extra: Callable[[Params, Array], PyTree[Any]]
    apply: Callable[..., tuple[Any, PyTree[Any]]]
    name: str = "network"

    def __repr__(self) -> str:
        return f"{self.name}()"

    @functools.cached_property
    def evaluation(self) -> Network:
        """The network in evaluation mode, whose parameters are the pair `(params, extra)`."""

        def init(key: Array) -> Params:
            params = self.init(key)
            return params, self.init_extra(params, key)

        def apply(params: Params, x: Any, /, *, key: Array | None = None) -> Any:
            network_params, extra = params
            return self.apply(network_params, extra, x, key=None)[0]

        return Network(init, apply, self.name)


@dataclasses.dataclass(frozen=True)
class _Part:
    """One network of a chain, with the place that it has in the whole chain."""

    index: int
    name: str
    network: Network

    def init(self, key: Array) -> Params:
        return self.network.init(jax.random.fold_in(key, self.index))

    def apply(self, params: Params, x: Any, key: Array | None) -> Any:
        key = None if key is None else jax.random.fold_in(key, self.index)
        try:
            return self.network.apply(params.get(self.name, {}), x, key=key)
        except Exception as error:
            shapes = jax.tree.map(np.shape, x)
            error.add_note(f"in part {self.name!r} of the network, whose input has shape {shapes}")
            raise


# Values instead of closures: slices that say the same are equal and serve one compiled program.
@dataclasses.dataclass(frozen=True)
class _ChainInit:
    parts: tuple[_Part, ...]

    def __call__(self, key: Array) -> Params:
        drawn = init_together(key, {part.index: part.network.init for part in self.parts})
        params = {p.name: drawn[p.index] if p.index in drawn else p.init(key) for p in self.parts}
        return {name: value for name, value in params.items() if jax.tree.leaves(value)}


@dataclasses.dataclass(frozen=True)
class _ChainApply:
    parts: tuple[_Part, ...]

    def __call__(self, params: Params, x: Any, /, *, key: Array | None = None) -> Any:
        for part in self.parts:
            x = part.apply(params, x, key)
        return x


@dataclasses.dataclass(frozen=True)
class _ParallelApply:
    parts: tuple[_Part, ...]

    def __call__(
        self,
        params: Params,
        x: Sequences | Shaped[Array, "*batch in_dim"],
        /,
        *,
        key: Array | None = None,
    ) -> Sequences | Float[Array, "*batch out_dim"]:
        outputs = [part.apply(params, x, key) for part in self.parts]
        if not all(isinstance(output, Sequences) for output in outputs):
            return jnp.concatenate(outputs, axis=-1)
        values = jnp.concatenate([output.values for output in outputs], axis=-1)
        return Sequences(values, outputs[0].length)


@dataclasses.dataclass(frozen=True, repr=False)
class Chain(Network):
    """Networks applied one after the other; a slice of it is a network on the same parameters.

    A slice takes the parameters of the whole chain, so the features that a trained network has
    learned are `network[:-1].apply(params, x)`. The same slice of the same chain is the same
    object, for which `predict` compiles once.

    Attributes:
        parts: the networks with their names and places.
    """

    parts: tuple[_Part, ...] = ()

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int | slice) -> "Chain":
        if isinstance(index, slice):
            if index.step not in (None, 1):
                raise ValueError(
                    f"a chain is sliced in steps of 1, found step {index.step}; "
                    "build another order with jaxnet.chain"
                )
            start, stop, _ = index.indices(len(self.parts))
        else:
            start = range(len(self.parts))[operator.index(index)]
            stop = start + 1
        if (start, stop) not in self._slices:
            self._slices[start, stop] = chain_of_parts(self.parts[start:stop])
        return self._slices[start, stop]

    @functools.cached_property
    def _slices(self) -> "dict[tuple[int, int], Chain]":
        return {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parts in order; those that have parameters are the keys of `params`."""
        return tuple(part.name for part in self.parts)


def chain_of_parts(parts: tuple[_Part, ...]) -> Chain:
    """A chain of networks with the names and places that they have in it.

    Args:
        parts: `chain.parts`, or some of them in order, or with other networks.

    Returns:
        A chain on the same parameters.

    >>> import jaxnet as jn
    >>> network = jn.mlp([4, 3, 2])
    >>> chain_of_parts(network.parts[:1]) == network[:1]
    True
    """
    return Chain(_ChainInit(parts), _ChainApply(parts), "chain", parts)


def require_network(
    function: str, value: Any, *, name: str = "network", stateful: bool = False
) -> None:
    """Raise unless an argument is a network.

    Args:
        function: the public function, for the message.
        value: the argument.
        name: its name.
        stateful: whether a `StatefulNetwork` is taken too.

    Raises:
        TypeError: anything else, with the remedy for a function and for a list.

    >>> require_network("chain", jnp.tanh, name="part 1")
    Traceback (most recent call last):
        ...
    TypeError: chain: part 1 is a function, expected a Network; use jaxnet.activation(function)
    """
    if isinstance(value, (Network, StatefulNetwork) if stateful else Network):
        return
    kind, remedy = f"a {type(value).__name__}", "pass what jaxnet.dense, jaxnet.mlp ... return"
    if isinstance(value, StatefulNetwork):
        remedy = "networks with state are trained whole: build it in Flax, or leave the state out"
    elif isinstance(value, (list, tuple)):
        remedy = f"pass the networks one by one: {function}(*networks)"
    elif callable(value):
        kind = "a function" if hasattr(value, "__name__") else kind
        remedy = "use jaxnet.activation(function)"
    raise TypeError(f"{function}: {name} is {kind}, expected a Network; {remedy}")


def one_line(network: Network) -> str:
    """The `repr` of a network inside that of another, where it has one line; else its name.

    Args:
        network: the network.

    Returns:
        Its `repr`, or its name.

    >>> import jaxnet as jn
    >>> one_line(jn.dense(2, 1)), one_line(jn.mlp([3, 2, 1]))
    ('dense(2, 1)', 'chain')
    """
    return f"{network!r}" if not network._children() else network.name


def _named(
    function: str, networks: Sequence[Network], names: Sequence[str] | None
) -> tuple[_Part, ...]:
    for index, network in enumerate(networks):
        require_network(function, network, name=f"part {index}")
    if names is None:
        counts: Counter[str] = Counter()
        names = []
        for network in networks:
            names.append(f"{network.name}_{counts[network.name]}")
            counts[network.name] += 1
    elif len(names) != len(networks) or len(set(names)) != len(names):
        raise ValueError(
            f"names must be {len(networks)} different names, one for each network, "
            f"found {list(names)}"
        )
    return tuple(
        _Part(index, name, network)
        for index, (name, network) in enumerate(zip(names, networks, strict=True))
    )


def chain(*networks: Network, names: Sequence[str] | None = None) -> Chain:
    """Compose networks: the output of each is the input of the next.

    Args:
        networks: any networks, chains among them.
        names: one name for each network, the keys of the parameters; by default the kind and its
            count: `dense_0`, `activation_0`, `dense_1`.

    Returns:
        A `Chain`, whose parameters are a dict from name to the parameters of that part. Parts
        without parameters have no entry. Slices of it are networks on the same parameters.

    Raises:
        TypeError: an argument that is not a network, such as a function or a list.
        ValueError: names that are not distinct or not one for each network.

    >>> import jaxnet as jn
    >>> network = chain(jn.dense(3, 8), jn.activation(jax.nn.relu), jn.dense(8, 2))
    >>> params = network.init(jax.random.key(0))
    >>> sorted(params)
    ['dense_0', 'dense_1']
    >>> network[:2].apply(params, jnp.ones((5, 3))).shape
    (5, 8)
    >>> network
    chain(
      dense_0: dense(3, 8)
      activation_0: activation(relu)
      dense_1: dense(8, 2)
    )
    """
    return chain_of_parts(_named("chain", networks, names))


def parallel(*networks: Network, names: Sequence[str] | None = None) -> Network:
    """Apply every network to the same input and concatenate their outputs on the last axis.

    Args:
        networks: networks that take the same input and agree in all axes but the last; those of
            sequences also in the lengths of their outputs.
        names: as in `chain`.

    Returns:
        A network whose parameters are a dict from name to the parameters of that part.

    Raises:
        TypeError: an argument that is not a network, such as a function or a list.
        ValueError: names that are not distinct or not one for each network.

    >>> import jaxnet as jn
    >>> network = parallel(jn.dense(3, 4), jn.dense(3, 2))
    >>> params = network.init(jax.random.key(0))
    >>> network.apply(params, jnp.ones((5, 3))).shape
    (5, 6)
    """
    parts = _named("parallel", networks, names)
    return Network(_ChainInit(parts), _ParallelApply(parts), "parallel")
