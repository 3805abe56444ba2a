"""A logistic network and the chain rule, without automatic differentiation."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Problem(NamedTuple):
    """A network of logistic layers, with the examples that it is to learn.

    Attributes:
        inputs: one row for each example.
        targets: what the network should answer.
        weights: one matrix for each layer.
        biases: one number for each layer, shared by its neurons and not trained.
    """

    inputs: Float[Array, "examples in"]
    targets: Float[Array, "examples out"]
    weights: tuple[Float[Array, "fan_in units"], ...]
    biases: tuple[float, ...]


class Layer(NamedTuple):
    """What one step computes for a layer: forward `net` and `out`, then backward the rest."""

    net: Float[Array, "examples units"]
    out: Float[Array, "examples units"]
    de_dout: Float[Array, "examples units"]
    dout_dnet: Float[Array, "examples units"]
    de_dnet: Float[Array, "examples units"]
    de_dw: Float[Array, "fan_in units"]


@jax.jit
def forward(problem: Problem) -> list[tuple[Array, Array]]:
    """`net = inputs weights + bias` and `out = 1 / (1 + exp(-net))` of every layer."""
    layers, signal = [], problem.inputs
    for weights, bias in zip(problem.weights, problem.biases, strict=True):
        net = signal @ weights + bias
        signal = 1 / (1 + jnp.exp(-net))
        layers.append((net, signal))
    return layers


@jax.jit
def error(problem: Problem) -> Float[Array, ""]:
    """`E = sum (target - out)^2 / 2` over outputs and examples."""
    return jnp.sum((problem.targets - forward(problem)[-1][1]) ** 2) / 2


@jax.jit
def backpropagate(problem: Problem) -> tuple[Layer, ...]:
    """Every partial derivative of E by the chain rule, from the last layer to the first."""
    computed = forward(problem)
    signals = [problem.inputs, *(out for _, out in computed)]
    layers: list[Layer] = []
    de_dout = signals[-1] - problem.targets
    for index in reversed(range(len(computed))):
        net, out = computed[index]
        dout_dnet = out * (1 - out)
        de_dnet = de_dout * dout_dnet
        de_dw = signals[index].T @ de_dnet
        layers.append(Layer(net, out, de_dout, dout_dnet, de_dnet, de_dw))
        de_dout = de_dnet @ problem.weights[index].T
    return tuple(reversed(layers))


@jax.jit
def gradients_of_jax(problem: Problem) -> tuple[Array, ...]:
    """dE/dw of every layer by automatic differentiation."""
    return jax.grad(lambda weights: error(problem._replace(weights=weights)))(problem.weights)


@jax.jit
def train(problem: Problem, learning_rate: float, num_steps: int) -> Problem:
    """The problem with its weights after some full-batch steps `w - learning_rate dE/dw`."""

    def step(_: int, problem: Problem) -> Problem:
        layers = backpropagate(problem)
        pairs = zip(problem.weights, layers, strict=True)
        return problem._replace(weights=tuple(w - learning_rate * at.de_dw for w, at in pairs))

    return jax.lax.fori_loop(0, num_steps, step, problem)


def largest_difference(problem: Problem) -> float:
    """Largest relative difference between dE/dw worked by hand and by jax.grad."""
    pairs = zip(backpropagate(problem), gradients_of_jax(problem), strict=True)
    return max(float(jnp.max(jnp.abs(at.de_dw / exact - 1))) for at, exact in pairs)
