"""Networks that read long series window by window and keep their state between windows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Shaped

from jaxnet._checks import require_positive
from jaxnet.nn.network import Chain, Network, StatefulNetwork, require_network
from jaxnet.nn.recurrence import (
    BatchShape,
    Carry,
    Cell,
    RecurrentApply,
    hold,
    scan_cell,
    scan_steps,
)
from jaxnet.typing import Params


class Series(NamedTuple):
    """Series one after the other, or windows of them: the input of a network that is `carried`.

    Attributes:
        values: the steps, `(*batch, time, dim)`.
        is_first: True at the first step of a series, where the state of the network starts again.
    """

    values: Shaped[Array | np.ndarray, "*batch time dim"]
    is_first: Bool[Array | np.ndarray, "*batch time"]


def concatenate_series(series: Sequence[Shaped[np.ndarray, "..."]], *, num_rows: int = 1) -> Series:
    """Series one after the other, with their beginnings.

    Args:
        series: one array `(time, dim)` for each, of one `dim`.
        num_rows: `batch_size` of `training.in_order`, which cuts the result into this number of
            equal parts: the first step of each part, where an epoch begins, is a beginning too.

    Returns:
        NumPy arrays: values `(time, dim)` and `is_first` `(time,)`.

    Raises:
        ValueError: no series, or series of different `dim`; fewer steps than rows.

    >>> series = concatenate_series([np.ones((3, 2)), np.ones((5, 2))], num_rows=2)
    >>> series.values.shape, series.is_first.astype(int).tolist()
    ((8, 2), [1, 0, 0, 1, 1, 0, 0, 0])
    """
    require_positive("concatenate_series", num_rows=num_rows)
    shapes = [np.shape(array) for array in series]
    if not shapes or any(len(shape) != 2 or shape[1] != shapes[0][1] for shape in shapes):
        raise ValueError(
            "concatenate_series: series must be at least one array (time, dim), with the same dim "
            f"for all, found shapes {shapes}"
        )
    values = np.concatenate(list(series))
    if len(values) < num_rows:
        raise ValueError(
            f"concatenate_series: num_rows is {num_rows}, and there are only {len(values)} steps"
        )
    is_first = np.zeros(len(values), bool)
    is_first[np.cumsum([0, *(shape[0] for shape in shapes[:-1])]).clip(max=len(values) - 1)] = True
    span = len(values) // num_rows
    is_first[: span * num_rows : span] = True
    return Series(values, is_first)


def carried(network: Network, batch_size: int) -> StatefulNetwork:
    """A network whose recurrent layers begin a window with the state at the end of the last one.

    Truncated backpropagation through time: the state is in `TrainState.extra`, and no gradient goes
    back beyond a window. Williams and Peng (1990), "An efficient gradient-based algorithm for
    on-line training of recurrent network trajectories". Batches are windows in the order of time,
    by `batches=training.in_order(batch_size, length=...)`, from data `x`, a `Series`, and `y`.

    The state starts again wherever `Series.is_first` is True. An epoch begins at the first step of
    each row, so that must be the first of a series too: `concatenate_series(..., num_rows=)` says
    so. Windows without `is_first`, arrays `(batch_size, time, dim)`, continue for ever.

    Args:
        network: `recurrent`, or a chain of them and of layers that act on each step, such as
            `each_step`. What else looks across time, such as attention, sees one window.
        batch_size: number of series that are read side by side, rows of a batch.

    Returns:
        A network with state, from windows `(batch_size, time, dim)` of a `Series` or an array to
        outputs of each step. Its parameters are those of `network`; its state holds the carry of
        each recurrent layer. In evaluation, without a key, every window of any batch starts from
        the beginning, and `is_first` applies too.

    Raises:
        TypeError: what is not a network.
        ValueError: a batch size below 1; a network without recurrent layers, or with one that is
            reversed; (of the network) another number of rows.

    >>> import jaxnet as jn
    >>> network = carried(jn.chain(jn.nn.recurrent(jn.nn.gru(3, 4)), jn.dense(4, 1)), 2)
    >>> key, x = jax.random.key(0), jnp.ones((2, 6, 3))
    >>> params = jax.jit(network.init)(key)
    >>> extra, apply = network.init_extra(params, key), jax.jit(network.apply)
    >>> first, extra = apply(params, extra, x[:, :2], key=key)
    >>> second, extra = apply(params, extra, x[:, 2:], key=key)
    >>> whole = jax.jit(network.evaluation.apply)((params, extra), x)
    >>> bool(jnp.allclose(jnp.concatenate([first, second], axis=1), whole, atol=1e-6))
    True
    """
    require_network("carried", network)
    require_positive("carried", batch_size=batch_size)
    if not _cells(network):
        raise ValueError(
            f"carried: the network has no recurrent layer whose state could be kept: {network!r}"
        )

    def start(params: Params, batch_shape: BatchShape) -> tuple[Carry, ...]:
        layers = zip(_cells(network), _layer_params(network, params), strict=True)
        return tuple(cell.start(below, batch_shape) for cell, below in layers)

    def init_extra(params: Params, key: Array) -> tuple[Carry, ...]:
        return start(params, (batch_size,))

    def apply(
        params: Params, extra: tuple[Carry, ...], x: Any, /, *, key: Array | None = None
    ) -> tuple[Any, tuple[Carry, ...]]:
        values, is_first = x if isinstance(x, Series) else (x, None)
        if key is None:
            carries = list(start(params, values.shape[:-2]))
            return _run(network, params, values, is_first, carries, None), extra
        if values.ndim < 3 or values.shape[:-2] != (batch_size,):
            raise ValueError(
                f"carried: a batch has shape {values.shape}, expected (batch_size, time, dim) with "
                f"batch_size = {batch_size}; use training.in_order({batch_size}, length=...)"
            )
        carries = list(jax.lax.stop_gradient(extra))
        outputs = _run(network, params, values, is_first, carries, key)
        # The types of the state stay what they were.
        carries = jax.tree.map(lambda new, old: new.astype(old.dtype), tuple(carries), extra)
        return outputs, carries

    return StatefulNetwork(network.init, init_extra, apply, "carried")


def _cells(network: Network) -> list[Cell]:
    """The cells of a network in the order in which they read."""
    if isinstance(network, Chain):
        return [cell for part in network.parts for cell in _cells(part.network)]
    if not isinstance(network.apply, RecurrentApply):
        inside = getattr(network.apply, "inside", None)  # of `residual` and of `compute_in`
        children = [child for _, child in network._children()]
        if isinstance(inside, RecurrentApply) or any(
            _cells(child) for child in [*children, inside] if isinstance(child, Network)
        ):
            raise ValueError(
                f"carried: the recurrent layers inside of {network.name} cannot keep their state; "
                "use a chain of recurrent and of layers that act on each step"
            )
        return []
    if network.apply.reverse:
        raise ValueError(
            "carried: a reversed layer reads the future first and has no state to keep; use "
            "recurrent(cell)"
        )
    return [network.apply.cell]


def _layer_params(network: Network, params: Params) -> list[Params]:
    """The parameters of each cell."""
    if isinstance(network, Chain):
        return [
            below
            for part in network.parts
            for below in _layer_params(part.network, params.get(part.name, {}))
        ]
    return [params] if isinstance(network.apply, RecurrentApply) else []


def _run(
    network: Network,
    params: Params,
    x: Any,
    is_first: Any,
    carries: list[Carry],
    key: Array | None,
) -> Any:
    """The outputs of a window; takes carries from the front of the list and appends new ones."""
    if isinstance(network, Chain):
        for part in network.parts:
            below = params.get(part.name, {})
            part_key = None if key is None else jax.random.fold_in(key, part.index)
            x = _run(part.network, below, x, is_first, carries, part_key)
        return x
    if not isinstance(network.apply, RecurrentApply):
        return network.apply(params, x, key=key)
    cell, carry = network.apply.cell, carries.pop(0)
    if is_first is None:
        carry, outputs = scan_cell(cell, params, carry, x)
    else:
        carry, outputs = _scan_with_starts(cell, params, carry, x, is_first)
    carries.append(carry)
    return outputs


def _scan_with_starts(
    cell: Cell, params: Params, carry: Carry, x: Array, is_first: Array
) -> tuple[Carry, Array]:
    first = cell.start(params, x.shape[:-2])

    def step(params: Params, carry: Carry, inputs: Any) -> tuple[Carry, Array]:
        values, begins = inputs
        start = jax.tree.map(lambda new, old: new.astype(old.dtype), first, carry)
        return cell.step(params, hold(begins, start, carry), values)

    inputs = jnp.moveaxis(x, -2, 0), jnp.moveaxis(is_first, -1, 0)
    carry, outputs = scan_steps(step, params, carry, inputs, None, False)
    return carry, jnp.moveaxis(outputs, 0, -2)
