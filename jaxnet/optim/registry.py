"""Every complete optimizer of the installed Optax by name, and learning-rate schedules.

The optimizers are found by looking at Optax, not from a list. What must be told about some of them
is here: a default rate where Optax has none and the usual one does not suit, and how to complete
those that need more than a rate.
"""

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType, MappingProxyType

import optax
from jaxtyping import Array

LearningRate = float | Array | optax.Schedule

_USUAL_RATE = 1e-3
_RATES = {
    "adadelta": 1.0,
    "adamax": 2e-3,
    "adafactor": 1e-2,
    "adagrad": 3e-2,
    "dowg": 0.5,
    "dpsgd": 0.3,
    "fromage": 1e-2,
    "galore": 3e-3,
    "lamb": 1e-2,
    "lars": 1.0,
    "lion": 1e-3,
    "mechanize": 1.0,
    "muon": 1e-2,
    "noisy_sgd": 0.1,
    "novograd": 1e-2,
    "optimistic_gradient_descent": 0.1,
    "radam": 3e-3,
    "sam": 0.1,
    "schedule_free": 1.0,
    "sgd": 0.1,
    "simplified_ademamix": 1e-4,
    "sm3": 0.1,
    "yogi": 1e-2,
}

# Where Optax's own defaults do not train a small ReLU network from mini-batches.
_OPTIONS: dict[str, dict[str, float]] = {
    # The default of 1e-16 divides by nothing for a unit that has been silent so far.
    "acprop": {"eps": 1e-4},
    # Signs of mini-batch gradients disagree by chance, and steps grow to 50 by default.
    "rprop": {"max_step_size": 0.01},
}

# Optax's wrappers are complete once they have something to wrap, and a few optimizers once they
# have a key or a bound: (rate, key, clip_norm, decay) -> optimizer, where `decay` adds the decayed
# weights to a gradient. Values are those of the papers.
_RECIPES: dict[str, Callable[..., optax.GradientTransformation]] = {
    # Abadi et al. (2016), section 5: the bound is on the gradient of each example.
    "dpsgd": lambda rate, key, clip_norm, decay: optax.chain(
        optax.contrib.differentially_private_aggregate(clip_norm or 1.0, 0.5, key),
        decay,
        optax.scale_by_learning_rate(rate),
    ),
    # Zhang et al. (2019), section 5: k = 5, alpha = 0.5.
    "lookahead": lambda rate, key, clip_norm, decay: optax.lookahead(
        optax.chain(decay, optax.adam(rate)), sync_period=5, slow_step_size=0.5
    ),
    # Cutkosky, Defazio, Mehta (2023): the wrapper learns the factor of the base rate.
    "mechanize": lambda rate, key, clip_norm, decay: optax.chain(
        decay, optax.contrib.mechanize(optax.adam(rate))
    ),
    "reduce_on_plateau": lambda rate, key, clip_norm, decay: optax.chain(
        decay, optax.adam(rate), optax.contrib.reduce_on_plateau(accumulation_size=100)
    ),
    # Foret et al. (2021): rho = 0.05. In opaque mode both half-steps are one update.
    "sam": lambda rate, key, clip_norm, decay: optax.chain(
        decay,
        optax.contrib.sam(
            optax.sgd(rate, momentum=0.9),
            optax.chain(optax.contrib.normalize(), optax.sgd(0.05)),
            opaque_mode=True,
        ),
    ),
    "schedule_free": lambda rate, key, clip_norm, decay: optax.chain(
        decay, optax.contrib.schedule_free(optax.sgd(rate), rate)
    ),
    "sophia": lambda rate, key, clip_norm, decay: optax.chain(
        decay,
        optax.contrib.sophia(
            rate, hessian_diagonal_fn=optax.contrib.hutchinson_estimator_diag_hessian(key)
        ),
    ),
}
_STOCHASTIC_RECIPES = ("dpsgd", "sophia")
_RATE_PARAMETERS = ("learning_rate", "max_learning_rate")


def optimizer_names() -> tuple[str, ...]:
    """Names of all optimizers that `optimizer` makes, sorted.

    They are the public functions of `optax` and `optax.contrib` that take a learning rate and need
    nothing else (or a key), and Optax's wrappers, completed as their papers do.

    >>> {"adam", "lbfgs", "muon", "schedule_free_adamw"} <= set(optimizer_names())
    True
    """
    return tuple(sorted({*_factories(), *_RECIPES}))


def default_learning_rate(name: str) -> float | None:
    """The rate that `optimizer(name)` uses; None where the optimizer finds its own.

    Raises:
        ValueError: an unknown name; the nearest ones are suggested.

    >>> default_learning_rate("adam"), default_learning_rate("lbfgs")
    (0.001, None)
    """
    _require_name("optimizer", name, optimizer_names())
    if name in _RATES:
        return _RATES[name]
    default = _rate_parameter(_factories()[name]).default if name in _factories() else _USUAL_RATE
    return _USUAL_RATE if default is inspect.Parameter.empty else default


def needs_key(name: str) -> bool:
    """Whether the optimizer draws random numbers, so that `optimizer` must be given a key.

    Raises:
        ValueError: an unknown name; the nearest ones are suggested.

    >>> needs_key("noisy_sgd"), needs_key("sgd")
    (True, False)
    """
    _require_name("optimizer", name, optimizer_names())
    if name in _RECIPES:
        return name in _STOCHASTIC_RECIPES
    return "key" in inspect.signature(_factories()[name]).parameters


def optimizer(
    name: str,
    learning_rate: LearningRate | None = None,
    *,
    key: Array | None = None,
    weight_decay: float | Array | None = None,
    clip_norm: float | None = None,
) -> optax.GradientTransformation:
    """An optimizer of the installed Optax by name, ready for `gradient_learner`.

    Args:
        name: one of `optimizer_names()`.
        learning_rate: a number, which may be traced, or a schedule from the step to a number; by
            default `default_learning_rate(name)`.
        key: for optimizers that draw random numbers; see `needs_key`.
        weight_decay: strength of weight decay: the optimizer's own (decoupled) where it has one,
            otherwise added to the gradient. None leaves the optimizer's default. For line
            searches use `with_l2`, which they see.
        clip_norm: the largest global norm of a gradient (for `dpsgd` of each example's); None does
            not clip.

    Returns:
        An Optax gradient transformation.

    Raises:
        ValueError: an unknown name (the nearest are suggested), a rate, weight decay or norm out of
            range, a schedule for an optimizer that takes only a number, a missing key.

    >>> optimizer("adamm")
    Traceback (most recent call last):
        ...
    ValueError: unknown optimizer 'adamm'; did you mean adam, radam, adamw?
    """
    _require_name("optimizer", name, optimizer_names())
    rate = default_learning_rate(name) if learning_rate is None else learning_rate
    _require_above_zero("learning_rate", rate)
    _require_above_zero("clip_norm", clip_norm)
    if isinstance(weight_decay, (int, float)) and weight_decay < 0:
        raise ValueError(f"weight_decay must not be negative, found {weight_decay}")
    if needs_key(name):
        if key is None:
            raise ValueError(f"optimizer {name!r} draws random numbers: pass key=jax.random.key(n)")
    elif callable(rate) and not takes_schedule(name):
        raise ValueError(f"optimizer {name!r} takes a number as learning_rate, found a schedule")

    decay = optax.identity() if weight_decay is None else optax.add_decayed_weights(weight_decay)
    if name in _RECIPES:
        core = _RECIPES[name](rate, key, clip_norm, decay)
    else:
        core = _from_factory(name, rate, key, weight_decay, decay)
    if clip_norm is None or name == "dpsgd":
        return core
    return optax.chain(optax.clip_by_global_norm(clip_norm), core)


def takes_schedule(name: str) -> bool:
    """Whether the learning rate of the optimizer may be a schedule.

    Raises:
        ValueError: an unknown name; the nearest ones are suggested.

    >>> takes_schedule("adam"), takes_schedule("rprop")
    (True, False)
    """
    _require_name("optimizer", name, optimizer_names())
    if name in _RECIPES:
        return True
    return "Callable" in str(_rate_parameter(_factories()[name]).annotation)


def schedule(
    name: str,
    peak: float | Array,
    *,
    num_steps: int,
    warmup_fraction: float = 0.1,
    final_fraction: float = 0.01,
) -> optax.Schedule:
    """A learning-rate schedule by name, as a multiple of a peak that may be traced.

    | name | rate over the run |
    |---|---|
    | `constant` | the peak |
    | `cosine` | half a cosine from the peak to `final_fraction` of it |
    | `warmup_cosine` | linear from 0 to the peak during `warmup_fraction`, then cosine |
    | `exponential` | geometric from the peak to `final_fraction` of it |
    | `step` | the peak, a tenth of it after half, a hundredth after three quarters of the run |

    Args:
        name: one of the names above.
        peak: the largest rate.
        num_steps: number of steps of the run.
        warmup_fraction: part of the run that warms up, in (0, 1).
        final_fraction: last rate over the peak, in (0, 1].

    Returns:
        A function from the step to the rate.

    Raises:
        ValueError: an unknown name, a peak or number of steps that is not positive, a
            fraction out of range.

    >>> rate = schedule("warmup_cosine", 0.5, num_steps=100)
    >>> [round(float(rate(step)), 3) for step in (0, 10, 55, 100)]
    [0.0, 0.5, 0.252, 0.005]
    """
    _require_name("schedule", name, schedule_names())
    _require_above_zero("peak", peak)
    _require_above_zero("num_steps", num_steps)
    if not 0 < warmup_fraction < 1:
        raise ValueError(f"warmup_fraction must lie in (0, 1), found {warmup_fraction}")
    if not 0 < final_fraction <= 1:
        raise ValueError(f"final_fraction must lie in (0, 1], found {final_fraction}")
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

    >>> schedule_names()
    ('constant', 'cosine', 'warmup_cosine', 'exponential', 'step')
    """
    return ("constant", "cosine", "warmup_cosine", "exponential", "step")


@functools.cache
def _factories() -> Mapping[str, FunctionType]:
    """Optax's functions that make an optimizer from a rate, and at most a key."""
    found = {}
    for module in (optax, optax.contrib):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            parameters = inspect.signature(function).parameters
            if name.startswith(("_", "scale_by_")) or not {*_RATE_PARAMETERS} & {*parameters}:
                continue
            required = {
                parameter.name
                for parameter in parameters.values()
                if parameter.default is inspect.Parameter.empty
                and parameter.kind is not inspect.Parameter.VAR_KEYWORD
            }
            if required <= {*_RATE_PARAMETERS, "key"}:
                found[name] = function
    return MappingProxyType(found)


def _rate_parameter(function: FunctionType) -> inspect.Parameter:
    parameters = inspect.signature(function).parameters
    return next(parameters[name] for name in _RATE_PARAMETERS if name in parameters)


def _from_factory(
    name: str,
    rate: LearningRate | None,
    key: Array | None,
    weight_decay: float | Array | None,
    decay: optax.GradientTransformation,
) -> optax.GradientTransformation:
    """The optimizer, with its own weight decay where it has one and with `decay` otherwise."""
    function = _factories()[name]
    options = {_rate_parameter(function).name: rate, **_OPTIONS.get(name, {})}
    if needs_key(name):
        options["key"] = key
    if weight_decay is None:
        return function(**options)
    if "weight_decay" in inspect.signature(function).parameters:
        return function(**options, weight_decay=weight_decay)
    return optax.chain(decay, function(**options))


def _require_name(kind: str, name: str, names: Iterable[str]) -> None:
    if name in names:
        return
    nearest = difflib.get_close_matches(name, names)
    hint = f"did you mean {', '.join(nearest)}?" if nearest else f"known: {', '.join(names)}"
    raise ValueError(f"unknown {kind} {name!r}; {hint}")


def _require_above_zero(name: str, value: object) -> None:
    if isinstance(value, (int, float)) and not 0 < value < math.inf:
        raise ValueError(f"{name} must be greater than 0 and finite, found {value}")
