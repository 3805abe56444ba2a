"""Networks over time that keep a state, the carry, from step to step."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree, Shaped

from jaxnet.nn.network import Network, parallel
from jaxnet.nn.sequences import as_sequences, time_mask, zero_padding
from jaxnet.typing import Params, Sequences

Carry = PyTree[Any]
# Sizes are integers, or symbols while a program is exported for any of them.
BatchShape = tuple[Any, ...]
# `(params, carry, x) -> (carry, output)`
Step = Callable[[Params, Carry, Any], tuple[Carry, Array]]
# `(params, carry, x, mask, reverse) -> (carry, outputs)`, see `Cell`.
Scan = Callable[[Params, Carry, Array, Array | None, bool], tuple[Carry, Array]]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One step of a recurrent network, as pure functions; `recurrent` makes a network of it.

    Attributes:
        init: `init(key) -> params`.
        start: `start(params, batch_shape) -> carry`, the state before the first step.
        step: `step(params, carry, x) -> (carry, output)` of one step `x`, `(*batch, in_dim)`.
        scan: `scan(params, carry, x, mask, reverse) -> (carry, outputs)`, all steps at once where
            that is faster than a loop of `step`, which None stands for. Time is the first axis of
            `x`, of the outputs and of the mask, which is False where the carry stays as it is;
            None is True everywhere.
        name: what the cell is called.
        detail: its arguments, such as sizes, for its `repr`.

    >>> def step(params, carry, x):
    ...     return carry + x, carry + x
    >>> cumulative_sum = Cell(lambda key: {}, lambda params, batch: jnp.zeros((*batch, 1)), step)
    >>> import jaxnet as jn
    >>> jn.nn.recurrent(cumulative_sum).apply({}, jnp.ones((3, 1))).ravel().tolist()
    [1.0, 2.0, 3.0]
    """

    init: Callable[[Array], Params]
    start: Callable[[Params, BatchShape], Carry]
    step: Step
    scan: Scan | None = None
    name: str = "cell"
    detail: str = dataclasses.field(default="", kw_only=True, compare=False)

    def __repr__(self) -> str:
        return f"{self.name}({self.detail})"


def hold(mask: Array | None, new: Carry, old: Carry) -> Any:
    """The new carry where the mask is True, the old one elsewhere.

    Args:
        mask: `(*batch,)`, or None for the new carry everywhere.
        new: arrays `(*batch, ...)`.
        old: arrays of the same shapes.

    Returns:
        The carry.

    >>> hold(jnp.array([True, False]), jnp.ones((2, 1)), jnp.zeros((2, 1))).ravel().tolist()
    [1.0, 0.0]
    """
    if mask is None:
        return new

    def choose(after: Array, before: Array) -> Array:
        chosen = mask.reshape(*mask.shape, *(1,) * (after.ndim - mask.ndim))
        return jnp.where(chosen, after, before)

    return jax.tree.map(choose, new, old)


def scan_steps(
    step: Step, params: Params, carry: Carry, x: Any, mask: Array | None, reverse: bool
) -> tuple[Carry, Any]:
    """A loop of `step` over the first axis of `x`, where the mask is False without effect.

    Args:
        step: `(params, carry, x) -> (carry, output)`.
        params: of the cell.
        carry: before the first step.
        x: `(time, *batch, ...)`, or a pytree of such arrays.
        mask: `(time, *batch)`, or None.
        reverse: whether the loop begins at the last index.

    Returns:
        The carry after the last step, and the outputs `(time, *batch, ...)`.

    >>> total, sums = scan_steps(
    ...     lambda params, carry, x: (carry + x, carry + x), {}, 0.0, jnp.arange(4.0), None, False
    ... )
    >>> float(total), sums.tolist()
    (6.0, [0.0, 1.0, 3.0, 6.0])
    """

    def body(carry: Carry, inputs: tuple[Any, Array | None]) -> tuple[Carry, Array]:
        values, is_step = inputs
        new, output = step(params, carry, values)
        return hold(is_step, new, carry), output

    # A carry of the type of the parameters may meet inputs of a wider one.
    first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), x)
    after, _ = jax.eval_shape(step, params, carry, first)
    carry = jax.tree.map(lambda old, new: jnp.asarray(old, new.dtype), carry, after)
    # On CPU, loops with 2 or 4 steps in their body train slower and compile longer.
    return jax.lax.scan(body, carry, (x, mask), reverse=reverse)


def projected_steps(
    project: Callable[[Params, Any], Array], advance: Step, *, ahead: bool
) -> tuple[Step, Scan | None]:
    """Step and scan of a cell whose step begins with a product of the input alone.

    Args:
        project: `(params, x) -> inputs`, on trailing axes.
        advance: `(params, carry, inputs) -> (carry, output)`.
        ahead: whether the scan computes one product for all steps before the loop. On CPU a GRU of
            64 units trains slower so with inputs of 12 numbers, by a third, and of 64, by a sixth,
            because the loop reads larger arrays; with 256 it trains faster, by a third.

    Returns:
        `step` and `scan` of a `Cell`.

    >>> step, scan = projected_steps(
    ...     lambda params, x: 2 * x, lambda params, h, x: (h + x, h + x), ahead=True
    ... )
    >>> float(step({}, 1.0, jnp.ones(()))[0]), float(scan({}, 0.0, jnp.ones(3), None, False)[0])
    (3.0, 6.0)
    """

    def step(params: Params, carry: Carry, x: Any) -> tuple[Carry, Array]:
        return advance(params, carry, project(params, x))

    def scan(
        params: Params, carry: Carry, x: Array, mask: Array | None, reverse: bool
    ) -> tuple[Carry, Array]:
        return scan_steps(advance, params, carry, project(params, x), mask, reverse)

    return step, scan if ahead else None


def scan_cell(
    cell: Cell,
    params: Params,
    carry: Carry,
    x: Sequences | Shaped[Array, "*batch time in_dim"],
    *,
    reverse: bool = False,
) -> tuple[Carry, Any]:
    """All steps of sequences, from a given carry: `recurrent` for series that go on.

    Args:
        cell: the cell.
        params: its parameters.
        carry: before the first step, such as `cell.start(params, batch_shape)`.
        x: sequences, or an array whose steps all count.
        reverse: whether to begin with the last step of each sequence.

    Returns:
        The carry after the last step of each sequence, and the outputs in the order of time, of
        the kind of `x`; those beyond the length of a sequence are 0.

    Raises:
        TypeError: what is not a cell.
        ValueError: an array without an axis of time.

    >>> import jaxnet as jn
    >>> cell = jn.nn.gru(3, 4)
    >>> params, x = jax.jit(cell.init)(jax.random.key(0)), jnp.ones((2, 6, 3))
    >>> carry, whole = scan_cell(cell, params, cell.start(params, (2,)), x)
    >>> carry, first = scan_cell(cell, params, cell.start(params, (2,)), x[:, :4])
    >>> carry, second = scan_cell(cell, params, carry, x[:, 4:])
    >>> bool(jnp.allclose(whole[:, 4:], second, atol=1e-6))
    True
    """
    _require_cell("scan_cell", cell)
    sequences, mask = _checked("scan_cell", x), None
    if isinstance(x, Sequences):
        sequences = zero_padding(x)
        mask = jnp.moveaxis(time_mask(x), -1, 0)
    axis = sequences.length.ndim
    values = jnp.moveaxis(sequences.values, axis, 0)
    if cell.scan is None:
        carry, outputs = scan_steps(cell.step, params, carry, values, mask, reverse)
    else:
        carry, outputs = cell.scan(params, carry, values, mask, reverse)
    outputs = jnp.moveaxis(outputs, 0, axis)
    if isinstance(x, Sequences):
        return carry, zero_padding(Sequences(outputs, x.length))
    return carry, outputs


@dataclasses.dataclass(frozen=True)
class RecurrentApply:
    """What a recurrent network computes: a value with its cell, for networks that keep the carry.

    Attributes:
        cell: the cell.
        reverse: whether it reads from the last step to the first.

    >>> import jaxnet as jn
    >>> recurrent(jn.nn.gru(2, 3)).apply.cell
    gru(2, 3)
    """

    cell: Cell
    reverse: bool

    def __call__(self, params: Params, x: Any, /, *, key: Array | None = None) -> Any:
        batch = _checked("recurrent", x).length.shape
        carry = self.cell.start(params, batch)
        return scan_cell(self.cell, params, carry, x, reverse=self.reverse)[1]


def recurrent(cell: Cell, *, reverse: bool = False) -> Network:
    """A network that reads sequences step by step with a cell.

    `(carry_t, y_t) = step(carry_{t-1}, x_t)`. The carry stops changing at the length of a
    sequence; reversed, it begins at the last step of each sequence.

    Args:
        cell: `gru`, `lstm`, `elman`, `min_gru` or another `Cell`.
        reverse: whether to read from the last step to the first. Outputs are in the order of time:
            the one of step t has read all steps from t to the end.

    Returns:
        A network from `Sequences` with values `(*batch, time, in_dim)` to `Sequences` with values
        `(*batch, time, hidden_dim)` of the same lengths, 0 beyond them; from an array to an array.
        Its parameters are those of the cell.

    Raises:
        TypeError: what is not a cell.
        ValueError: (of the network) an input without an axis of time, or of another size.

    >>> import jaxnet as jn
    >>> network = recurrent(jn.nn.gru(3, 8))
    >>> params = jax.jit(network.init)(jax.random.key(0))
    >>> sequences = Sequences(jnp.ones((2, 5, 3)), jnp.array([5, 2]))
    >>> outputs = jax.jit(network.apply)(params, sequences)
    >>> outputs.values.shape, bool(outputs.values[1, 2:].any())
    ((2, 5, 8), False)
    """
    _require_cell("recurrent", cell)
    detail = f"{cell!r}, reverse=True" if reverse else f"{cell!r}"
    return Network(cell.init, RecurrentApply(cell, bool(reverse)), "recurrent", detail=detail)


def bidirectional(forward: Network, backward: Network) -> Network:
    """Two networks that read the same sequences, one of them reversed, side by side.

    `y_t = (forward(x)_t, backward(x)_t)`, Schuster and Paliwal (1997), "Bidirectional recurrent
    neural networks", section II.B.

    Args:
        forward: such as `recurrent(cell)`.
        backward: such as `recurrent(other_cell, reverse=True)`.

    Returns:
        A network whose outputs are both, on the last axis; its parameters are `forward` and
        `backward`.

    Raises:
        TypeError: what is not a network.

    >>> import jaxnet as jn
    >>> directions = [recurrent(jn.nn.gru(3, 4), reverse=reverse) for reverse in (False, True)]
    >>> network = bidirectional(*directions)
    >>> params = jax.jit(network.init)(jax.random.key(0))
    >>> sorted(params), jax.jit(network.apply)(params, jnp.ones((2, 5, 3))).shape
    (['backward', 'forward'], (2, 5, 8))
    """
    network = parallel(forward, backward, names=("forward", "backward"))
    return dataclasses.replace(network, name="bidirectional")


def _require_cell(function: str, cell: Any) -> None:
    if not isinstance(cell, Cell):
        raise TypeError(
            f"{function}: cell is a {type(cell).__name__}, expected a Cell; pass what "
            "jaxnet.nn.gru(in_dim, hidden_dim) ... return"
        )


def _checked(function: str, x: Any) -> Sequences:
    if not isinstance(x, Sequences) and jnp.ndim(x) < 2:
        raise ValueError(
            f"{function}: the input has shape {jnp.shape(x)}, expected (*batch, time, dim); a "
            "series of single numbers is x[..., None]"
        )
    return as_sequences(x)
