"""Linear recurrences: gates that depend on the input alone, so that all steps run in parallel."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Shaped

from jaxnet._checks import require_choice, require_finite, require_positive
from jaxnet.nn.cells import input_projection
from jaxnet.nn.initializers import lecun_normal
from jaxnet.nn.recurrence import BatchShape, Cell
from jaxnet.typing import Initializer, Params

_zeros = jax.nn.initializers.zeros


_ALGORITHMS = ("auto", "associative", "loop")


def linear_recurrence(
    decay: Shaped[Array, "time *rest"],
    inputs: Shaped[Array, "time *rest"],
    start: Shaped[Array, "*rest"],
    *,
    reverse: bool = False,
    algorithm: str = "auto",
) -> Shaped[Array, "time *rest"]:
    """All states of `h_t = decay_t h_{t-1} + inputs_t`.

    Args:
        decay: factor of the state for each step.
        inputs: added in each step.
        start: the state before the first step.
        reverse: whether the first step is the last one of the arrays.
        algorithm: "associative" takes a number of rounds that is the logarithm of the time, by
            `jax.lax.associative_scan`; Blelloch (1990), "Prefix sums and their applications",
            section 1.4. "loop" takes one step after the other. "auto" is "loop" where the program
            runs on CPU, which has few cores to run in parallel, and "associative" elsewhere.

    Returns:
        The state after each step.

    Raises:
        ValueError: an unknown algorithm.

    >>> linear_recurrence(jnp.full(3, 0.5), jnp.ones(3), jnp.array(4.0)).tolist()
    [3.0, 2.5, 2.25]
    """
    require_choice("linear_recurrence", "algorithm", algorithm, _ALGORITHMS)
    first = -1 if reverse else 0
    inputs = inputs.at[first].add(decay[first] * start)
    return _states(decay, inputs, reverse, algorithm)


def _run(decay: Array, inputs: Array, reverse: bool, algorithm: str) -> Array:
    """The states from 0; a linear function of the inputs."""

    def associative(decay: Array, inputs: Array) -> Array:
        def combine(before: tuple[Array, Array], after: tuple[Array, Array]) -> Any:
            return before[0] * after[0], after[0] * before[1] + after[1]

        return jax.lax.associative_scan(combine, (decay, inputs), reverse=reverse)[1]

    def loop(decay: Array, inputs: Array) -> Array:
        def step(state: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            state = now[0] * state + now[1]
            return state, state

        start = jnp.zeros_like(inputs[0])
        return jax.lax.scan(step, start, (decay, inputs), reverse=reverse)[1]

    if algorithm == "auto":
        return jax.lax.platform_dependent(decay, inputs, cpu=loop, default=associative)
    return associative(decay, inputs) if algorithm == "associative" else loop(decay, inputs)


_states = jax.custom_jvp(_run, nondiff_argnums=(2, 3))


@_states.defjvp
def _states_jvp(
    reverse: bool, algorithm: str, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    """The tangent is a recurrence with the same decay: nothing but the states is kept for it."""
    (decay, inputs), (decay_tangent, inputs_tangent) = primals, tangents
    states = _states(decay, inputs, reverse, algorithm)
    zero = jnp.zeros_like(states[:1])
    shifted = [states[1:], zero] if reverse else [zero, states[:-1]]
    changes = decay_tangent * jnp.concatenate(shifted) + inputs_tangent
    return states, _run(decay, changes, reverse, algorithm)


def min_gru(
    in_dim: int,
    hidden_dim: int,
    *,
    kernel_init: Initializer = lecun_normal,
    gate_bias: ArrayLike = 0.0,
) -> Cell:
    """Gated recurrent unit whose gate does not see the state, parallel over time.

    `z = sigmoid(x W_z + b_z)`, `h' = (1 - z) h + z (x W_n + b_n)`, Feng et al. (2024), "Were RNNs
    all we needed?", section 3.1. It is computed as it is written, not from logarithms as in their
    appendix B: the factors `1 - z` lie between 0 and 1, so that nothing grows.

    Args:
        in_dim: size of a step of the input.
        hidden_dim: size of the state `h`, which is also the output.
        kernel_init: initializer of the kernel.
        gate_bias: first value of `b_z`; the state of a network with a negative one changes slowly,
            over about `exp(-gate_bias)` steps.

    Returns:
        A cell, whose `scan` is a `linear_recurrence`; its `step` reads one step. Its parameters are
        `input` with `kernel` `(in_dim, 2 hidden_dim)`, that of `z` and of `n`, and `bias`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1; (of the cell) an input of another size.

    >>> cell = min_gru(3, 8)
    >>> params = jax.jit(cell.init)(jax.random.key(0))
    >>> jax.jit(cell.step)(params, cell.start(params, (5,)), jnp.ones((5, 3)))[1].shape
    (5, 8)
    """
    require_positive("min_gru", in_dim=in_dim, hidden_dim=hidden_dim)
    require_finite("min_gru", gate_bias=gate_bias)
    project = input_projection("min_gru", in_dim)

    def init(key: Array) -> Params:
        bias = _zeros(key, (2 * hidden_dim,)).at[:hidden_dim].set(gate_bias)
        return {"input": {"kernel": kernel_init(key, (in_dim, 2 * hidden_dim)), "bias": bias}}

    def start(params: Params, batch_shape: BatchShape) -> Array:
        return jnp.zeros((*batch_shape, hidden_dim), params["input"]["kernel"].dtype)

    def decay_and_inputs(params: Params, x: Array) -> tuple[Array, Array]:
        gate, new = jnp.split(project(params, x), 2, axis=-1)
        return jax.nn.sigmoid(-gate), jax.nn.sigmoid(gate) * new

    def step(params: Params, carry: Array, x: Array) -> tuple[Array, Array]:
        decay, inputs = decay_and_inputs(params, x)
        carry = decay * carry + inputs
        return carry, carry

    def scan(
        params: Params, carry: Array, x: Array, mask: Array | None, reverse: bool
    ) -> tuple[Array, Any]:
        decay, inputs = decay_and_inputs(params, x)
        if mask is not None:
            decay = jnp.where(mask[..., None], decay, jnp.ones((), decay.dtype))
            inputs = jnp.where(mask[..., None], inputs, jnp.zeros((), inputs.dtype))
        carry = carry.astype(inputs.dtype)
        states = linear_recurrence(decay, inputs, carry, reverse=reverse)
        return states[0 if reverse else -1], states

    return Cell(init, start, step, scan, "min_gru", detail=f"{in_dim}, {hidden_dim}")
