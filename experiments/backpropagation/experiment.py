"""Backpropagation by hand: small networks, every number printed and checked against jax.grad.

    python -m experiments.backpropagation                            # Mazur's network
    python -m experiments.backpropagation --example trask_two_layers
    python -m experiments.backpropagation --example all

Forward pass, error, every partial derivative by the chain rule, the update; then many more updates.
All in float64; the method is that of Rumelhart, Hinton, Williams, "Learning representations by
back-propagating errors" (Nature, 1986).
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pydantic

from experiments.backpropagation.chain_rule import (
    Problem,
    error,
    forward,
    largest_difference,
    train,
)
from experiments.backpropagation.derivation import derivation, format_numbers
from experiments.config import Options, PositiveFloat

TOLERANCE = 1e-12
"""The largest relative difference that is allowed between a derivative by hand and jax.grad."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A problem with its source, its settings, and remarks for comparing numbers."""

    title: str
    remark: str
    problem: Problem
    learning_rate: float
    num_steps: int


def mazur() -> Example:
    """Two inputs, two hidden, two outputs: Matt Mazur, "A Step by Step Backpropagation Example"."""
    weights = (jnp.array([[0.15, 0.25], [0.20, 0.30]]), jnp.array([[0.40, 0.50], [0.45, 0.55]]))
    return Example(
        'Matt Mazur, "A Step by Step Backpropagation Example"',
        "Two figures that circulate differ a little: E = .291027924 after the first update comes\n"
        "from updating the output weights before the hidden ones are derived, and E = .0000351085\n"
        "from 9 999 updates instead of 10 000.",
        Problem(jnp.array([[0.05, 0.10]]), jnp.array([[0.01, 0.99]]), weights, (0.35, 0.60)),
        learning_rate=0.5,
        num_steps=10_000,
    )


_TRASK_INPUTS = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 1.0))


def _trask(targets: Sequence[float], dims: Sequence[int], remark: str, num_steps: int) -> Example:
    generator = np.random.RandomState(1)  # the legacy generator, as the source has it
    weights = tuple(
        jnp.asarray(2 * generator.random_sample((fan_in, units)) - 1)
        for fan_in, units in itertools.pairwise(dims)
    )
    problem = Problem(
        jnp.array(_TRASK_INPUTS), jnp.array(targets)[:, None], weights, (0.0,) * len(weights)
    )
    title = 'Andrew Trask, "A Neural Network in 11 lines of Python"'
    return Example(title, remark, problem, learning_rate=1.0, num_steps=num_steps)


def trask_two_layers() -> Example:
    """Three inputs, one output: Andrew Trask, "A Neural Network in 11 lines of Python"."""
    remark = (
        "The target is the first input. Outputs of the source are those before its last update."
    )
    return _trask([0.0, 0.0, 1.0, 1.0], [3, 1], remark, 10_000)


def trask_three_layers() -> Example:
    """Three inputs, four hidden, one output: the second network of the same source."""
    remark = "The target is the exclusive or of the first two inputs, which no single layer can do."
    return _trask([0.0, 1.0, 1.0, 0.0], [3, 4, 1], remark, 60_000)


EXAMPLES = {
    "mazur": mazur,
    "trask_two_layers": trask_two_layers,
    "trask_three_layers": trask_three_layers,
}


def learning(example: Example, learning_rate: float, num_steps: int) -> Iterator[str]:
    """E and the mean absolute error as learning goes on, then the last outputs and weights."""
    yield from ("", f"{'updates':>10}  {'E':>22}  {'mean absolute error':>22}")
    problem, done = example.problem, 0
    stops = {0, 1, num_steps, *range(10_000, num_steps, 10_000)}
    for stop in sorted(stops):
        problem, done = train(problem, learning_rate, stop - done), stop
        out = forward(problem)[-1][1]
        distance = jnp.mean(jnp.abs(problem.targets - out))
        yield f"{stop:>10}  {error(problem):>22.16g}  {distance:>22.12g}"
    yield f"\noutputs  {format_numbers(np.asarray(forward(problem)[-1][1]))}"
    for index, weights in enumerate(problem.weights):
        yield f"weights of layer {index + 1}  {format_numbers(np.asarray(weights.T))}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Options):
    """Compute backpropagation by hand and compare every derivative with jax.grad."""

    experiment: ClassVar[str] = "backpropagation"

    example: Literal["mazur", "trask_two_layers", "trask_three_layers", "all"] = "mazur"
    """Network to work through, or all of them."""
    learning_rate: PositiveFloat | None = None
    """Factor of the gradient in an update; None is that of the source of the example."""
    num_steps: Annotated[int, pydantic.Field(ge=1, lt=2**31)] | None = None
    """Number of updates; None is that of the source of the example."""


def run(config: Config) -> None:
    """Print the worked examples.

    Raises:
        ArithmeticError: a derivative that differs from that of jax.grad.
    """
    rate, num_steps = config.learning_rate, config.num_steps
    for name in EXAMPLES if config.example == "all" else (config.example,):
        with jax.enable_x64(True):
            example = EXAMPLES[name]()
            step_size = example.learning_rate if rate is None else rate
            print(f"{example.title}\n{example.remark}")
            print("\n".join(derivation(example.problem, step_size)))
            for line in learning(example, step_size, num_steps or example.num_steps):
                print(line)
            difference = largest_difference(example.problem)
        print(f"\nlargest relative difference from jax.grad: {difference:.1e}\n")
        if difference > TOLERANCE:
            raise ArithmeticError(f"{name}: derivatives differ from jax.grad by {difference:.1e}")
