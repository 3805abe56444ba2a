"""A backpropagation step written out: symbols, the same with numbers, the value."""

import re

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.backpropagation.chain_rule import Problem, backpropagate, error, gradients_of_jax


class _Page:
    """Lines of a derivation. Names with known values are filled into the formulas that use them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.known: dict[str, np.ndarray] = {}

    def give(self, name: str, value: Array) -> None:
        self.known[name] = np.atleast_1d(np.asarray(value))

    def derive(self, name: str, formula: str, value: Array, check: str = "") -> None:
        """`name = formula = the formula with numbers = value`; several examples make a list."""
        self.give(name, value)
        values = self.known[name]
        line = f"  {name:<18} = {formula}"
        names = sorted(set(re.findall(r"d\w+/d\w+|[a-z]\w*", formula)) & set(self.known))
        if all(self.known[part].size == 1 for part in names) and names:
            pattern = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
            filled = re.sub(
                rf"(?<![\w/])({pattern})(?!\w)", lambda m: f"{self.known[m[0]][0]:.6g}", formula
            )
            line += f"\n{'':20} = {filled}"
        self.lines.append(f"{line}\n{'':20} = {format_numbers(values)}{check}")

    def heading(self, text: str) -> None:
        self.lines += ["", text]


def format_numbers(values: np.ndarray) -> str:
    values = np.ravel(values)
    if values.size == 1:
        return f"{values[0]:.15g}"
    return "[" + "  ".join(f"{value:.8f}" for value in values) + "]"


def _names(problem: Problem) -> tuple[list[list[str]], list[np.ndarray]]:
    """Names of the neurons by layer (inputs first), and of the weights, shaped as the weights."""
    letters = ["i", *(["h"] if len(problem.weights) == 2 else []), "o"]
    sizes = [problem.inputs.shape[1], *(weights.shape[1] for weights in problem.weights)]
    neurons = [
        [f"{letter}{unit + 1}" for unit in range(size)]
        for letter, size in zip(letters, sizes, strict=True)
    ]
    weight_names, count = [], 0
    for weights in problem.weights:
        # Numbered as Mazur does: all weights into the first neuron, then into the second.
        numbers = np.arange(count, count + weights.size).reshape(weights.shape[::-1]).T + 1
        weight_names.append(np.char.add("w", numbers.astype(str)))
        count += weights.size
    return neurons, weight_names


def derivation(problem: Problem, learning_rate: float) -> list[str]:
    """The first step, line by line: forward, error, backward, update."""
    page, layers = _Page(), backpropagate(problem)
    neurons, weights = _names(problem)
    signals = [neurons[0], *([f"out_{name}" for name in layer] for layer in neurons[1:])]
    for name, column in zip(neurons[0], problem.inputs.T, strict=True):
        page.give(name, column)
    for index, (names, values) in enumerate(zip(weights, problem.weights, strict=True)):
        page.give(f"b{index + 1}", jnp.asarray(problem.biases[index]))
        for name, value in zip(names.ravel(), values.ravel(), strict=True):
            page.give(name, value)

    page.heading("Forward: each neuron weighs its inputs, and the logistic function squashes them")
    for index, layer in enumerate(layers):
        for unit, name in enumerate(neurons[index + 1]):
            pairs = zip(weights[index][:, unit], signals[index], strict=True)
            terms = [f"{weight}*{signal}" for weight, signal in pairs]
            terms += [f"b{index + 1}"] if problem.biases[index] else []
            page.derive(f"net_{name}", " + ".join(terms), layer.net[:, unit])
            page.derive(f"out_{name}", f"1/(1 + exp(-net_{name}))", layer.out[:, unit])

    page.heading("Error: half the squared distance to the target, summed")
    for unit, name in enumerate(neurons[-1]):
        target = problem.targets[:, unit]
        page.give(f"t{unit + 1}", target)
        part = (target - layers[-1].out[:, unit]) ** 2 / 2
        page.derive(f"E_{name}", f"(t{unit + 1} - out_{name})^2/2", part)
    page.derive("E", f"sum of {', '.join(f'E_{name}' for name in neurons[-1])}", error(problem))

    reference = gradients_of_jax(problem)
    for index in reversed(range(len(layers))):
        layer, last = layers[index], index == len(layers) - 1
        page.heading(f"Backward, layer {index + 1}: how E changes with each weight")
        for unit, name in enumerate(neurons[index + 1]):
            formula = f"out_{name} - t{unit + 1}"
            if not last:
                pairs = zip(neurons[index + 2], weights[index + 1][unit], strict=True)
                formula = " + ".join(f"dE/dnet_{after}*{weight}" for after, weight in pairs)
            slope = f"dout_{name}/dnet_{name}"
            page.derive(f"dE/dout_{name}", formula, layer.de_dout[:, unit])
            page.derive(slope, f"out_{name}*(1 - out_{name})", layer.dout_dnet[:, unit])
            page.derive(f"dE/dnet_{name}", f"dE/dout_{name}*{slope}", layer.de_dnet[:, unit])
            for row, weight in enumerate(weights[index][:, unit]):
                formula = f"dE/dnet_{name}*{signals[index][row]}"
                formula += " summed over the examples" if len(problem.inputs) > 1 else ""
                check = f"   (jax.grad: {reference[index][row, unit]:.15g})"
                page.derive(f"dE/d{weight}", formula, layer.de_dw[row, unit], check)

    page.heading(f"Update: w - {learning_rate:g} dE/dw, all weights at once")
    for index, layer in enumerate(layers):
        columns = (weights[index].T, problem.weights[index].T, layer.de_dw.T)
        for name, weight, slope in zip(*(column.ravel() for column in columns), strict=True):
            formula = f"{name} - {learning_rate:g}*dE/d{name}"
            page.derive(f"new {name}", formula, weight - learning_rate * slope)
    return page.lines
