"""Backpropagation with a pencil: three small networks, every number printed, checked by jax.grad.

Forward pass, error, each partial derivative by the chain rule with the numbers filled in, and the
update; then the same update many times more. All in float64, with the formulas of Rumelhart,
Hinton and Williams, "Learning representations by back-propagating errors" (1986).

Sources: `mazur` is Matt Mazur, "A Step by Step Backpropagation Example"; `trask-2-layers` and
`trask-3-layers` are Andrew Trask, "A Neural Network in 11 lines of Python". Held against: Mazur's
E = .29102777369359933 after the first update and 3.510187782978859e-05 after 10 000; Trask's
outputs .00966449 .00786506 .99358898 .99211957 and his mean absolute error .00351012256786.
Every derivative equals that of jax.grad to 1e-12 (relative), or the exit status is 1.

    python -m experiments.backpropagation --example mazur     # begin with this one
    python -m experiments.backpropagation                     # all three, a few seconds
"""

import itertools
import math
import re
import sys
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array, Float

TOLERANCE = 1e-12  # the largest relative difference allowed between our derivatives and jax.grad


@dataclass(frozen=True)
class Config:
    """Work through backpropagation by hand, and check every derivative against jax.grad."""

    example: Literal["mazur", "trask-2-layers", "trask-3-layers", "all"] = "all"
    """Which network to work through; begin with mazur."""
    num_steps: int | None = None
    """How many updates; by default as in the source (10 000, and 60 000 for trask-3-layers)."""
    learning_rate: float | None = None
    """Factor of the gradient in an update; by default as in the source (mazur 0.5, trask 1)."""


class Problem(NamedTuple):
    """Examples and current weights; each layer has one bias for all its neurons, not trained."""

    inputs: Float[Array, "examples in"]
    targets: Float[Array, "examples out"]
    weights: tuple[Float[Array, "fan_in units"], ...]
    biases: tuple[float, ...]


class Example(NamedTuple):
    """A problem with the words and the settings of its source."""

    title: str
    remark: str
    learning_rate: float
    num_steps: int
    problem: Problem


class Derivatives(NamedTuple):
    """A layer on the way back, where e is the error E; de_dw is summed over the examples."""

    de_dout: Float[Array, "examples units"]
    dout_dnet: Float[Array, "examples units"]
    de_dnet: Float[Array, "examples units"]
    de_dw: Float[Array, "fan_in units"]


class Step(NamedTuple):
    """One update and all that leads to it; tuples hold one entry per layer, the first first."""

    weights: tuple[Float[Array, "fan_in units"], ...]
    net: tuple[Float[Array, "examples units"], ...]
    out: tuple[Float[Array, "examples units"], ...]
    error: Float[Array, ""]
    derivatives: tuple[Derivatives, ...]
    updated: tuple[Float[Array, "fan_in units"], ...]


class Result(NamedTuple):
    """An example worked through: the steps by number of updates done, and jax.grad's answers."""

    example: Example
    learning_rate: float
    steps: dict[int, Step]
    reference: tuple[Derivatives, ...]
    difference: float  # the largest relative difference between the two in the first step


def backpropagate(problem: Problem, rate: float) -> Step:
    """One full-batch gradient step on E = sum (t - out)^2 / 2, worked with the chain rule alone."""
    nets, outs = [], []
    for w, bias in zip(problem.weights, problem.biases, strict=True):
        nets.append((outs[-1] if outs else problem.inputs) @ w + bias)
        outs.append(1 / (1 + jnp.exp(-nets[-1])))
    error = jnp.sum((problem.targets - outs[-1]) ** 2) / 2

    derivatives = []
    de_dout = outs[-1] - problem.targets
    for w, below, out in reversed(list(zip(problem.weights, [problem.inputs, *outs], outs))):
        dout_dnet = out * (1 - out)
        de_dnet = de_dout * dout_dnet
        derivatives.insert(0, Derivatives(de_dout, dout_dnet, de_dnet, below.T @ de_dnet))
        de_dout = de_dnet @ w.T  # for the layer below
    updated = tuple(w - rate * d.de_dw for w, d in zip(problem.weights, derivatives, strict=True))
    return Step(problem.weights, tuple(nets), tuple(outs), error, tuple(derivatives), updated)


def jax_derivatives(problem: Problem) -> tuple[Derivatives, ...]:
    """The same derivatives by jax.grad: those by net and out are by a nudge added to each."""

    def error(weights, nudges):
        signal, nets = problem.inputs, []
        for w, bias, (on_net, on_out) in zip(weights, problem.biases, nudges, strict=True):
            nets.append(signal @ w + bias + on_net)
            signal = jax.nn.sigmoid(nets[-1]) + on_out
        return jnp.sum(jnp.square(signal - problem.targets)) / 2, nets

    zeros = [jnp.zeros((len(problem.inputs), w.shape[1])) for w in problem.weights]
    gradient = jax.grad(error, (0, 1), has_aux=True)
    (by_w, by_nudge), nets = gradient(problem.weights, [(z, z) for z in zeros])
    slopes = [jax.vmap(jax.vmap(jax.grad(jax.nn.sigmoid)))(net) for net in nets]
    layers = zip(by_nudge, slopes, by_w, strict=True)
    return tuple(Derivatives(by_out, slope, by_net, w) for (by_net, by_out), slope, w in layers)


@jax.jit
def train(problem: Problem, rate: float, num_steps: int) -> Problem:
    """The problem with its weights after `num_steps` updates."""

    def update(_, now):
        return now._replace(weights=backpropagate(now, rate).updated)

    return jax.lax.fori_loop(0, num_steps, update, problem)


def work_through(example: Example, rate: float, num_steps: int) -> Result:
    """The steps at 0, 1, 10, 100, ... updates, at every 10 000th, and at the last two."""
    counts = {0, 1, num_steps - 1, num_steps, *range(0, min(num_steps, 60_000), 10_000)}
    counts |= {10**k for k in range(1, 9) if 10**k < num_steps}
    problem, steps = example.problem, {}
    for done, count in itertools.pairwise([0, *sorted(counts)]):
        problem = train(problem, rate, count - done)
        steps[count] = jax.tree.map(np.asarray, backpropagate(problem, rate))
    reference = jax.tree.map(np.asarray, jax_derivatives(example.problem))
    pairs = zip(jax.tree.leaves(steps[0].derivatives), jax.tree.leaves(reference), strict=True)
    difference = np.max([np.max(np.abs(ours - its) / np.abs(its)) for ours, its in pairs])
    return Result(example, rate, steps, reference, float(difference))


def run(config: Config) -> dict[str, Result]:
    """The chosen examples worked through; ValueError if a setting cannot be."""
    rate, num_steps = config.learning_rate, config.num_steps
    if rate is not None and not 0 < rate < math.inf:
        raise ValueError(f"learning_rate is {rate}: give a positive, finite number such as 0.5")
    if num_steps is not None and not 1 <= num_steps <= 10**9:
        raise ValueError(f"num_steps is {num_steps}: give a whole number from 1 to 1000000000")
    chosen = {n: e for n, e in EXAMPLES.items() if config.example in (n, "all")}
    with jax.enable_x64(True):
        return {
            name: work_through(each, rate or each.learning_rate, num_steps or each.num_steps)
            for name, each in chosen.items()
        }


def name_values(problem: Problem, step: Step, layers: tuple[Derivatives, ...]) -> dict[str, float]:
    """Every quantity of the last example by the name it is printed with, such as dE/dnet_o1."""
    rows = {"i": problem.inputs[-1], "t": problem.targets[-1], "b": problem.biases}
    values = {f"{k}{j}": float(v) for k, row in rows.items() for j, v in enumerate(row, 1)}
    number = itertools.count(1)
    parts = zip("ho"[-len(layers) :], problem.weights, step.net, step.out, layers, strict=True)
    for letter, w, net, out, d in parts:
        for j in range(w.shape[1]):
            n = f"{letter}{j + 1}"
            values |= {f"net_{n}": net[-1, j], f"out_{n}": out[-1, j]}
            values |= {f"dE/dout_{n}": d.de_dout[-1, j], f"dE/dnet_{n}": d.de_dnet[-1, j]}
            values[f"dout_{n}/dnet_{n}"] = d.dout_dnet[-1, j]
            for i in range(w.shape[0]):
                k = next(number)
                values |= {f"w{k}": w[i, j], f"dE/dw{k}": d.de_dw[i, j]}
    return values


def _number(value: float, digits: int = 8) -> str:
    """A number to be read inside a formula."""
    return f"({value:.{digits}g})" if value < 0 else f"{value:.{digits}g}"
