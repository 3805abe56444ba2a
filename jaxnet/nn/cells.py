"""Recurrent cells: gated recurrent units, long short-term memory, simple recurrent units."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from jaxnet._checks import require_finite, require_positive
from jaxnet.nn.initializers import lecun_normal
from jaxnet.nn.recurrence import BatchShape, Cell, projected_steps
from jaxnet.typing import Initializer, Params

_zeros = jax.nn.initializers.zeros
_orthogonal = jax.nn.initializers.orthogonal()


def affine(params: Params, x: Array) -> Array:
    """`x kernel + bias` with the parameters of a part of a cell, which may lack the bias.

    Args:
        params: `kernel`, and `bias` or not.
        x: `(*batch, in_dim)`.

    Returns:
        `(*batch, out_dim)`.

    >>> affine({"kernel": 2 * jnp.eye(2)}, jnp.ones(2)).tolist()
    [2.0, 2.0]
    """
    y = x @ params["kernel"]
    return y + jax.lax.broadcast_to_rank(params["bias"], y.ndim) if "bias" in params else y


def input_projection(
    function: str, in_dim: int, part: str = "input"
) -> Callable[[Params, Array], Array]:
    """The product of the input with the kernels of all gates, with a check of its size.

    Args:
        function: the cell, for the message.
        in_dim: size of the input.
        part: which parameters.

    Returns:
        `(params, x) -> inputs`; it raises ValueError for an input of another size.

    >>> input_projection("gru", 3)({"input": {"kernel": jnp.ones((3, 2))}}, jnp.ones(3)).tolist()
    [3.0, 3.0]
    """

    def project(params: Params, x: Array) -> Array:
        if x.shape[-1:] != (in_dim,):
            raise ValueError(
                f"{function}: a step of the input has shape {x.shape}, expected in_dim = {in_dim} "
                "numbers in the last axis; sequences are (*batch, time, dim)"
            )
        return affine(params[part], x)

    return project


def _recurrent_kernel(key: Array, hidden_dim: int, num_gates: int) -> Array:
    """Orthogonal kernels of all gates side by side, `(hidden_dim, num_gates * hidden_dim)`."""
    keys = jax.random.split(key, num_gates)
    kernels = jax.vmap(lambda key: _orthogonal(key, (hidden_dim, hidden_dim)))(keys)
    return jnp.moveaxis(kernels, 0, 1).reshape(hidden_dim, num_gates * hidden_dim)


def _zero_state(params: Params, batch_shape: BatchShape) -> Array:
    kernel = params["hidden"]["kernel"]
    return jnp.zeros((*batch_shape, kernel.shape[0]), kernel.dtype)


def gru(in_dim: int, hidden_dim: int, *, kernel_init: Initializer = lecun_normal) -> Cell:
    """Gated recurrent unit.

    `r = sigmoid(x W_r + b_r + h U_r)`, `z = sigmoid(x W_z + b_z + h U_z)`,
    `n = tanh(x W_n + b_n + r (h U_n + c))`, `h' = (1 - z) n + z h`, Cho et al. (2014), "Learning
    phrase representations using RNN encoder-decoder", eqs. 5 to 8, with the reset gate after the
    product, as in cuDNN, Flax and PyTorch.

    Args:
        in_dim: size of a step of the input.
        hidden_dim: size of the state `h`, which is also the output.
        kernel_init: initializer of the kernel of the inputs. Those of the state are orthogonal.

    Returns:
        A cell. Its parameters are `input` with `kernel` `(in_dim, 3 hidden_dim)` and `bias`, and
        `hidden` with `kernel` `(hidden_dim, 3 hidden_dim)` and `bias` `(hidden_dim,)`, that of
        `n`: those of `ir`, `iz`, `in` and of `hr`, `hz`, `hn` of Flax's `GRUCell` side by side,
        and the transposed `weight_ih_l0` and `weight_hh_l0` of PyTorch, whose two biases of `r`
        and of `z` are added.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1; (of the cell) an input of another size.

    >>> cell = gru(3, 8)
    >>> params = jax.jit(cell.init)(jax.random.key(0))
    >>> carry = cell.start(params, (5,))
    >>> carry, output = jax.jit(cell.step)(params, carry, jnp.ones((5, 3)))
    >>> output.shape
    (5, 8)
    """
    require_positive("gru", in_dim=in_dim, hidden_dim=hidden_dim)

    def init(key: Array) -> Params:
        input_key, hidden_key = jax.random.split(key)
        return {
            "input": {
                "kernel": kernel_init(input_key, (in_dim, 3 * hidden_dim)),
                "bias": _zeros(key, (3 * hidden_dim,)),
            },
            "hidden": {
                "kernel": _recurrent_kernel(hidden_key, hidden_dim, 3),
                "bias": _zeros(key, (hidden_dim,)),
            },
        }

    def advance(params: Params, carry: Array, inputs: Array) -> tuple[Array, Array]:
        hidden = carry @ params["hidden"]["kernel"]
        gates = jax.nn.sigmoid(inputs[..., : 2 * hidden_dim] + hidden[..., : 2 * hidden_dim])
        reset, update = gates[..., :hidden_dim], gates[..., hidden_dim:]
        bias = jax.lax.broadcast_to_rank(params["hidden"]["bias"], hidden.ndim)
        new = jnp.tanh(
            inputs[..., 2 * hidden_dim :] + reset * (hidden[..., 2 * hidden_dim :] + bias)
        )
        carry = (1 - update) * new + update * carry
        return carry, carry

    project, ahead = input_projection("gru", in_dim), in_dim > hidden_dim
    step, scan = projected_steps(project, advance, ahead=ahead)
    return Cell(init, _zero_state, step, scan, "gru", detail=f"{in_dim}, {hidden_dim}")


def lstm(
    in_dim: int,
    hidden_dim: int,
    *,
    kernel_init: Initializer = lecun_normal,
    forget_bias: ArrayLike = 1.0,
) -> Cell:
    """Long short-term memory.

    `i, f, o = sigmoid(x W + h U + b)`, `g = tanh(x W_g + h U_g + b_g)`, `c' = f c + i g`,
    `h' = o tanh(c')`, Hochreiter and Schmidhuber (1997), "Long short-term memory", with the forget
    gate of Gers, Schmidhuber, Cummins (2000), "Learning to forget".

    Args:
        in_dim: size of a step of the input.
        hidden_dim: size of the state `h`, which is also the output, and of the memory `c`.
        kernel_init: initializer of the kernel of the inputs. Those of the state are orthogonal.
        forget_bias: first value of the bias of the forget gate; Jozefowicz, Zaremba, Sutskever
            (2015), section 2.2. Flax begins with 0.

    Returns:
        A cell whose carry is `(c, h)`. Its parameters are `input` with `kernel`
        `(in_dim, 4 hidden_dim)`, and `hidden` with `kernel` `(hidden_dim, 4 hidden_dim)` and
        `bias`: those of `ii`, `if`, `ig`, `io` and of `hi`, `hf`, `hg`, `ho` of Flax's
        `OptimizedLSTMCell` side by side, and the transposed `weight_ih_l0` and `weight_hh_l0` of
        PyTorch, whose two biases are added.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1; (of the cell) an input of another size.

    >>> cell = lstm(3, 8)
    >>> params = jax.jit(cell.init)(jax.random.key(0))
    >>> carry = cell.start(params, (5,))
    >>> (memory, state), output = jax.jit(cell.step)(params, carry, jnp.ones((5, 3)))
    >>> memory.shape, output.shape
    ((5, 8), (5, 8))
    """
    require_positive("lstm", in_dim=in_dim, hidden_dim=hidden_dim)
    require_finite("lstm", forget_bias=forget_bias)

    def init(key: Array) -> Params:
        input_key, hidden_key = jax.random.split(key)
        bias = _zeros(key, (4 * hidden_dim,))
        return {
            "input": {"kernel": kernel_init(input_key, (in_dim, 4 * hidden_dim))},
            "hidden": {
                "kernel": _recurrent_kernel(hidden_key, hidden_dim, 4),
                "bias": bias.at[hidden_dim : 2 * hidden_dim].set(forget_bias),
            },
        }

    def start(params: Params, batch_shape: BatchShape) -> tuple[Array, Array]:
        return _zero_state(params, batch_shape), _zero_state(params, batch_shape)

    def advance(
        params: Params, carry: tuple[Array, Array], inputs: Array
    ) -> tuple[tuple[Array, Array], Array]:
        memory, state = carry
        gates = inputs + affine(params["hidden"], state)
        entering, forget, new, leaving = jnp.split(gates, 4, axis=-1)
        memory = jax.nn.sigmoid(forget) * memory + jax.nn.sigmoid(entering) * jnp.tanh(new)
        state = jax.nn.sigmoid(leaving) * jnp.tanh(memory)
        return (memory, state), state

    project, ahead = input_projection("lstm", in_dim), in_dim > hidden_dim
    step, scan = projected_steps(project, advance, ahead=ahead)
    return Cell(init, start, step, scan, "lstm", detail=f"{in_dim}, {hidden_dim}")


def elman(
    in_dim: int,
    hidden_dim: int,
    *,
    activation: Callable[[Array], Array] = jnp.tanh,
    kernel_init: Initializer = lecun_normal,
) -> Cell:
    """Simple recurrent unit `h' = activation(x W + b + h U)`.

    Elman (1990), "Finding structure in time".

    Args:
        in_dim: size of a step of the input.
        hidden_dim: size of the state `h`, which is also the output.
        activation: of each number.
        kernel_init: initializer of the kernel of the inputs. That of the state is orthogonal.

    Returns:
        A cell. Its parameters are those of `i` and `h` of Flax's `SimpleCell`: `input` with
        `kernel` `(in_dim, hidden_dim)` and `bias`, `hidden` with `kernel`
        `(hidden_dim, hidden_dim)`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1; (of the cell) an input of another size.

    >>> cell = elman(3, 8)
    >>> params = jax.jit(cell.init)(jax.random.key(0))
    >>> jax.jit(cell.step)(params, cell.start(params, ()), jnp.ones(3))[1].shape
    (8,)
    """
    require_positive("elman", in_dim=in_dim, hidden_dim=hidden_dim)

    def init(key: Array) -> Params:
        input_key, hidden_key = jax.random.split(key)
        return {
            "input": {
                "kernel": kernel_init(input_key, (in_dim, hidden_dim)),
                "bias": _zeros(key, (hidden_dim,)),
            },
            "hidden": {"kernel": _recurrent_kernel(hidden_key, hidden_dim, 1)},
        }

    def advance(params: Params, carry: Array, inputs: Array) -> tuple[Array, Array]:
        carry = activation(inputs + carry @ params["hidden"]["kernel"])
        return carry, carry

    project, ahead = input_projection("elman", in_dim), in_dim > hidden_dim
    step, scan = projected_steps(project, advance, ahead=ahead)
    return Cell(init, _zero_state, step, scan, "elman", detail=f"{in_dim}, {hidden_dim}")
