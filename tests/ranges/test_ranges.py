"""Every argument that is a number with a range is checked, whatever kind of number it is."""

import inspect
import math
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import (
    autoencoders,
    boltzmann,
    calibration,
    clustering,
    metrics,
    nn,
    objectives,
    optim,
    recommendation,
    training,
)
from tests.ranges import (
    counts_of_models,
    counts_of_sequences,
    counts_of_training,
    numbers_of_calibration,
    of_few_labels,
    of_recommendation,
    real_numbers,
)

COUNTS = (
    counts_of_models.COUNTS
    | counts_of_sequences.COUNTS
    | counts_of_training.COUNTS
    | of_few_labels.COUNTS
    | numbers_of_calibration.COUNTS
    | of_recommendation.COUNTS
)
NUMBERS = (
    real_numbers.NUMBERS
    | of_few_labels.NUMBERS
    | numbers_of_calibration.NUMBERS
    | of_recommendation.NUMBERS
)
PACKAGES = (
    nn,
    optim,
    objectives,
    autoencoders,
    boltzmann,
    calibration,
    clustering,
    metrics,
    recommendation,
    training,
)
# Numbers without a range, and those that have another name in a message.
FREE = {
    ("transform_images", "rotation"),
    ("per_run", "batches"),
    ("rating_matrix", "missing"),
    ("nab_score", "threshold"),
    ("select_members", "indices"),
}
# Their arguments cannot be traced: the shape of a schedule is static, and scores are on the host.
STATIC = {
    (optim.schedule, "warmup_fraction"),
    (optim.schedule, "final_fraction"),
    (metrics.nab_score, "probation"),
    (calibration.min_calibration_size, "coverage"),
    (calibration.coverage_distribution, "coverage"),
}
KINDS = {
    "python": lambda value: value,
    "numpy": lambda value: (np.int64 if isinstance(value, int) else np.float32)(value),
    "jax": lambda value: (jnp.int32 if isinstance(value, int) else jnp.float32)(value),
}


@pytest.fixture(autouse=True)
def whole_tracebacks():
    """JAX takes longer to shorten the traceback of an error than this package to raise it."""
    before = jax.config.jax_traceback_filtering
    jax.config.update("jax_traceback_filtering", "off")
    yield
    jax.config.update("jax_traceback_filtering", before)


pytestmark = pytest.mark.usefixtures("as_users_run")


def names(entry):
    return ".".join((entry[0].__name__, entry[1]))


@pytest.mark.parametrize("entry", NUMBERS, ids=names)
def test_numbers_outside_their_range_raise(entry):
    call, good, bad = NUMBERS[entry]
    for kind in KINDS.values():
        for value in good:
            call(kind(value))
        for value in (*bad, math.nan):
            with pytest.raises(ValueError, match=rf"{entry[1]} must .*, found {value:g}"):
                call(kind(value))
    many = jnp.array([good[0], bad[0]])
    if entry[0] not in (metrics.cost_threshold, metrics.threshold_at_false_positive_rate):
        with pytest.raises(ValueError, match=rf"{entry[1]} must .*at index \(1,\)"):
            call(many)
    for wrong in ("0.5", True, np.bool_(True), [good[0]]):
        with pytest.raises(TypeError, match=rf"{entry[1]} must be a number in .*, found"):
            call(wrong)


@pytest.mark.parametrize("entry", [entry for entry in NUMBERS if entry not in STATIC], ids=names)
def test_traced_numbers_pass(entry):
    call, _, bad = NUMBERS[entry]

    def run(value):
        call(value)
        return value

    assert jax.eval_shape(run, jnp.float32(bad[0])).shape == ()


@pytest.mark.parametrize("entry", COUNTS, ids=names)
def test_counts_are_integers_in_their_range(entry):
    call, good, bad = COUNTS[entry]
    for kind in KINDS.values():
        call(kind(good))
        with pytest.raises(ValueError, match=rf"{entry[1]} must .*, found .*{bad}"):
            call(kind(bad))
        for wrong in (2.5, math.nan):
            with pytest.raises(TypeError, match=rf"{entry[1]} must .*integer.*, found"):
                call(kind(wrong))
    for wrong in ("2", True, np.bool_(True)):
        with pytest.raises(TypeError, match=rf"{entry[1]} must .*integer.*, found"):
            call(wrong)


def test_every_argument_that_is_a_number_is_in_the_tables():
    """Arguments are numbers if their annotation is, or holds, `int` or `float`."""
    checked = {(function.__name__, argument) for function, argument in (*NUMBERS, *COUNTS)} | FREE
    missing = [
        f"{name}({argument}: {parameter.annotation})"
        for package in PACKAGES
        for name in package.__all__
        if inspect.isfunction(function := inspect.unwrap(getattr(package, name)))
        for argument, parameter in inspect.signature(function).parameters.items()
        if any(
            kind in (int, float)
            for kind in (parameter.annotation, *typing.get_args(parameter.annotation))
        )
        and (name, argument) not in checked
    ]
    assert not missing
