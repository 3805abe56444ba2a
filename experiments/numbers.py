"""Configs of which some numbers are traced, so that one program trains many of them.

The configs themselves are checked like all others, when they are made. `shared_config` gives what
they have in common and the numbers in which they differ; inside of a trace `with_numbers` puts the
numbers of one config back, as tracers.
"""

import copy
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from experiments.config import Options, method_field, replace

Config = TypeVar("Config", bound=Options)


class Shared(NamedTuple):
    """A config, and the numbers in which it may differ from others that have the rest in common.

    Attributes:
        config: the config, in which each such number has the same value for all.
        numbers: name of an option -> its own value.
    """

    config: Any
    numbers: dict[str, Any]


def shared_configs(configs: Sequence[Config], names: Collection[str]) -> list[Shared]:
    """What each of some configs has in common with others, and its own numbers.

    Args:
        configs: configs that are checked.
        names: options that are traced; those that are None, or no real number, stay. So do all
            others, since a network whose rate of dropout is known to be 0 has no such layer.

    Returns:
        One for each config; those of configs that differ in numbers alone have equal configs.

    >>> from experiments.regression.config import Config
    >>> pair = [Config(l2_weight=value) for value in (0.1, 0.2)]
    >>> first, second = shared_configs(pair, ["l2_weight"])
    >>> first.config == second.config, second.numbers
    (True, {'l2_weight': 0.2})
    """
    common: dict[str, float] = {}
    shared = []
    for config in configs:
        own = {name: value for name, value in flat(config).items() if name in names}
        numbers = {name: value for name, value in own.items() if isinstance(value, float)}
        for name, value in numbers.items():
            common.setdefault(name, value)
        rest = replace(config, **{name: common[name] for name in numbers})
        shared.append(Shared(rest, numbers))
    return shared


def with_numbers(config: Config, numbers: Mapping[str, Any]) -> Config:
    """A config with numbers that may be traced, whose values were checked in `shared_configs`.

    Args:
        config: the config that is shared.
        numbers: name of an option, of the config or its method -> number.

    Returns:
        A copy, to build a learner from.

    >>> from experiments.regression.config import Config, Mlp
    >>> import jax
    >>> config = Config(model=Mlp())
    >>> float(jax.jit(lambda rate: with_numbers(config, {"dropout": rate}).model.dropout)(0.5))
    0.5
    """
    changed = copy.copy(config)
    field = method_field(type(config))
    own = {each.name for each in dataclasses.fields(config)}
    for name, value in numbers.items():
        if name in own:
            object.__setattr__(changed, name, value)
    inner = {name: value for name, value in numbers.items() if name not in own}
    if inner and field is not None:
        method = copy.copy(getattr(config, field))
        for name, value in inner.items():
            object.__setattr__(method, name, value)
        object.__setattr__(changed, field, method)
    return changed


def flat(config: Options) -> dict[str, Any]:
    """The options of a config and of its method, by name.

    >>> from experiments.regression.config import Config
    >>> flat(Config())["optimizer"]
    'lbfgs'
    """
    values = dict(vars(config))
    field = method_field(type(config))
    if field is not None:
        values |= vars(values.pop(field))
    return values
