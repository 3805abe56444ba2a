"""Every complete optimizer of the installed Optax by name.

The optimizers are found by inspecting Optax, not from a list. This module adds a default learning
rate where Optax has none and the usual one does not suit, and completes the optimizers that need
more than a rate.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import Any

import jax
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from jaxnet._checks import require_above_zero, require_not_negative
from jaxnet.optim._names import require_name
from jaxnet.typing import Params

LearningRate = ArrayLike | optax.Schedule
Mask = PyTree[bool] | Callable[[Params], PyTree[bool]]

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
    # The default of 1e-16 divides by nothing for a unit that has always been inactive.
    "acprop": {"eps": 1e-4},
    # Signs of mini-batch gradients disagree by chance, and steps grow to 50 by default.
    "rprop": {"max_step_size": 0.01},
}

# Optax's wrappers are complete with an optimizer to wrap, and a few optimizers with a key or a
# bound: (rate, key, clip_norm, decay) -> optimizer, where `decay` adds the decayed
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
# Their updates depend on the shapes of the parameters, or move those whose gradients are 0.
_NOT_PADDED = ("adafactor", "galore", "muon", "yogi")
_RATE_PARAMETERS = ("learning_rate", "max_learning_rate")


def optimizer_names() -> tuple[str, ...]:
    """Names of all optimizers that `optimizer` makes, sorted.

    They are the public functions of `optax` and `optax.contrib` that take a learning rate and need
    nothing else (or a key), and Optax's wrappers, completed as in their papers.

    Returns:
        The names.

    >>> {"adam", "lbfgs", "muon", "schedule_free_adamw"} <= set(optimizer_names())
    True
    """
    return tuple(sorted({*_factories(), *_RECIPES}))


def default_learning_rate(name: str) -> float | None:
    """The learning rate that `optimizer(name)` uses.

    Args:
        name: one of `optimizer_names()`.

    Returns:
        The rate; None where the optimizer finds its own, such as a line search.

    Raises:
        ValueError: an unknown name; the nearest ones are suggested.

    >>> default_learning_rate("adam"), default_learning_rate("lbfgs")
    (0.001, None)
    """
    require_name("optimizer", name, optimizer_names())
    if name in _RATES:
        return _RATES[name]
    default = _rate_parameter(_factories()[name]).default if name in _factories() else _USUAL_RATE
    return _USUAL_RATE if default is inspect.Parameter.empty else default


def needs_key(name: str) -> bool:
    """Whether the optimizer draws random numbers, so that `optimizer` must be given a key.

    Args:
        name: one of `optimizer_names()`.

    Returns:
        True for stochastic optimizers such as `noisy_sgd`.

    Raises:
        ValueError: an unknown name; the nearest ones are suggested.

    >>> needs_key("noisy_sgd"), needs_key("sgd")
    (True, False)
    """
    require_name("optimizer", name, optimizer_names())
    if name in _RECIPES:
        return name in _STOCHASTIC_RECIPES
    return "key" in inspect.signature(_factories()[name]).parameters


def allows_padding(name: str) -> bool:
    """Whether parameters that are padded with zeros, as of `padded_mlp`, train as without padding.

    Args:
        name: one of `optimizer_names()`.

    Returns:
        False for optimizers that look at the shapes of parameters, draw random numbers for them,
        or move parameters whose gradients are 0.

    Raises:
        ValueError: an unknown name; the nearest ones are suggested.

    >>> allows_padding("adam"), allows_padding("muon")
    (True, False)
    """
    return not needs_key(name) and name not in _NOT_PADDED


def optimizer(
    name: str,
    learning_rate: LearningRate | None = None,
    *,
    key: Array | None = None,
    weight_decay: ArrayLike | None = None,
    clip_norm: ArrayLike | None = None,
    mask: Mask | None = None,
) -> optax.GradientTransformation:
    """An optimizer of the installed Optax by name, ready for `gradient_learner`.

    Args:
        name: one of `optimizer_names()`.
        learning_rate: a number, which may be traced, or a schedule from the step to a number; by
            default `default_learning_rate(name)`.
        key: for optimizers that draw random numbers; see `needs_key`.
        weight_decay: strength of weight decay, at least 0; may be traced. It is decoupled where
            the optimizer has an argument for it, Loshchilov and Hutter (2019), "Decoupled weight
            decay regularization", and added to the gradient otherwise. None leaves the optimizer's
            default. For line searches use `with_l2`, which is part of the loss.
        clip_norm: the largest global norm of a gradient (for `dpsgd` of each example's), above 0;
            None does not clip. Pascanu et al. (2013), "On the difficulty of training recurrent
            neural networks", algorithm 1.
        mask: which parameters decay: from the parameters to the same structure of truth values,
            such as `kernel_mask`, or this structure. None for all.

    Returns:
        An Optax gradient transformation.

    Raises:
        TypeError: a rate, weight decay or norm that is not a number.
        ValueError: an unknown name (the nearest are suggested), a rate, weight decay or norm out of
            range, a schedule for an optimizer that takes only a number, a missing key; a mask
            without weight decay, or for an optimizer whose own weight decay has none.

    >>> optimizer("adamm")
    Traceback (most recent call last):
        ...
    ValueError: unknown optimizer 'adamm'; did you mean adam, radam, adamw?
    """
    require_name("optimizer", name, optimizer_names())
    rate = default_learning_rate(name) if learning_rate is None else learning_rate
    if rate is not None and not callable(rate):
        require_above_zero("optimizer", learning_rate=rate)
    if clip_norm is not None:
        require_above_zero("optimizer", clip_norm=clip_norm)
    if weight_decay is not None:
        require_not_negative("optimizer", weight_decay=weight_decay)
    elif mask is not None:
        raise ValueError("optimizer: mask selects what weight_decay acts on; pass weight_decay too")
    if needs_key(name):
        if key is None:
            raise ValueError(f"optimizer {name!r} draws random numbers: pass key=jax.random.key(n)")
    elif callable(rate) and not takes_schedule(name):
        raise ValueError(f"optimizer {name!r} takes a number as learning_rate, found a schedule")

    decay = optax.identity()
    if weight_decay is not None:
        decay = optax.add_decayed_weights(weight_decay, mask)  # pyright: ignore[reportArgumentType]
    if name in _RECIPES:
        core = _RECIPES[name](rate, key, clip_norm, decay)
    else:
        core = _from_factory(name, rate, key, weight_decay, decay, mask)
    if clip_norm is None or name == "dpsgd":
        return core
    return optax.chain(optax.clip_by_global_norm(clip_norm), core)


def kernel_mask(params: Params) -> PyTree[bool]:
    """The mask of `optimizer` by which kernels decay, and biases and scales do not.

    Args:
        params: parameters of a network.

    Returns:
        The same structure: True for leaves called `kernel`.

    >>> kernel_mask({"dense_0": {"kernel": 1.0, "bias": 0.0}})
    {'dense_0': {'bias': False, 'kernel': True}}
    """

    def is_kernel(path: Any, leaf: Any) -> bool:
        return jax.tree_util.keystr(path[-1:], simple=True) == "kernel"

    return jax.tree_util.tree_map_with_path(is_kernel, params)


def takes_schedule(name: str) -> bool:
    """Whether the learning rate of the optimizer may be a schedule.

    Args:
        name: one of `optimizer_names()`.

    Returns:
        False for optimizers whose rate must be a number.

    Raises:
        ValueError: an unknown name; the nearest ones are suggested.

    >>> takes_schedule("adam"), takes_schedule("rprop")
    (True, False)
    """
    require_name("optimizer", name, optimizer_names())
    if name in _RECIPES:
        return True
    return "Callable" in str(_rate_parameter(_factories()[name]).annotation)


@functools.cache
def _factories() -> Mapping[str, FunctionType]:
    """Optax's functions that make an optimizer from a rate, and at most a key."""
    factories = {}
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
                factories[name] = function
    return MappingProxyType(factories)


def _rate_parameter(function: FunctionType) -> inspect.Parameter:
    parameters = inspect.signature(function).parameters
    return next(parameters[name] for name in _RATE_PARAMETERS if name in parameters)


def _from_factory(
    name: str,
    rate: LearningRate | None,
    key: Array | None,
    weight_decay: ArrayLike | None,
    decay: optax.GradientTransformation,
    mask: Mask | None,
) -> optax.GradientTransformation:
    """The optimizer, with its own weight decay where it has one and with `decay` otherwise."""
    function = _factories()[name]
    options: dict[str, Any] = {_rate_parameter(function).name: rate, **_OPTIONS.get(name, {})}
    if needs_key(name):
        options["key"] = key
    if weight_decay is None:
        return function(**options)
    parameters = inspect.signature(function).parameters
    if "weight_decay" in parameters:
        if mask is not None:
            names = [each for each in ("mask", "weight_decay_mask") if each in parameters]
            if not names:
                raise ValueError(
                    f"optimizer {name!r} decays all weights, found a mask; use adamw, or sgd"
                )
            options[names[0]] = mask
        return function(**options, weight_decay=weight_decay)
    return optax.chain(decay, function(**options))
