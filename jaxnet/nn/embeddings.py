"""Layers of tokens: their vectors, and dropout of whole tokens."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxnet._checks import is_hidden, require_positive, require_range
from jaxnet.nn.network import Network
from jaxnet.nn.sequences import time_mask, zero_padding
from jaxnet.typing import Initializer, Params, Sequences

# As in Flax: a vector has a norm of about 1.
_normal = jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal", out_axis=0)


def embedding(num_tokens: int, dim: int, *, embedding_init: Initializer = _normal) -> Network:
    """A vector for each token, a row of a matrix that is learned.

    Bengio et al. (2003), "A neural probabilistic language model", section 2.

    Args:
        num_tokens: number of tokens, which are integers in [0, num_tokens). Others, such as -1 for
            a word that is not known, have the vector 0.
        dim: size of a vector.
        embedding_init: initializer of the matrix `(num_tokens, dim)`, by default normal of
            standard deviation `1 / sqrt(dim)`.

    Returns:
        A network from `Sequences` of tokens `(*batch, time)` to `Sequences` with values
        `(*batch, time, dim)`, 0 beyond their length; from an array of tokens `(*batch,)` to
        `(*batch, dim)`. Its parameter is `embedding`, as in Flax's `Embed`.

    Raises:
        TypeError: a size that is not an integer; (of the network) tokens that are not integers.
        ValueError: a size below 1.

    >>> network = embedding(10, 4)
    >>> params = jax.jit(network.init)(jax.random.key(0))
    >>> tokens = Sequences(jnp.array([[3, 1, 9], [2, 0, 0]]), jnp.array([3, 1]))
    >>> jax.jit(network.apply)(params, tokens).values.shape
    (2, 3, 4)
    >>> jax.jit(network.apply)(params, jnp.array([-1, 10])).any().item()
    False
    """
    require_positive("embedding", num_tokens=num_tokens, dim=dim)

    def init(key: Array) -> Params:
        return {"embedding": embedding_init(key, (num_tokens, dim))}

    def look_up(params: Params, tokens: Any) -> Array:
        if not jnp.issubdtype(tokens.dtype, jnp.integer):
            raise TypeError(
                f"embedding: tokens are of dtype {tokens.dtype}, expected integers; use "
                "tokens.astype(int), or dense for numbers"
            )
        known = (tokens >= 0) & (tokens < num_tokens)
        rows = params["embedding"][jnp.where(known, tokens, 0)]
        return jnp.where(known[..., None], rows, jnp.zeros((), rows.dtype))

    def apply(
        params: Params,
        x: Sequences | Int[Array, "*batch"],
        /,
        *,
        key: Array | None = None,
    ) -> Sequences | Float[Array, "*batch dim"]:
        if not isinstance(x, Sequences):
            return look_up(params, x)
        tokens = zero_padding(x)
        return zero_padding(Sequences(look_up(params, tokens.values), x.length))

    return Network(init, apply, "embedding", detail=f"{num_tokens}, {dim}")


def token_dropout(rate: ArrayLike) -> Network:
    """Remove each step of a sequence with probability `rate`; the others move together.

    Without a key (evaluation) it is the identity. Iyyer et al. (2015), "Deep unordered composition
    rivals syntactic methods for text classification", section 3.2, word dropout.

    Args:
        rate: probability of removing a step, in [0, 1); may be traced.

    Returns:
        A network from `Sequences` of anything to `Sequences` of the same shape, 0 beyond their
        length; with a key they are shorter, and may be empty. An array of tokens `(*batch, time)`
        has full length.

    Raises:
        TypeError: a rate that is not a number.
        ValueError: a rate outside [0, 1).

    >>> tokens = Sequences(jnp.array([[5, 6, 7, 8, 0]]), jnp.array([4]))
    >>> kept = jax.jit(token_dropout(0.5).apply)({}, tokens, key=jax.random.key(1))
    >>> kept.values.tolist(), kept.length.tolist()
    ([[5, 7, 8, 0, 0]], [3])
    """
    require_range("token_dropout", "rate", rate, 0, 1, include_high=False)

    def apply(
        params: Params,
        x: Sequences | Int[Array, "*batch time"],
        /,
        *,
        key: Array | None = None,
    ) -> Sequences:
        if not isinstance(x, Sequences):
            x = Sequences(x, jnp.full(x.shape[:-1], x.shape[-1], jnp.int32))
        if key is None:
            return zero_padding(x)
        mask = time_mask(x)
        kept = mask & jax.random.bernoulli(key, 1 - rate, mask.shape)
        order = jnp.argsort(~kept, axis=-1, stable=True)
        order = order.reshape(*order.shape, *(1,) * (x.values.ndim - order.ndim))
        values = jnp.take_along_axis(x.values, order, axis=mask.ndim - 1)
        return zero_padding(Sequences(values, kept.sum(axis=-1, dtype=jnp.int32)))

    return Network(
        lambda key: {}, apply, "token_dropout", detail="traced" if is_hidden(rate) else f"{rate}"
    )
