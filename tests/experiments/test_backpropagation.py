"""The golden numbers of the two worked examples, and the derivatives by another route."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.backpropagation import experiment as backpropagation
from experiments.backpropagation.chain_rule import (
    backpropagate,
    error,
    forward,
    gradients_of_jax,
    largest_difference,
    train,
)
from experiments.backpropagation.derivation import derivation
from experiments.backpropagation.experiment import EXAMPLES, Config, run
from experiments.command import main

EXACT = {"rtol": 1e-12}


def mazur_weights(problem):
    return np.concatenate([np.ravel(weights.T) for weights in problem.weights])


def test_mazur_first_step(x64):
    example = EXAMPLES["mazur"]()
    out = forward(example.problem)[-1][1]
    np.testing.assert_allclose(error(example.problem), 0.298371108760003, **EXACT)
    np.testing.assert_allclose(out[0], [0.751365069552316, 0.772928465321463], **EXACT)
    first, second = backpropagate(example.problem)
    np.testing.assert_allclose(second.de_dw[0, 0], 0.0821670405642308, **EXACT)
    np.testing.assert_allclose(first.de_dw[0, 0], 0.000438567734474347, **EXACT)
    updated = train(example.problem, 0.5, 1)
    expected = [0.149780716132763, 0.199561432265526, 0.249751143632370, 0.299502287264739]
    expected += [0.358916479717885, 0.408666186076233, 0.511301270238738, 0.561370121107989]
    np.testing.assert_allclose(mazur_weights(updated), expected, **EXACT)
    np.testing.assert_allclose(error(updated), 0.29102777369359933, **EXACT)


def test_mazur_after_ten_thousand_updates(x64):
    example = EXAMPLES["mazur"]()
    trained = train(example.problem, example.learning_rate, example.num_steps)
    np.testing.assert_allclose(error(trained), 3.510187782978859e-05, **EXACT)
    out = forward(trained)[-1][1][0]
    np.testing.assert_allclose(out, [0.01591362044355068, 0.98406427351462], **EXACT)
    # One of the two figures that circulate, and why it differs.
    early = train(example.problem, example.learning_rate, example.num_steps - 1)
    assert f"{float(error(early)):.10f}" == "0.0000351085"


def test_trask_two_layers(x64):
    example = EXAMPLES["trask_two_layers"]()
    before_last = train(example.problem, 1.0, 9_999)
    expected = [0.00966449, 0.00786506, 0.99358898, 0.99211957]
    np.testing.assert_allclose(forward(before_last)[-1][1][:, 0], expected, atol=5e-9, rtol=0)
    trained = train(before_last, 1.0, 1)
    expected = [9.67299303, -0.2078435, -4.62963669]
    np.testing.assert_allclose(trained.weights[0][:, 0], expected, atol=5e-9, rtol=0)


def test_trask_three_layers(x64):
    example = EXAMPLES["trask_three_layers"]()
    expected = [0.496410031903, 0.00858452565325, 0.00578945986251]
    expected += [0.00462917677677, 0.00395876528027, 0.00351012256786]
    problem, found = example.problem, []
    for _ in expected:
        out = forward(problem)[-1][1]
        found.append(jnp.mean(jnp.abs(problem.targets - out)))
        problem = train(problem, 1.0, 10_000)
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("name", EXAMPLES)
def test_derivatives_equal_jax_grad_and_finite_differences(name, x64):
    problem = EXAMPLES[name]().problem
    assert largest_difference(problem) < 1e-12
    for layer, weights in enumerate(problem.weights):
        for index in np.ndindex(weights.shape):

            def at(step, layer=layer, index=index):
                changed = list(problem.weights)
                changed[layer] = changed[layer].at[index].add(step)
                return error(problem._replace(weights=tuple(changed)))

            slope = (at(1e-5) - at(-1e-5)) / 2e-5
            np.testing.assert_allclose(backpropagate(problem)[layer].de_dw[index], slope, rtol=1e-6)


def test_every_printed_formula_gives_the_printed_value(x64):
    """The derivation with numbers filled in, evaluated by Python, is the value beneath it."""
    lines = derivation(EXAMPLES["mazur"]().problem, 0.5)
    checked = 0
    for entry in lines:
        rows = [row.split("=", 1)[1].strip() for row in entry.splitlines() if "=" in row]
        if len(rows) < 3:
            continue
        terms = rows[1].replace("exp", "np.exp").replace("^", "**")
        assert set(terms) <= set("0123456789.+-*/() enpx"), terms
        found = _evaluate(terms)
        assert found == pytest.approx(float(rows[2].split()[0]), rel=2e-5, abs=1e-9), entry
        checked += 1
    assert checked == 8 + 2 + 12 + 8 + 8


def _evaluate(terms):
    """Value of an arithmetic expression of numbers, by walking its syntax tree."""
    import ast
    import operator

    binary = {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.Pow: operator.pow,
    }

    def value(node):
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.BinOp):
            return binary[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.UnaryOp):
            return -value(node.operand)
        assert isinstance(node, ast.Call)
        return np.exp(value(node.args[0]))

    return value(ast.parse(terms, mode="eval").body)


def test_the_command_prints_steps_and_learning(capsys):
    run(Config(example="all", num_steps=10))
    text = capsys.readouterr().out
    for part in ("0.0821670405642308   (jax.grad:", "summed over the examples", "9 999 updates"):
        assert part in text
    assert text.count("largest relative difference from jax.grad") == 3
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--learning-rate", "0"],
            "learning_rate must be greater than 0 and finite, or None, found 0.0",
        ),
        (
            ["--learning-rate", "nan"],
            "learning_rate must be greater than 0 and finite, or None, found nan",
        ),
        (["--num-steps", "0"], "num_steps must be an integer in [1, 2147483648), or None, found 0"),
    ],
)
def test_mistakes_are_one_line(options, message, capsys):
    assert main(backpropagation, options) == 2
    remedy = "leave it out to use the default"
    assert capsys.readouterr().err == f"error: {message}; {remedy}\n"


def test_a_wrong_derivative_is_an_error(monkeypatch, capsys):
    def wrong(problem):
        return tuple(gradient * 1.001 for gradient in gradients_of_jax(problem))

    monkeypatch.setattr("experiments.backpropagation.chain_rule.gradients_of_jax", wrong)
    assert main(backpropagation, ["--num-steps", "1"]) == 1
    assert "derivatives differ from jax.grad by 1.0e-03" in capsys.readouterr().err
