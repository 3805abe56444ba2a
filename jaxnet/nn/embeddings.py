"""Layers of tokens: their vectors, sums of these, and dropout of whole tokens."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxnet import _draws
from jaxnet._checks import is_hidden, require_choice, require_positive, require_range
from jaxnet.nn.network import Network
from jaxnet.nn.sequences import time_mask, zero_padding
from jaxnet.typing import Initializer, Params, Sequences

_ALGORITHMS = ("auto", "gather", "loop")
# What the sum is divided by, of the number of tokens.
_DIVISORS = {"mean": lambda count: count, "sum": jnp.ones_like, "sqrtn": jnp.sqrt}
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

    def look_up(params: Params, tokens: Array) -> Array:
        known = _are_known("embedding", tokens, num_tokens)
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


def embedding_bag(
    num_tokens: int,
    dim: int,
    *,
    pooling: str = "mean",
    embedding_init: Initializer = _normal,
    algorithm: str = "auto",
) -> Network:
    """Pooled vectors of the tokens of a sequence, whatever their order.

    The outputs are those of `embedding` and `mean_over_time`, `sum_over_time` or `sqrtn_over_time`,
    without an array of all vectors. Joulin et al. (2016), "Bag of tricks for efficient text
    classification", section 2.

    Args:
        num_tokens: number of tokens, which are integers in [0, num_tokens). Others count as tokens
            whose vector is 0.
        dim: size of a vector.
        pooling: "mean", "sum", or "sqrtn", the sum divided by the square root of the number of
            tokens.
        embedding_init: initializer of the matrix `(num_tokens, dim)`, by default normal of
            standard deviation `1 / sqrt(dim)`.
        algorithm: "loop" adds up the vectors of one position after the other, of all sequences;
            "gather" looks all of them up before. "auto" is "loop" where the program runs on CPU,
            and "gather" elsewhere. The gradient is that of "gather" for both.

    Returns:
        A network from `Sequences` of tokens `(*batch, time)`, or an array of them, to
        `(*batch, dim)`; 0 for a sequence without steps. Its parameter is `embedding`.

    Raises:
        TypeError: a size that is not an integer; (of the network) tokens that are not integers.
        ValueError: a size below 1, an unknown pooling or algorithm.

    >>> network = embedding_bag(10, 4, pooling="sum")
    >>> params = network.init(jax.random.key(0))
    >>> tokens = Sequences(jnp.array([[3, 1, 9], [2, 0, 0]]), jnp.array([3, 1]))
    >>> network.apply(params, tokens).shape
    (2, 4)
    """
    require_positive("embedding_bag", num_tokens=num_tokens, dim=dim)
    require_choice("embedding_bag", "pooling", pooling, _DIVISORS)
    require_choice("embedding_bag", "algorithm", algorithm, _ALGORITHMS)

    def init(key: Array) -> Params:
        return {"embedding": embedding_init(key, (num_tokens, dim))}

    def apply(
        params: Params,
        x: Sequences | Int[Array, "*batch time"],
        /,
        *,
        key: Array | None = None,
    ) -> Float[Array, "*batch dim"]:
        if not isinstance(x, Sequences):
            x = _of_full_length(x)
        x = zero_padding(x)
        tokens = x.values
        known = _are_known("embedding_bag", tokens, num_tokens) & time_mask(x)
        total = _sum_of_rows(params["embedding"], jnp.where(known, tokens, 0), known, algorithm)
        return total / _DIVISORS[pooling](jnp.maximum(x.length, 1)[..., None].astype(total.dtype))

    return Network(init, apply, "embedding_bag", detail=f"{num_tokens}, {dim}, {pooling!r}")


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _sum_of_rows(table: Array, tokens: Array, known: Array, algorithm: str) -> Array:
    """The sum of the rows of the known tokens of each sequence, `(*batch, dim)`."""
    if algorithm == "auto":
        return jax.lax.platform_dependent(table, tokens, known, cpu=_loop, default=_gather)
    return (_loop if algorithm == "loop" else _gather)(table, tokens, known)


@_sum_of_rows.defjvp
def _sum_of_rows_jvp(algorithm: str, primals: Any, tangents: Any) -> tuple[Array, Array]:
    """The loop has no gradient that is worth its time: a table would be added up in each step."""
    table, tokens, known = primals
    total = _sum_of_rows(table, tokens, known, algorithm)
    return total, _gather(tangents[0], tokens, known)


def _gather(table: Array, tokens: Array, known: Array) -> Array:
    rows = table.at[tokens].get(mode="promise_in_bounds")
    return jnp.where(known[..., None], rows, jnp.zeros((), rows.dtype)).sum(axis=-2)


def _loop(table: Array, tokens: Array, known: Array) -> Array:
    def add(total: Array, position: tuple[Array, Array]) -> tuple[Array, None]:
        token, is_known = position
        rows = table.at[token].get(mode="promise_in_bounds").astype(dtype)
        return total + jnp.where(is_known[..., None], rows, jnp.zeros((), dtype)), None

    # Many numbers in bfloat16 lose their sum.
    dtype = jnp.promote_types(table.dtype, jnp.float32)
    start = jnp.zeros((*tokens.shape[:-1], table.shape[-1]), dtype)
    positions = jnp.moveaxis(tokens, -1, 0), jnp.moveaxis(known, -1, 0)
    return jax.lax.scan(add, start, positions)[0].astype(table.dtype)


def _of_full_length(tokens: Array) -> Sequences:
    return Sequences(tokens, jnp.full(tokens.shape[:-1], tokens.shape[-1], jnp.int32))


def _are_known(function: str, tokens: Array, num_tokens: int) -> Array:
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise TypeError(
            f"{function}: tokens are of dtype {tokens.dtype}, expected integers; use "
            "tokens.astype(int), or dense for numbers"
        )
    return (tokens >= 0) & (tokens < num_tokens)


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
            x = _of_full_length(x)
        if key is None:
            return zero_padding(x)
        mask = time_mask(x)
        kept = mask & _draws.bernoulli(key, 1 - rate, mask.shape)
        order = jnp.argsort(~kept, axis=-1, stable=True)
        order = order.reshape(*order.shape, *(1,) * (x.values.ndim - order.ndim))
        values = jnp.take_along_axis(x.values, order, axis=mask.ndim - 1)
        return zero_padding(Sequences(values, kept.sum(axis=-1, dtype=jnp.int32)))

    return Network(
        lambda key: {}, apply, "token_dropout", detail="traced" if is_hidden(rate) else f"{rate}"
    )
