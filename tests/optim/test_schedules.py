"""Learning-rate schedules by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: jn.schedule("cosin", 1.0, num_steps=2), "did you mean cosine"),
        (lambda: jn.schedule("cosine", -1.0, num_steps=2), "peak must be greater than 0"),
        (lambda: jn.schedule("cosine", 1.0, num_steps=0), "num_steps must be at least 1, found 0"),
        (lambda: jn.schedule("cosine", 1.0, num_steps=2, final_fraction=0.0), "final_fraction"),
        (lambda: jn.schedule("cosine", 1.0, num_steps=2, warmup_fraction=1.0), "warmup_fraction"),
    ],
)
def test_errors_name_the_argument(build, message):
    with pytest.raises(ValueError, match=message):
        build()


EXPECTED = {
    "constant": lambda step: 1.0,
    "cosine": lambda step: 0.01 + 0.99 * (1 + np.cos(np.pi * step / 100)) / 2,
    "warmup_cosine": lambda step: (
        step / 10 if step < 10 else 0.01 + 0.99 * (1 + np.cos(np.pi * (step - 10) / 90)) / 2
    ),
    "exponential": lambda step: 0.01 ** (step / 100),
    "step": lambda step: 1.0 if step < 50 else 0.1 if step < 75 else 0.01,
}


@pytest.mark.parametrize("name", jn.optim.schedule_names())
def test_schedules_equal_their_formulas(name):
    steps = np.arange(101)
    rates = jax.jit(jax.vmap(jn.schedule(name, 0.5, num_steps=100)))(steps)
    expected = [0.5 * EXPECTED[name](step) for step in steps]
    np.testing.assert_allclose(rates, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", jn.optim.schedule_names())
def test_schedules_scale_with_a_traced_peak(name):
    steps = jnp.arange(101)

    def rates(peak):
        return jax.vmap(jn.schedule(name, peak, num_steps=100))(steps)

    one, two = jax.jit(jax.vmap(rates))(jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-6)
    assert float(one.max()) == pytest.approx(1.0)
    last = {"constant": 1.0, "step": 0.01}.get(name, 0.01)
    assert float(one[-1]) == pytest.approx(last, rel=1e-4)
