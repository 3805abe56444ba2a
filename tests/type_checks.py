"""The checks of shapes and types of all calls, by beartype.

jaxtyping asks for them where a function is defined, twice for each: for the parameters and for the
result. beartype would write a program for each, about 1 ms; most functions are never called, and
those inside another one are defined again at each call of it.
"""

import os
import typing

import beartype

_EAGER = os.environ.get("JAXNET_TEST_PLAIN_FLAGS") == "1"
_SIMPLE = (type(None), bool, int, float, str)
_written = {}


def check(function):
    """The function with checks, which are written at its first call and once for equal ones.

    Args:
        function: has annotations and a body that returns an argument or nothing, as jaxtyping makes
            them; what it is called with decides all that it does.
    """
    if _EAGER:
        return beartype.beartype(function)
    checked = None

    def call(*arguments, **options):
        __tracebackhide__ = True
        nonlocal checked
        if checked is None:
            checked = _checked(function)
        return checked(*arguments, **options)

    return call


def _checked(function):
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    # Others may be large, or freed in a test.
    if not all(type(value) in _SIMPLE for value in defaults):
        return beartype.beartype(function)
    key = (
        function.__module__,
        function.__qualname__,
        function.__code__,
        tuple((name, _meaning(value)) for name, value in function.__annotations__.items()),
        tuple((type(value), value) for value in defaults),
    )
    if key not in _written:
        _written[key] = beartype.beartype(function)
    return _written[key]


def _meaning(annotation):
    """Equal for equal annotations: jaxtyping makes another type each time that one is written."""
    if isinstance(annotation, list):
        return tuple(map(_meaning, annotation))
    if hasattr(annotation, "dim_str"):
        return annotation.dtype, _meaning(annotation.array_type), annotation.dim_str
    parts = typing.get_args(annotation)
    if parts:
        return (typing.get_origin(annotation), *map(_meaning, parts))
    return type(annotation), annotation
