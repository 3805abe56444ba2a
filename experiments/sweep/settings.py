"""The settings that a sweep searches for: from text to a space, and from samples to configs."""

import re
from collections.abc import Collection, Mapping, Sequence
from types import ModuleType
from typing import Any

from experiments.config import method_field, replace
from experiments.numbers import flat
from experiments.protocol import with_optimizer
from jaxnet import search
from jaxnet.search import Dimension, Sample

_RANGES = {"log": search.log_uniform, "uniform": search.uniform, "int": search.integers}


def parse_space(texts: Sequence[str], config: Any, swept: Collection[str]) -> dict[str, Dimension]:
    """The space of some settings, each a text NAME=VALUES.

    Args:
        texts: one for each setting.
        config: the options of a trial, by which values are checked.
        swept: options that may be searched for, beside those of the method.

    Returns:
        The dimension of each setting, whose values are those of a config.

    Raises:
        ValueError: no setting, one that occurs twice or is unknown, another form, a value out of
            range.

    >>> from experiments.classification.experiment import Config, SWEPT
    >>> texts = ["learning_rate=log:1e-4:0.1", "hidden_dims=[32],[64,64]"]
    >>> space = parse_space(texts, Config(), SWEPT)
    >>> space["hidden_dims"].choices, space["learning_rate"].high
    (((32,), (64, 64)), 0.1)
    """
    if not texts:
        raise ValueError(
            "over: name at least one setting to search for, such as --over "
            "learning_rate=log:1e-4:1e-1"
        )
    allowed = _allowed(config, swept)
    space: dict[str, Dimension] = {}
    for text in texts:
        name, separator, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not separator or not values:
            raise ValueError(f"over: expected NAME=VALUES, found {text!r}")
        if name not in allowed:
            raise ValueError(
                f"over: {name!r} cannot be searched for; known: {', '.join(sorted(allowed))}"
            )
        if name in space:
            raise ValueError(f"over: {name!r} is given twice; leave one out")
        try:
            space[name] = _dimension(name, values.strip(), config)
        except (ValueError, TypeError) as error:
            reason = str(error).removesuffix("; leave it out to use the default")
            raise ValueError(f"over: {text!r}: {reason}") from error
    return space


def trial_config(config: Any, sample: Sample) -> Any:
    """The options of a trial: another optimizer has its own default rate and weight decay.

    Args:
        config: the options that all trials have in common.
        sample: the settings of the trial.

    >>> from experiments.regression.config import Config, Mlp
    >>> trial_config(Config(model=Mlp()), {"dropout": 0.5, "optimizer": "adam"}).learning_rate
    0.001
    """
    if "optimizer" in sample:
        config = with_optimizer(config, sample["optimizer"])
    return replace(config, **sample)


def show_settings(settings: Mapping[str, Any]) -> str:
    """Settings as text.

    >>> show_settings({"learning_rate": 0.00123456, "hidden_dims": (32, 8)})
    'learning_rate 0.001235, hidden_dims [32,8]'
    """
    return ", ".join(f"{name} {show_value(value)}" for name, value in settings.items())


def show_value(value: Any) -> str:
    """One value as text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        return f"[{','.join(map(str, value))}]"
    return "none" if value is None else str(value)


def module_of(config: Any) -> ModuleType:
    """The module of the experiment of a trial."""
    from experiments.protocol import find_experiment

    return find_experiment(config.experiment)


def _allowed(config: Any, swept: Collection[str]) -> set[str]:
    method = getattr(config, method_field(type(config)) or "")
    return {*swept, *vars(method)} & set(flat(config)) - {"name"}


def _dimension(name: str, text: str, config: Any) -> Dimension:
    kind, *limits = text.split(":")
    if kind in _RANGES:
        if len(limits) != 2:
            raise ValueError(f"expected {kind}:LOW:HIGH")
        number = int if kind == "int" else float
        dimension = _RANGES[kind](*map(number, limits))
        # A number inside tells whether the option takes real numbers.
        for position in (0.0, 0.37, 1.0):
            replace(config, **{name: dimension.value(position)})
        return dimension
    values = [_value(name, item, config) for item in re.findall(r"\[[^\]]*\]|[^,\[\]]+", text)]
    return search.choice(values)


def _value(name: str, text: str, config: Any) -> Any:
    """The value of an option that a text means."""
    text = text.strip()
    value: Any = text
    if text.startswith("["):
        value = [item.strip() for item in text[1:-1].split(",") if item.strip()]
    try:
        return flat(replace(config, **{name: value}))[name]
    except ValueError:
        if text.lower() != "none":
            raise
        return flat(replace(config, **{name: None}))[name]
