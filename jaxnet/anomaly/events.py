"""Next-event models of logs: tokens of events, the objective, and the surprise of what happened."""

from collections.abc import Iterable, Sequence

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from jaxnet._checks import require_positive
from jaxnet.nn.network import Network, require_network
from jaxnet.nn.sequences import time_mask, zero_padding
from jaxnet.objectives.weighting import masked, require_entry, weighted_mean, weighted_means, widen
from jaxnet.typing import Batch, Metrics, Objective, Params, Sequences

UNKNOWN_EVENT = 0
"""The token of every event that is not in the vocabulary."""


def event_vocabulary(events: Iterable[str]) -> tuple[str, ...]:
    """The different events of training logs, in the order of their text.

    Args:
        events: events by name, such as commands.

    Returns:
        The vocabulary: its event `i` has the token `i + 1`, and the token 0, `UNKNOWN_EVENT`, is
        that of every other event. A network of it has `len(vocabulary) + 1` outputs.

    Raises:
        TypeError: one text instead of a list of them.
        ValueError: no events.

    >>> event_vocabulary(["ls", "cd", "ls"])
    ('cd', 'ls')
    """
    _require_list("event_vocabulary", events)
    vocabulary = tuple(sorted(set(events)))
    if not vocabulary:
        raise ValueError("event_vocabulary: events holds none; at least one is needed")
    return vocabulary


def event_tokens(events: Sequence[str], vocabulary: Sequence[str]) -> Int[np.ndarray, " time"]:
    """The tokens of a log.

    Args:
        events: the events of one log, in the order of time.
        vocabulary: the known events, from `event_vocabulary`.

    Returns:
        One token for each event, 0 for one that the vocabulary does not have.

    Raises:
        TypeError: one text instead of a list of them.

    >>> event_tokens(["ls", "rm", "cd"], ("cd", "ls")).tolist()
    [2, 0, 1]
    """
    _require_list("event_tokens", events)
    tokens = {event: token for token, event in enumerate(vocabulary, UNKNOWN_EVENT + 1)}
    return np.array([tokens.get(event, UNKNOWN_EVENT) for event in events], np.int32)


def event_counts(num_tokens: int) -> Network:
    """The square root of how often each event occurs in a log, whatever their order.

    The root keeps an event that is repeated many times from deciding alone.

    Args:
        num_tokens: the tokens are those below it: `len(vocabulary) + 1`.

    Returns:
        A network without parameters from tokens `(*batch, time)`, or `Sequences` of them, to
        `(*batch, num_tokens)`, float32.

    Raises:
        TypeError: a number that is not an integer; (of `apply`) tokens that are not integers.
        ValueError: a number below 1.

    >>> import jax
    >>> jax.jit(event_counts(4).apply)({}, jnp.array([1, 3, 1, 1, 1])).tolist()
    [0.0, 2.0, 0.0, 1.0]
    """
    require_positive("event_counts", num_tokens=num_tokens)

    def apply(
        params: Params, x: Sequences | Int[Array, "*batch time"], /, *, key: Array | None = None
    ) -> Float[Array, "*batch num_tokens"]:
        tokens = _as_tokens("event_counts", x)
        values = jnp.asarray(tokens.values)
        rows = values.reshape(-1, values.shape[-1])
        present = widen(time_mask(tokens)).reshape(rows.shape)
        counts = jnp.zeros((len(rows), num_tokens))
        counts = counts.at[jnp.arange(len(rows))[:, None], rows].add(present, mode="drop")
        return jnp.sqrt(counts).reshape(*values.shape[:-1], num_tokens)

    return Network(lambda key: {}, apply, "event_counts", detail=str(num_tokens))


def next_event(network: Network) -> Objective:
    """Cross-entropy of each event given those before it, `-mean_t log p(x_t | x_1, ..., x_{t-1})`.

    `p` is the softmax of the network's output at step `t - 1`. The events before the first are not
    known: the network is given the tokens one step later, with the token 0 at the first. Du et al.
    (2017), "DeepLog: anomaly detection and diagnosis from system logs through deep learning",
    section 3.1, with all earlier events in place of a window of them.

    Args:
        network: from tokens `(*batch, time)`, or `Sequences` of them, to logits `(*batch, time,
            num_tokens)`, an array or `Sequences`; its output at a step depends on the tokens up to
            that step alone, as that of a recurrent network does.

    Returns:
        An objective on batches whose `x` holds tokens; a `weight` has one number for each log, or
        for each event. Every event counts alike, those beyond the length of a log not at all.
        Metrics: `accuracy`, the fraction of events that had the highest probability.

    Raises:
        TypeError: a network that is not one; (of the objective) tokens that are not integers.
        ValueError: (of the objective) a batch without `x`; logits of another shape, or weights.

    >>> import jax, jaxnet as jn
    >>> network = jn.chain(jn.activation(lambda x: jax.nn.one_hot(x, 4)), jn.dense(4, 4))
    >>> params = jax.tree.map(jnp.zeros_like, jax.jit(network.init)(jax.random.key(0)))
    >>> loss, metrics = jax.jit(next_event(network))(params, {"x": jnp.array([[1, 2, 3, 1]])}, None)
    >>> round(float(loss), 4)  # log(4)
    1.3863
    """
    require_network("next_event", network)

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        batch = masked(batch)
        x = require_entry("next_event", batch, "x", remedy="it holds the tokens")
        tokens, logits = _predictions("next_event", network, params, x, key)
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, tokens.values)
        accuracy = logits.argmax(axis=-1) == tokens.values
        weight = {"weight": _event_weight(tokens, batch.get("weight"))}
        return weighted_mean(losses, **weight), weighted_means({"accuracy": accuracy}, weight)

    return objective


def event_surprise(
    network: Network, params: Params, x: Sequences | Int[Array, "*batch time"]
) -> Sequences | Float[Array, "*batch time"]:
    """How unlikely each event of a log is, `-log p(x_t | x_1, ..., x_{t-1})`, in nats.

    The largest of an alarm are the records behind it.

    Args:
        network: as in `next_event`.
        params: its parameters.
        x: tokens, an array or `Sequences`.

    Returns:
        One number for each event: an array for an array, `Sequences` for `Sequences`, 0 beyond the
        length.

    Raises:
        TypeError: a network that is not one, tokens that are not integers.
        ValueError: logits of another shape.

    >>> import jax, jaxnet as jn
    >>> network = jn.chain(jn.activation(lambda x: jax.nn.one_hot(x, 4)), jn.dense(4, 4))
    >>> params = jax.tree.map(jnp.zeros_like, jax.jit(network.init)(jax.random.key(0)))
    >>> score = jax.jit(lambda x: event_surprise(network, params, x))
    >>> [round(surprise, 4) for surprise in score(jnp.array([1, 2, 3])).tolist()]  # log(4)
    [1.3863, 1.3863, 1.3863]
    """
    require_network("event_surprise", network)
    tokens, logits = _predictions("event_surprise", network, params, x, None)
    values = optax.losses.softmax_cross_entropy_with_integer_labels(logits, tokens.values)
    surprise = zero_padding(Sequences(values, tokens.length))
    return surprise if isinstance(x, Sequences) else jnp.asarray(surprise.values)


def block_scores(
    surprise: Sequences | Float[Array, "*batch time"], block_size: int
) -> Float[Array, "*batch num_blocks"]:
    """The mean surprise of each block of `block_size` events.

    Args:
        surprise: one number for each event, from `event_surprise`.
        block_size: events of a block; the last block of a log holds the events that are left.

    Returns:
        One score for each block of the longest log, 0 for a block without events.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1.

    >>> block_scores(jnp.array([1.0, 3.0, 0.5, 0.5, 4.0]), 2).tolist()
    [2.0, 0.5, 4.0]
    """
    require_positive("block_scores", block_size=block_size)
    events = zero_padding(_as_logs(surprise))
    present = time_mask(events)
    time = present.shape[-1]
    num_blocks = -(-time // block_size)

    def sums(values: Array) -> Array:
        padding = [(0, 0)] * (values.ndim - 1) + [(0, num_blocks * block_size - time)]
        values = jnp.pad(values, padding)
        return values.reshape(*values.shape[:-1], num_blocks, block_size).sum(axis=-1)

    return sums(widen(events.values)) / jnp.maximum(sums(widen(present)), 1)


def _require_list(function: str, events: Iterable[str]) -> None:
    if isinstance(events, str):
        raise TypeError(
            f"{function}: events is one text, {events[:40]!r}, expected a list of events; split it"
        )


def _as_logs(x: Sequences | Array) -> Sequences:
    """Logs as they are; an array `(*batch, time)` holds logs of full length."""
    if isinstance(x, Sequences):
        return x
    return Sequences(x, jnp.full(x.shape[:-1], x.shape[-1], jnp.int32))


def _as_tokens(function: str, x: Sequences | Array) -> Sequences:
    """Logs of tokens, which are 0 beyond the length."""
    tokens = _as_logs(x)
    dtype = jnp.asarray(tokens.values).dtype
    if not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(
            f"{function}: tokens must be integers, found dtype {dtype}; encode events by "
            "event_tokens"
        )
    return zero_padding(tokens)


def _event_weight(tokens: Sequences, weight: Array | None) -> Array:
    """One weight for each event: that of its log or its own, and 0 beyond the length."""
    present = widen(time_mask(tokens))
    if weight is None:
        return present
    weight = widen(weight)
    if weight.shape not in (present.shape, present.shape[:-1]):
        raise ValueError(
            f"next_event: weight has shape {weight.shape}, expected {present.shape[:-1]}, one "
            f"number for each log, or {present.shape}, one for each event"
        )
    weight = weight.reshape(*weight.shape, *(1,) * (present.ndim - weight.ndim))
    return jnp.where(present > 0, weight, 0)


def _predictions(
    function: str, network: Network, params: Params, x: Sequences | Array, key: Array | None
) -> tuple[Sequences, Array]:
    """Tokens, 0 beyond the length, and the logits that the network predicts each of them with."""
    tokens = _as_tokens(function, x)
    before = jnp.roll(tokens.values, 1, axis=-1).at[..., 0].set(UNKNOWN_EVENT)
    given = Sequences(before, tokens.length) if isinstance(x, Sequences) else before
    outputs = network.apply(params, given, key=key)
    logits = outputs.values if isinstance(outputs, Sequences) else outputs
    if logits.shape[:-1] != tokens.values.shape or logits.ndim != tokens.values.ndim + 1:
        raise ValueError(
            f"{function}: the network's outputs have shape {logits.shape}, expected the logits of "
            f"each event, {(*tokens.values.shape, 'num_tokens')}"
        )
    return tokens, widen(logits)
