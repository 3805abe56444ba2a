"""Scores of blocks: a network that tells users apart, and naive Bayes beside it."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import jaxnet as jn
from experiments.logs.blocks import Blocks
from experiments.logs.config import Config
from experiments.precision import in_precision
from jaxnet import anomaly
from jaxnet._compiled import compiled_for

# Of Maxion and Townsend (2002).
PSEUDO_COUNT = 0.01


def build_network(config: Config, num_tokens: int, num_users: int) -> jn.Chain:
    """From the tokens of a block to a logit for each user, by counts of the events alone.

    Args:
        config: the options.
        num_tokens: number of events in the training blocks, and 1.
        num_users: number of users.
    """
    mlp = jn.mlp([num_tokens, *config.hidden_dims, num_users], dropout=config.dropout)
    counts = anomaly.event_counts(num_tokens), jn.activation(known_only)
    return jn.chain(*counts, in_precision(config, mlp))


def known_only(counts: Float[Array, "*batch num_tokens"]) -> Float[Array, "*batch num_tokens"]:
    """Counts of events with 0 for the unknown ones: nothing can be learned of them."""
    return counts.at[..., anomaly.UNKNOWN_EVENT].set(0.0)


def user_objective(network: jn.Network, num_users: int) -> jn.typing.Objective:
    """Logistic loss of each user against all others, where `y` is the user of each block."""
    inner = jn.multilabel_classification(network)

    def objective(params: Any, batch: Any, key: Array | None) -> Any:
        return inner(params, {**batch, "y": jax.nn.one_hot(batch["y"], num_users)}, key)

    return objective


def network_scores(
    network: jn.Network, params: Any, tokens: Int[np.ndarray, "n block_size"], user: np.ndarray
) -> Float[np.ndarray, "seeds n"]:
    """Minus the logit of the user whose log a block is in, by each network."""
    logits = np.asarray(compiled_for(network, _logits)(params, tokens))
    return -logits[:, np.arange(len(user)), user]


def _logits(network: jn.Network, params: Any, tokens: Array) -> Array:
    predict = functools.partial(jn.predict, network.apply)
    return jax.vmap(predict, (0, None))(params, tokens)


def bayes_scores(
    train: Mapping[int, Int[np.ndarray, " time"]],
    tokens: Int[np.ndarray, " num_events"],
    blocks: Blocks,
) -> Float[np.ndarray, " n"]:
    """Log odds that others made a block: naive Bayes of each user against all others.

    `sum_t log p(x_t | others) - log p(x_t | user)`, where each probability is the count of an event
    plus 0.01, divided by their sum. Maxion and Townsend (2002), "Masquerade detection using
    truncated command lines".

    Args:
        train: the training events of each user, indices into the vocabulary.
        tokens: of `known_tokens`.
        blocks: the blocks to score.
    """
    num_tokens = tokens.max() + 1
    counts = {
        user: np.bincount(tokens[events], minlength=num_tokens) for user, events in train.items()
    }
    total = np.sum([*counts.values()], axis=0)
    scores = np.zeros(len(blocks.user))
    for user, own in counts.items():
        rows = blocks.user == user
        odds = _log_probabilities(total - own) - _log_probabilities(own)
        scores[rows] = odds[tokens[blocks.events[rows]]].sum(axis=1)
    return scores


def _log_probabilities(counts: np.ndarray) -> np.ndarray:
    smoothed = counts + PSEUDO_COUNT
    return np.log(smoothed / smoothed.sum())


def event_effects(
    run: Callable[..., Array],
    params: Any,
    tokens: Int[np.ndarray, " block_size"],
    user: int,
    num_shown: int,
) -> list[tuple[int, float]]:
    """The events that raise the score of a block most: by how much it falls without each.

    Args:
        run: of `logits_without`.
        params: parameters of all networks.
        tokens: of the block.
        user: whose log it is in.
        num_shown: largest number of events.

    Returns:
        Positions in the block of the first of each event, and the mean effect over the networks,
        largest first, positive ones only.
    """
    present, first = np.unique(tokens, return_index=True)
    # One size for all blocks, so that it compiles once.
    removed = np.full(len(tokens), -1)
    removed[: len(present)] = present
    logits = np.asarray(run(params, jnp.asarray(tokens), removed))
    effects = logits[:, 1:, user].mean(axis=0) - logits[:, 0, user].mean()
    order = np.argsort(-effects[: len(present)], kind="stable")[:num_shown]
    return [(int(first[i]), float(effects[i])) for i in order if effects[i] > 0]


def logits_without(network: jn.Chain) -> Callable[..., Array]:
    """Logits of a block, and of it without each of some events, by all networks, compiled.

    Args:
        network: of `build_network`.

    Returns:
        `(params, tokens, removed) -> (networks, 1 + events, users)`.
    """

    def logits(params: Any, tokens: Array, removed: Array) -> Array:
        counts = network[:2].apply(params, tokens)
        is_kept = jnp.arange(counts.shape[-1]) != removed[:, None]
        return network[2:].apply(params, jnp.concatenate([counts[None], counts * is_kept]))

    return jax.jit(jax.vmap(logits, (0, None, None)))
