"""Checks of types that are written late and once refuse what beartype refuses."""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, Int, PyTree, TypeCheckError, jaxtyped

import jaxnet as jn
from tests import type_checks

OTHERS = (
    Float[Array, "a b"],
    Float[np.ndarray, " a"],
    Int[Array, " a"],
    Float[Array, "a b"] | None,
    Int[Array, " a"] | None,
    list[Float[Array, " a"]],
    dict[str, Float[Array, " a"]],
    Callable[[Float[Array, " a"]], None],
    Literal["x"],
    Literal["y"],
    PyTree[Int[Array, " a"]],
)


def define(annotation, default=1.0, offset=0.0):
    """A function that is defined at each call of another, as those of networks are."""

    @jaxtyped(typechecker=type_checks.check)
    def add(x: annotation, y: float = default) -> Float[Array, "3"]:
        return x + y + offset

    return add


@pytest.fixture
def written(monkeypatch):
    """The functions whose checks are written."""
    monkeypatch.setattr(type_checks, "_EAGER", False)
    monkeypatch.setattr(type_checks, "_written", {})
    return type_checks._written


def test_wrong_calls_are_refused_the_first_time_and_later(written):
    add = define(Float[Array, " a"])
    assert not written
    for _ in range(2):
        with pytest.raises(TypeCheckError, match=r"parameters of .*add"):
            add(jnp.ones((3, 1)))
        with pytest.raises(TypeCheckError, match=r"return value of .*add"):
            add(jnp.ones(2))
        with pytest.raises(TypeCheckError, match=r"parameters of .*add"):
            add(jnp.ones(3), "2")
        assert add(jnp.ones(3)).tolist() == [2.0] * 3


def test_equal_functions_share_checks_and_nothing_else(written):
    first, second = define(Float[Array, " a"]), define(Float[Array, " a"], offset=1.0)
    assert first(jnp.ones(3)).tolist() == [2.0] * 3 and len(written) == 2
    assert second(jnp.ones(3)).tolist() == [3.0] * 3 and len(written) == 2
    # Another annotation or default is another function, which fails at its parameters.
    assert define(Float[Array, " a"], default=2.0)(jnp.ones(3)).tolist() == [3.0] * 3
    assert len(written) == 4
    for annotation in OTHERS:
        with pytest.raises(TypeCheckError, match=r"parameters of .*add"):
            define(annotation)(jnp.ones(3))


def test_a_default_that_may_be_large_is_not_kept(written):
    define(Float[Array, " a"], default=np.float64(1.0))(jnp.ones(3))
    define(Float[Array, " a"], default=np.zeros(3))
    assert all(type(value) is float for *_, defaults in written for _, value in defaults)


def test_functions_of_the_library_are_checked():
    with pytest.raises(TypeCheckError, match=r"parameters of jaxnet.nn"):
        jn.dense(2, 3).apply(jn.dense(2, 3).init(None), jnp.ones((1, 2)))
