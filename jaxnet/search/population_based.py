"""Population-based training: members copy better ones while they train, and change settings."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxnet._checks import require_above_zero, require_range
from jaxnet.search.space import Dimension, Space, require_space
from jaxnet.training import Learner, Member, TrainState, fold_in_name
from jaxnet.training.hooks import Hook
from jaxnet.typing import Batch, Metrics


class Evolution(NamedTuple):
    """How members copy better ones and change their settings.

    Attributes:
        fraction: the fraction of members that is replaced, by members of the same fraction of the
            best; in [0, 0.5].
        factors: a setting is multiplied by one of these, drawn at random.
        resample_rate: the probability that a setting is drawn from its dimension instead.
    """

    fraction: int | float = 0.2
    factors: tuple[float, ...] = (0.8, 1.2)
    resample_rate: float = 0.25


_DEFAULT = Evolution()


class Members(NamedTuple):
    """The `extra` of a population that trains as one run.

    Attributes:
        extra: the extra states of the members, `(members, ...)`.
        keys: their keys, `(members,)`.
    """

    extra: PyTree[Any]
    keys: Key[Array, " members"]


def truncation_selection(
    scores: Float[Array, " members"], key: Key[Array, ""], *, fraction: int | float = 0.2
) -> Int[Array, " members"]:
    """The member that each member becomes a copy of: itself, or for the worst, one of the best.

    Of n members the worst `floor(fraction n)`, and all whose score is NaN, become copies of members
    that are drawn uniformly from the best `floor(fraction n)`. Jaderberg et al. (2017), "Population
    based training of neural networks", section 3, "truncation selection".

    Args:
        scores: larger is better.
        key: PRNG key.
        fraction: in [0, 0.5]; static. 0 replaces no member.

    Returns:
        Indices of members.

    Raises:
        ValueError: a fraction out of range.

    >>> scores = jnp.array([0.1, 0.4, 0.2, 0.3])
    >>> truncation_selection(scores, jax.random.key(0), fraction=0.25).tolist()
    [1, 1, 2, 3]
    """
    require_range("truncation_selection", "fraction", fraction, 0, 0.5)
    num_members = len(scores)
    itself, count = jnp.arange(num_members), int(fraction * num_members)
    if count == 0:
        return itself
    failed = jnp.isnan(scores)
    order = jnp.lexsort((-jnp.where(failed, -jnp.inf, scores), failed))
    rank = jnp.zeros_like(order).at[order].set(itself)
    best = order[jax.random.randint(key, (num_members,), 0, count)]
    return jnp.where((rank >= num_members - count) | failed, best, itself)


def perturb(
    settings: dict[str, Float[Array, " members"]],
    key: Key[Array, ""],
    *,
    space: Space,
    evolution: Evolution = _DEFAULT,
) -> dict[str, Float[Array, " members"]]:
    """Change the settings of members: multiplied by a factor, or drawn again.

    Each is multiplied by one of the factors and clipped to its dimension, or with the probability
    `resample_rate` drawn from it. Jaderberg et al. (2017), section 3, "perturb" and "resample".

    Args:
        settings: the settings of the members.
        key: PRNG key.
        space: real dimensions; settings that are not in it stay.
        evolution: factors and rate.

    Returns:
        The changed settings.

    Raises:
        ValueError: a dimension that is not of real numbers, factors that are not positive, a rate
            out of range; a setting of the space that the members do not have.

    >>> from jaxnet.search import uniform
    >>> options = {"space": {"rate": uniform(0, 1)}, "evolution": Evolution(0.2, (0.5,), 0.0)}
    >>> perturb({"rate": jnp.array([0.4, 0.8])}, jax.random.key(0), **options)["rate"].tolist()
    [0.20000000298023224, 0.4000000059604645]
    """
    require_space("perturb", space)
    require_range("perturb", "resample_rate", evolution.resample_rate, 0, 1)
    require_above_zero("perturb", factors=jnp.array(evolution.factors))
    changed = dict(settings)
    for name, dimension in space.items():
        if not dimension.is_continuous or name not in settings:
            raise ValueError(
                f"perturb: {name!r} must be a real setting of the members, as of uniform or "
                f"log_uniform, found {dimension.kind} and the settings {sorted(settings)}; leave "
                "it out of the space"
            )
        changed[name] = _change(settings[name], fold_in_name(key, name), dimension, evolution)
    return changed


def exploit_and_explore(
    states: TrainState,
    scores: Float[Array, " members"],
    key: Key[Array, ""],
    *,
    space: Space,
    evolution: Evolution = _DEFAULT,
) -> tuple[TrainState, Int[Array, " members"]]:
    """Let the worst members become copies of the best, with changed settings.

    A copy takes over parameters, extra state, the state of the optimizer and, changed by
    `perturb`, the settings; its key and its step are its own. Jaderberg et al. (2017), algorithm 1.
    A pure function, deterministic from the key; it may be jitted.

    Args:
        states: of the members, as in a `Group`: `(members, ...)`.
        scores: of the members, such as the accuracy on validation data; larger is better.
        key: PRNG key.
        space: real dimensions of the settings.
        evolution: how many are replaced and how settings change.

    Returns:
        The states, and the index of the member that each has become a copy of.

    Raises:
        ValueError: as `truncation_selection` and `perturb`.

    >>> from jaxnet.search import log_uniform
    >>> settings = {"rate": jnp.array([0.1, 0.2])}
    >>> keys, steps = jax.random.split(jax.random.key(0)), jnp.zeros(2, jnp.int32)
    >>> states = TrainState({"a": jnp.arange(2.0)}, Member(settings, ()), (), keys, steps)
    >>> options = {"space": {"rate": log_uniform(0.01, 1)}, "evolution": Evolution(0.5)}
    >>> scores, key = jnp.array([0.5, 0.9]), jax.random.key(1)
    >>> states, sources = exploit_and_explore(states, scores, key, **options)
    >>> sources.tolist(), states.params["a"].tolist()
    ([1, 1], [1.0, 1.0])
    """
    sources = truncation_selection(
        scores, fold_in_name(key, "exploit"), fraction=evolution.fraction
    )
    copied = sources != jnp.arange(len(scores))
    params, member, optimizer_state = jax.tree.map(lambda leaf: leaf[sources], tuple(states[:3]))
    changed = perturb(
        member.settings, fold_in_name(key, "explore"), space=space, evolution=evolution
    )
    settings = jax.tree.map(
        lambda new, old: jnp.where(copied, new, old), changed, states.extra.settings
    )
    member = Member(settings, member.extra)
    return TrainState(params, member, optimizer_state, states.key, states.step), sources


def population_learner(learner: Learner, init: Callable[[Array], TrainState]) -> Learner:
    """Train a whole population as one run: all members on the same batches.

    `fit`, `epochs`, checkpoints and hooks work on it as on any run; `population_based_hook` is such
    a hook. `members_of(state)` are the states of the members.

    Args:
        learner: of the members, as of a `Group`.
        init: `init(key) -> states`, `(members, ...)`, such as `lambda key: group.states`.

    Returns:
        A learner. Its metrics are means over the members whose loss is finite.

    >>> import jaxnet as jn, optax
    >>> network = jn.mlp([2, 1])
    >>> single = jn.gradient_learner(network.init, jn.regression(network), optax.sgd(0.1))
    >>> learner = population_learner(
    ...     single, lambda key: jax.vmap(single.init)(jax.random.split(key, 3))
    ... )
    >>> data = {"x": jnp.ones((10, 2)), "y": jnp.ones(10)}
    >>> state, _ = jn.fit(learner, jax.random.key(0), data, batch_size=5, num_epochs=2)
    >>> members_of(state).step.tolist()
    [4, 4, 4]
    """

    def init_state(key: Array) -> TrainState:
        return _as_one(init(fold_in_name(key, "members")), jnp.array(key, copy=True), 0)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        new, metrics = jax.vmap(learner.step, (0, None))(members_of(state), batch)
        finite = jnp.isfinite(metrics["loss"])
        means = {name: jnp.mean(values, where=finite) for name, values in metrics.items()}
        return _as_one(new, state.key, state.step + 1), means

    return Learner(init_state, step)


def members_of(state: TrainState) -> TrainState:
    """The states of the members of a population that trains as one run.

    Args:
        state: of a `population_learner`.

    Returns:
        A batch of states, `(members, ...)`.

    >>> keys = jax.random.split(jax.random.key(0), 2)
    >>> state = TrainState({}, Members((), keys), (), jax.random.key(1), jnp.int32(3))
    >>> members_of(state).step.tolist()
    [3, 3]
    """
    extra, keys = state.extra
    steps = jnp.broadcast_to(state.step, keys.shape)
    return TrainState(state.params, extra, state.optimizer_state, keys, steps)


def population_based_hook(
    score: Callable[[TrainState, Any], Float[Array, " members"]],
    *,
    space: Space,
    evolution: Evolution = _DEFAULT,
) -> Hook:
    """Population-based training as a hook on a `population_learner`, in one compiled program.

    Give it to `fit` or `epochs` as `hooks=((every, hook, every),)`: the members train on by
    themselves for the first `every` steps.

    Args:
        score: `score(members, data) -> scores`, a pure function of the states of the members and
            the data that are trained on; larger is better. It may close over validation data, which
            then are constants of the program.
        space: real dimensions of the settings.
        evolution: how many are replaced and how settings change.

    Returns:
        A hook. Its random numbers follow from the key of the run and the step.

    Raises:
        ValueError: as `exploit_and_explore`.

    >>> from jaxnet.search import log_uniform
    >>> def score(members, data):
    ...     return members.params["a"]
    >>> hook = population_based_hook(score, space={"rate": log_uniform(0.01, 1)})
    >>> settings, keys = {"rate": jnp.full(5, 0.1)}, jax.random.split(jax.random.key(0), 5)
    >>> extra = Members(Member(settings, ()), keys)
    >>> state = TrainState({"a": jnp.arange(5.0)}, extra, (), jax.random.key(1), jnp.int32(3))
    >>> hook(state, {}).params["a"].tolist()
    [4.0, 1.0, 2.0, 3.0, 4.0]
    """
    require_space("population_based_hook", space)

    def hook(state: TrainState, data: PyTree[Any]) -> TrainState:
        members = members_of(state)
        key = jax.random.fold_in(fold_in_name(state.key, "population_based"), state.step)
        scores = score(members, data)
        members, _ = exploit_and_explore(members, scores, key, space=space, evolution=evolution)
        return _as_one(members, state.key, state.step)

    return hook


def _as_one(members: TrainState, key: Array, step: Array | int) -> TrainState:
    extra = Members(members.extra, members.key)
    step = jnp.asarray(step, jnp.int32)
    return TrainState(members.params, extra, members.optimizer_state, key, step)


def _change(values: Array, key: Array, dimension: Dimension, evolution: Evolution) -> Array:
    factor_key, rate_key, position_key = jax.random.split(key, 3)
    factors = jnp.array(evolution.factors, values.dtype)
    scaled = values * jax.random.choice(factor_key, factors, values.shape)
    low, high = jnp.asarray(dimension.low, values.dtype), jnp.asarray(dimension.high, values.dtype)
    position = jax.random.uniform(position_key, values.shape, values.dtype)
    if dimension.kind == "log_uniform":
        drawn = jnp.exp(jnp.log(low) + position * (jnp.log(high) - jnp.log(low)))
    else:
        drawn = low + position * (high - low)
    again = jax.random.bernoulli(rate_key, evolution.resample_rate, values.shape)
    return jnp.clip(jnp.where(again, drawn, scaled), low, high)
