"""Learning-rate schedules by name."""

import operator

import optax
from jax.typing import ArrayLike

from jaxnet._checks import require_above_zero, require_positive, require_range
from jaxnet.optim._names import require_name


def schedule(
    name: str,
    peak: ArrayLike,
    *,
    num_steps: int,
    warmup_fraction: float = 0.1,
    final_fraction: float = 0.01,
) -> optax.Schedule:
    """A learning-rate schedule by name, from the step to the learning rate.

    | name | rate over the run |
    |---|---|
    | `constant` | the peak |
    | `cosine` | half a cosine from the peak to `final_fraction` of it |
    | `warmup_cosine` | linear from 0 to the peak during `warmup_fraction`, then cosine |
    | `exponential` | geometric from the peak to `final_fraction` of it |
    | `step` | the peak, a tenth of it after half, a hundredth after three quarters of the run |

    The cosine is that of Loshchilov and Hutter (2017), "SGDR: stochastic gradient descent with warm
    restarts", eq. 5, without restarts; the warmup that of Goyal et al. (2017), "Accurate, large
    minibatch SGD", section 2.2.

    Args:
        name: one of the names above.
        peak: the largest rate, above 0; may be traced.
        num_steps: number of steps of the run.
        warmup_fraction: fraction of the steps that warm up, in (0, 1).
        final_fraction: last rate over the peak, in (0, 1].

    Returns:
        A function from the step to the rate.

    Raises:
        TypeError: a number of steps that is not an integer, another argument that is not a number.
        ValueError: an unknown name (the nearest are suggested), a peak or number of steps that is
            not positive, a fraction out of range.

    >>> rate = schedule("warmup_cosine", 0.5, num_steps=100)
    >>> [round(float(rate(step)), 3) for step in (0, 10, 55, 100)]
    [0.0, 0.5, 0.252, 0.005]
    """
    require_name("schedule", name, schedule_names())
    require_above_zero("schedule", peak=peak)
    require_positive("schedule", num_steps=num_steps)
    require_range(
        "schedule", "warmup_fraction", warmup_fraction, 0, 1, include_low=False, include_high=False
    )
    require_range("schedule", "final_fraction", final_fraction, 0, 1, include_low=False)
    num_steps = operator.index(num_steps)
    # Optax compares some peaks in Python, so the shape has peak 1 and the factor may be traced.
    if name == "cosine":
        shape = optax.cosine_decay_schedule(1.0, num_steps, alpha=final_fraction)
    elif name == "warmup_cosine":
        warmup = max(1, round(warmup_fraction * num_steps))
        shape = optax.warmup_cosine_decay_schedule(
            0.0, 1.0, warmup, max(num_steps, warmup + 1), end_value=final_fraction
        )
    elif name == "exponential":
        shape = optax.exponential_decay(1.0, num_steps, final_fraction)
    elif name == "step":
        shape = optax.piecewise_constant_schedule(
            1.0, {num_steps // 2: 0.1, max(num_steps * 3 // 4, num_steps // 2 + 1): 0.1}
        )
    else:
        shape = optax.constant_schedule(1.0)
    return lambda count: peak * shape(count)


def schedule_names() -> tuple[str, ...]:
    """Names that `schedule` takes.

    Returns:
        The names, from the simplest schedule on.

    >>> schedule_names()
    ('constant', 'cosine', 'warmup_cosine', 'exponential', 'step')
    """
    return ("constant", "cosine", "warmup_cosine", "exponential", "step")
