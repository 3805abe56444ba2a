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
import textwrap
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


def _number(value: float, digits: int = 8) -> str:
    """A number to be read inside a formula."""
    return f"({value:.{digits}g})" if value < 0 else f"{value:.{digits}g}"


def _table(heads: list[str], *columns: np.ndarray) -> str:
    """Columns [examples, n] side by side under their names, one row per example."""
    rows = [heads, *([f"{number:.7g}" for number in row] for row in np.hstack(columns))]
    return "\n".join("".join(f"{cell:>12}" for cell in row) for row in rows)


def render(result: Result) -> str:
    """The example as plain text of at most 100 columns, to be followed with a pencil."""
    example, rate, steps, reference, difference = result
    problem, step, last, values = example.problem, steps[0], max(steps), {}
    count, letters = len(problem.inputs), "iho" if len(step.weights) == 2 else "io"
    sizes = [problem.inputs.shape[1], *(w.shape[1] for w in step.weights)]
    neurons = [[f"{c}{j}" for j in range(1, n + 1)] for c, n in zip(letters, sizes, strict=True)]
    below = [neurons[0], *([f"out_{n}" for n in layer] for layer in neurons[1:])]
    targets = [f"t{k}" for k in range(1, sizes[-1] + 1)]
    number = itertools.count(1)
    w_names = [[[f"w{next(number)}" for _ in b] for _ in n] for b, n in zip(below, neurons[1:])]
    all_w = [name for layer in w_names for unit in layer for name in unit]
    flat = lambda weights: [v for w in weights for v in w.T.ravel()]
    values |= dict(zip(neurons[0] + targets, [*problem.inputs[-1], *problem.targets[-1]]))
    values |= dict(zip(all_w, flat(step.weights))) | {
        "b1": problem.biases[0],
        "b2": problem.biases[-1],
    }
    page = ["=" * 99, example.title, "=" * 99, ""]

    def listed(names, numbers):
        pairs = [
            f"{name} = {number:.12g}".replace(" ", "\0") for name, number in zip(names, numbers)
        ]
        return textwrap.fill(
            ",  ".join(pairs), 98, initial_indent="  ", subsequent_indent="  "
        ).replace("\0", " ")

    def show(name, symbols, value, by_jax=None, filled=""):
        """One quantity in symbols, in numbers, its value, and the value that jax.grad gives."""
        values[name] = value
        fill = lambda match: _number(values[match[0]]) if match[0] in values else match[0]
        filled = filled or re.sub(r"d\w+/d\w+|\w+", fill, symbols.rpartition(" = ")[2])
        page.append(f"  {name:<15} = {symbols}")
        if len(filled) > 41:
            page.append(f"{'':18}= {filled}")
            filled = ""
        check = "" if by_jax is None else f"   {by_jax:.12g}"
        page.append(f"{'':18}{'=' if filled else ' '} {filled:<41} = {value:<17.12g}{check}")

    page += [
        "START.  i: inputs, t: targets, which are given; w: weights, which are to be learned.",
        "",
    ]
    page += [
        _table(neurons[0] + targets, problem.inputs, problem.targets),
        "",
        listed(all_w, flat(step.weights)),
    ]
    if any(problem.biases):
        page += [listed(["b1", "b2"], problem.biases) + "  (biases, which stay as they are)"]
    page += [
        "",
        example.network,
        "",
        "1. FORWARD.  A neuron multiplies each input by its weight and adds up: that is net.",
        "Then out = 1 / (1 + exp(-net)), the logistic function, brings it between 0 and 1.",
        f"Written out for the last of the {count} examples, all of which follow in a table."
        if count > 1
        else "",
        "",
    ]
    for layer, (w, net, out) in enumerate(zip(step.weights, step.net, step.out)):
        for j, n in enumerate(neurons[layer + 1]):
            terms = [f"{a}*{b}" for a, b in zip(w_names[layer][j], below[layer])]
            terms += [f"b{layer + 1}"] if any(problem.biases) else []
            show(f"net_{n}", " + ".join(terms), net[-1, j])
            show(f"out_{n}", f"1 / (1 + exp(-net_{n}))", out[-1, j])
    if count > 1:
        page += [
            "",
            _table(
                neurons[0] + [f"out_{n}" for layer in neurons[1:] for n in layer],
                problem.inputs,
                *step.out,
            ),
        ]
    page += [
        "",
        "2. ERROR.  Half the squared distance from the targets: each output's part, and their sum.",
        "",
    ]
    parts = (problem.targets - step.out[-1]) ** 2 / 2
    for k, n in enumerate(neurons[-1]):
        show(f"E_{n}", f"(t{k + 1} - out_{n})^2 / 2", parts[-1, k])
    every = " + ".join(_number(v) for v in parts.ravel())
    show(
        "E",
        " + ".join(f"E_{n}" for n in neurons[-1])
        + (f", summed over the {count} examples" if count > 1 else ""),
        step.error,
        filled=every,
    )
    page += ["", "3. BACKWARD"]
    return "\n".join(page)
