"""Fixtures of the tests of estimators."""

import collections

import pytest

from jaxnet.estimators import _programs


@pytest.fixture
def traces(monkeypatch):
    """How often programs of estimators are traced, by what each of them calls once."""
    # A program that another test of this process has used would not be traced.
    for program in (
        _programs.fit_program,
        _programs.continue_program,
        _programs._prediction_program,
    ):
        program.cache_clear()
    counts = collections.Counter()

    def counting(name, function):
        def call(*arguments, **options):
            counts[name] += 1
            return function(*arguments, **options)

        return call

    for name in ("build_learner", "predict"):
        monkeypatch.setattr(_programs, name, counting(name, getattr(_programs, name)))
    return counts
