"""Compiled functions that live as long as what they were compiled for.

A static argument of a module's `jax.jit` lives in JAX's cache until the process ends, with all data
and parameters that it closes over. Here the compiled function is an attribute of its owner and
refers to the owner weakly, so both are freed together.
"""

import functools
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import jax

_ATTRIBUTE = "_jaxnet_compiled"
# Programs of one owner that are kept, for owners that serve many callers.
_LIMIT = 16


def compiled_for(
    owner: Any, build: Callable[..., Any], *static: Hashable, **options: Any
) -> Callable[..., Any]:
    """`jax.jit` of `build(owner, *static, ...)`, the same one for the same owner and options.

    Args:
        owner: a function, a method, or another value, such as `network.apply` or a network.
        build: a function of a module, `build(owner, *static, *arrays, **options)`.
        static: hashable arguments after the owner.
        options: hashable keyword arguments.

    Returns:
        A function of the arrays.

    >>> def scaled(function, factor, x):
    ...     return factor * function(x)
    >>> def square(x):
    ...     return x**2
    >>> float(compiled_for(square, scaled, 3)(2.0))
    12.0
    >>> compiled_for(square, scaled, 3) is compiled_for(square, scaled, 3)
    True
    """
    return _kept_for(owner, build, static, options)


def traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is traced once for arguments of the same types, wherever it is called.

    What it computes becomes part of the program that calls it, as without this.

    Args:
        function: a function of arrays, such as `learner.step`.

    Returns:
        The same function of the same function.

    >>> def square(x):
    ...     return x**2
    >>> traced_once(square) is traced_once(square), int(traced_once(square)(3))
    (True, 9)
    """
    return _kept_for(function, _call, (), {}, inline=True)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _kept_for(
    owner: Any,
    build: Callable[..., Any],
    static: tuple[Hashable, ...],
    options: dict[str, Any],
    *,
    inline: bool = False,
) -> Callable[..., Any]:
    instance = getattr(owner, "__self__", None)
    name = getattr(owner, "__name__", None)
    is_method = instance is not None and getattr(instance, str(name), None) == owner
    holder = instance if is_method else owner
    key = (name if is_method else None, build, static, tuple(sorted(options.items())))
    try:
        programs = _programs(holder)
        reference = weakref.ref(holder)
    except (AttributeError, TypeError):
        # Neither attributes nor weak references, such as a builtin: compiled at each call.
        return jax.jit(functools.partial(build, owner, *static, **options), inline=inline)
    if key not in programs:

        def call(*arrays: Any) -> Any:
            target = reference()
            function = getattr(target, str(name)) if is_method else target
            return build(function, *static, *arrays, **options)

        programs[key] = jax.jit(call, inline=inline)
    programs.move_to_end(key)
    if len(programs) > _LIMIT:
        programs.popitem(last=False)
    return programs[key]


def _programs(holder: Any) -> "OrderedDict[Hashable, Callable[..., Any]]":
    attributes = vars(holder)
    if _ATTRIBUTE not in attributes:
        # Also for frozen dataclasses, whose other attributes must not change.
        object.__setattr__(holder, _ATTRIBUTE, OrderedDict())
    return attributes[_ATTRIBUTE]
