"""Memory over hundreds of steps: the adding problem, with -m slow.

Each step has a number in [0, 1] and a marker, which is 1 at one step of each half; the target is
the sum of the two marked numbers. Hochreiter and Schmidhuber (1997), "Long short-term memory",
experiment 4, in the form of Arjovsky, Shah, Bengio (2016), section 5.2. The mean predicts it with
a mean squared error of 1/6.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnet as jn
from jaxnet import nn


@dataclasses.dataclass(frozen=True)
class AddingProblem:
    """A source of batches that are drawn when they are needed; the data hold nothing."""

    time: int
    batch_size: int
    steps: int
    per_run: bool = False

    def num_steps(self, data: Any) -> int:
        return self.steps

    def plan(self, data: Any, key: jax.Array, epoch: Any) -> Any:
        return jax.random.fold_in(key, epoch)

    def take(self, data: Any, plan: Any, index: Any) -> Any:
        return self.draw(jax.random.fold_in(plan, index), self.batch_size)

    def draw(self, key: jax.Array, count: int) -> Any:
        value_key, *marker_keys = jax.random.split(key, 3)
        numbers = jax.random.uniform(value_key, (count, self.time))
        half = self.time // 2
        markers = [
            jax.nn.one_hot(jax.random.randint(key, (count,), start, start + half), self.time)
            for key, start in zip(marker_keys, (0, half), strict=True)
        ]
        marker = markers[0] + markers[1]
        return {"x": jnp.stack([numbers, marker], axis=-1), "y": (numbers * marker).sum(axis=-1)}


def errors(time: int, *, hidden_dim: int, num_steps: int, num_seeds: int) -> np.ndarray:
    """Mean squared errors of networks of several seeds, trained in one program."""
    problem = AddingProblem(time, 32, num_steps)
    # The state of a layer without training changes over a fifth of the steps.
    gate_bias = -math.log(time / 5)
    dims = [2, hidden_dim, hidden_dim, 1]
    network = nn.rnn(dims, cell=lambda *sizes: nn.min_gru(*sizes, gate_bias=gate_bias))
    objective = jn.regression(network)
    rate = optax.warmup_cosine_decay_schedule(0.0, 0.01, num_steps // 20, num_steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    @jax.jit
    @jax.vmap
    def run(key):
        learner = jn.gradient_learner(network.init, objective, optimizer)
        state, _ = jn.fit(learner, key, {"x": jnp.zeros(1)}, batches=problem, num_epochs=1)
        test = problem.draw(jax.random.key(1), 2000)
        return objective(state.params, test, None)[0]

    return np.asarray(run(jax.random.split(jax.random.key(0), num_seeds)))


def test_the_mean_has_an_error_of_one_sixth():
    batch = AddingProblem(20, 1, 1).draw(jax.random.key(0), 4000)
    assert abs(np.var(batch["y"]) - 1 / 6) < 0.01
    assert (batch["x"][..., 1].sum(axis=-1) == 2).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("time", "hidden_dim", "num_steps", "num_seeds"), ((100, 64, 2000, 3), (400, 32, 2500, 2))
)
def test_the_adding_problem_is_learned(time, hidden_dim, num_steps, num_seeds):
    found = errors(time, hidden_dim=hidden_dim, num_steps=num_steps, num_seeds=num_seeds)
    print(f"\nT = {time}, {num_steps} steps: mean squared errors {found}")
    assert (found < 1e-3).all()
