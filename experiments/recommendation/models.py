"""What each method learns from which arrays, and the scores of all items for all users."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import jaxnet as jn
from experiments.data.interactions import Interactions
from experiments.recommendation.config import (
    Config,
    Ease,
    Factorization,
    ItemAutorec,
    MultVae,
    Rbm,
    UserAutorec,
)
from experiments.recommendation.splits import Split
from experiments.training import batch_size, config_optimizer
from jaxnet import recommendation
from jaxnet.typing import Batch

RANKING = (Ease, MultVae)
# The code of pairs without an interaction, which belong to no part.
_MISSING = -2
_USERS_AT_ONCE = 64


class Model(NamedTuple):
    """A method on some data. A part of the data is an integer, which may be traced.

    Attributes:
        data: arrays whose first axis counts the examples; `code` is the part of each interaction.
        init: `init(key, part) -> state` of a network that is trained without a part; None where
            nothing is trained.
        step: of a `jaxnet.Learner` on these states.
        scores: `scores(params, part, data)`, ratings or scores `(users, items)`.
    """

    data: dict[str, np.ndarray]
    init: Callable[[Array, Any], jn.TrainState] | None
    step: Callable[[jn.TrainState, Batch], Any] | None
    scores: Callable[[Any, Any, dict[str, Array]], Float[Array, "users items"]]


class _Parts(NamedTuple):
    """What a method is made of, before parts are held out.

    Attributes:
        data: as that of `Model`.
        learner: a learner on what `batch_of` returns.
        batch_of: `batch_of(batch, weight, part)`, the batch of the learner, from one of the data
            and the weights of its interactions: 0 where they are held out.
        scores: as that of `Model`.
        first_params: `first_params(key, part)`; None for those of the learner.
    """

    data: dict[str, np.ndarray]
    learner: jn.Learner
    batch_of: Callable[[Batch, Array, Any], Batch]
    scores: Callable[[Any, Any, dict[str, Array]], Array]
    first_params: Callable[[Array, Any], Any] | None = None


def build_model(config: Config, interactions: Interactions, split: Split) -> Model:
    """The method of a config on some interactions.

    Args:
        config: the options.
        interactions: the data: for a ranking those that count as chosen.
        split: the parts, which are held out.
    """
    if isinstance(config.method, Ease):
        return _ease(config.method, interactions, split)
    builders: dict[type, Callable[[Config, Any, Interactions, Split], _Parts]] = {
        Factorization: _factorization,
        ItemAutorec: _autorec,
        UserAutorec: _autorec,
        Rbm: _rbm,
        MultVae: _mult_vae,
    }
    parts = builders[type(config.method)](config, config.method, interactions, split)
    return _holding_out(parts)


def _holding_out(parts: _Parts) -> Model:
    """The state of each network says which part it does not see."""

    def init(key: Array, part: Any) -> jn.TrainState:
        state = parts.learner.init(key)
        if parts.first_params is not None:
            state = state._replace(params=parts.first_params(key, part))
        return state._replace(extra=(jnp.asarray(part, jnp.int32), state.extra))

    def step(state: jn.TrainState, batch: Batch) -> Any:
        part, extra = state.extra
        weight = _weight(batch["code"], part)
        inner = parts.batch_of(batch, weight, part)
        new, metrics = parts.learner.step(state._replace(extra=extra), inner)
        return new._replace(extra=(part, new.extra)), metrics

    return Model(parts.data, init, step, parts.scores)


def _weight(code: Array, part: Any) -> Array:
    return ((code >= 0) & (code != part)).astype(jnp.float32)


def _means(interactions: Interactions, split: Split) -> Array:
    """The mean rating without each part; the last one is that of all, as for the part -1."""
    assert interactions.ratings is not None
    values = [interactions.ratings[split.known(part)] for part in range(split.num_parts)]
    return jnp.asarray([float(each.mean()) for each in (*values, interactions.ratings)])


def _codes(interactions: Interactions, split: Split) -> np.ndarray:
    return interactions.matrix(split.code.astype(np.int8), _MISSING)


def _factorization(
    config: Config, method: Factorization, interactions: Interactions, split: Split
) -> _Parts:
    ratings, means = interactions.ratings, _means(interactions, split)
    assert ratings is not None
    num_users = len(interactions.users)
    # Ratings are centered, since the mean depends on the part.
    model = recommendation.matrix_factorization(
        num_users, len(interactions.items), method.factor_dim
    )
    objective = recommendation.factorization_objective(model, method.penalty)
    learner = jn.gradient_learner(
        model.init, objective, config_optimizer(with_batch(config, len(ratings)), len(ratings))
    )
    if method.row_sparse:
        learner = recommendation.row_sparse_learner(learner, ("user", "item"))

    def batch_of(batch: Batch, weight: Array, part: Any) -> Batch:
        return {"x": batch["pair"], "y": batch["rating"] - means[part], "weight": weight}

    def scores(params: Any, part: Any, data: dict[str, Array]) -> Array:
        return model.score_items(params, jnp.arange(num_users)) + means[part]

    data = {"pair": interactions.pairs, "rating": ratings, "code": split.code}
    return _Parts(data, learner, batch_of, scores)


def _autorec(
    config: Config,
    method: ItemAutorec | UserAutorec,
    interactions: Interactions,
    split: Split,
) -> _Parts:
    assert interactions.ratings is not None
    means, by_item = _means(interactions, split), isinstance(method, ItemAutorec)
    x, code = interactions.matrix(interactions.ratings), _codes(interactions, split)
    if by_item:
        x, code = np.ascontiguousarray(x.T), np.ascontiguousarray(code.T)
    network = recommendation.autorec(x.shape[1], method.hidden_dim, dropout=method.dropout)
    objective = jn.with_l2(recommendation.observed_reconstruction(network), method.penalty)
    learner = jn.gradient_learner(
        network.init, objective, config_optimizer(with_batch(config, len(x)), len(x))
    )

    def batch_of(batch: Batch, weight: Array, part: Any) -> Batch:
        return {"x": (batch["x"] - means[part]) * weight, "weight": weight}

    def scores(params: Any, part: Any, data: dict[str, Array]) -> Array:
        known = batch_of(data, _weight(data["code"], part), part)["x"]
        ratings = jn.predict(network.apply, params, known) + means[part]
        return ratings.T if by_item else ratings

    return _Parts({"x": x, "code": code}, learner, batch_of, scores)


def _rbm(config: Config, method: Rbm, interactions: Interactions, split: Split) -> _Parts:
    assert interactions.ratings is not None
    values, levels = np.unique(interactions.ratings, return_inverse=True)
    x, code = interactions.matrix(levels.astype(np.int32), -1), _codes(interactions, split)
    rbm = recommendation.RatingRBM(x.shape[1], len(values), method.hidden_dim)
    objective = recommendation.rating_divergence(rbm, num_steps=method.gibbs_steps)
    learner = jn.gradient_learner(
        rbm.init,
        jn.with_l2(objective, method.penalty),
        config_optimizer(with_batch(config, len(x)), len(x)),
    )
    of_parts = [np.where(code == part, -1, x) for part in range(split.num_parts)]
    bias = jax.jit(rbm.data_bias)
    biases = jnp.stack([bias(jnp.asarray(each)) for each in (*of_parts, x)])

    def batch_of(batch: Batch, weight: Array, part: Any) -> Batch:
        return {"x": jnp.where(weight > 0, batch["x"], -1)}

    def scores(params: Any, part: Any, data: dict[str, Array]) -> Array:
        known = batch_of(data, _weight(data["code"], part), part)["x"]

        def expected(levels: Array) -> Array:
            probabilities = rbm.level_probabilities(params, rbm.one_hot(levels))
            return probabilities @ jnp.asarray(values)

        return jax.lax.map(expected, known, batch_size=_USERS_AT_ONCE)

    def first_params(key: Array, part: Any) -> Any:
        return rbm.init(key, visible_bias=biases[part])

    return _Parts({"x": x, "code": code}, learner, batch_of, scores, first_params)


def _mult_vae(config: Config, method: MultVae, interactions: Interactions, split: Split) -> _Parts:
    code = _codes(interactions, split)
    dims = [code.shape[1], *method.hidden_dims, method.code_dim]
    model = recommendation.multinomial_autoencoder(dims, dropout=method.dropout)
    objective = recommendation.multinomial_elbo(
        model, kl_weight=method.kl_weight, anneal_steps=method.anneal_steps
    )
    learner = jn.gradient_learner(
        model.init, objective, config_optimizer(with_batch(config, len(code)), len(code))
    )

    def batch_of(batch: Batch, weight: Array, part: Any) -> Batch:
        # Users of whom nothing is known are left out.
        return {"x": weight, "weight": weight.any(axis=1).astype(weight.dtype)}

    def scores(params: Any, part: Any, data: dict[str, Array]) -> Array:
        return jn.predict(model.apply, params, _weight(data["code"], part))

    return _Parts({"code": code}, learner, batch_of, scores)


def _ease(method: Ease, interactions: Interactions, split: Split) -> Model:
    def scores(params: Any, part: Any, data: dict[str, Array]) -> Array:
        x = _weight(data["code"], part)
        return x @ recommendation.fit_ease(x, method.strength)

    return Model({"code": _codes(interactions, split)}, None, None, scores)


def with_batch(config: Config, num_examples: int) -> Config:
    """The options with at most all examples in a batch: the default is for many."""
    if config.batch_size == "all" or config.batch_size <= num_examples:
        return config
    return dataclasses.replace(config, batch_size=num_examples)


def examples_in_batch(config: Config, num_examples: int) -> int:
    """Examples in a batch, at most all."""
    return batch_size(with_batch(config, num_examples), num_examples)
