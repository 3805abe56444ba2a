"""Entries of a random permutation that is never stored: a shuffled order in constant memory.

The permutation of `range(n)` is a Feistel network on pairs (l, r) of numbers below `a` and `b`,
with `a b >= n` and `a` a power of two near the square root of n: l and r are changed in turn,
`l <- l + F(r) mod a`, `r <- r + F(l) mod b`, which can be undone and so is a bijection of all
pairs, whatever F is. What falls outside of `range(n)` goes through the network again until it falls
inside (cycle walking), which makes it a bijection of `range(n)`. F is the finalizer of MurmurHash3
of its argument combined with the number of the round. For 5 elements, each of the 120 permutations
has a probability within a few percent of 1 / 120; more elements than that are what it is for.

Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002 (cycle walking and generalized
Feistel networks). The order is for training, and not secret: F is a hash and not a cipher.

NumPy and JAX compute the same integers, so an order on the host is that on the device.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, UInt32

from jaxnet._checks import require_integer

NUM_ROUNDS = 16
MAX_LENGTH = 2**31 - 1


def permute_indices(
    key: Key[Array, ""], indices: Int[Array, "*batch"], length: int
) -> Int[Array, "*batch"]:
    """Entries of a random permutation of `range(length)`, each computed by itself.

    Args:
        key: decides the permutation.
        indices: places in the permutation, from 0 to `length - 1`; a trace cannot check them.
        length: size of the permutation, at most 2^31 - 1.

    Returns:
        The entry at each place. The time for one entry does not depend on `length`.

    Raises:
        ValueError: a length out of range.

    >>> permute_indices(jax.random.key(1), jnp.arange(7), 7).tolist()
    [3, 2, 0, 6, 5, 1, 4]
    """
    require_integer("permute_indices", "length", length, 1, MAX_LENGTH)
    return permuted(jnp, indices, np.uint32(length), round_keys(key))


def round_keys(key: Key[Array, ""]) -> UInt32[Array, " rounds"]:
    """The numbers that decide a permutation.

    Args:
        key: PRNG key.

    Returns:
        One number for each round of the network.

    >>> round_keys(jax.random.key(0)).shape
    (16,)
    """
    return jax.random.bits(key, (NUM_ROUNDS,), jnp.uint32)


def permuted(xp: Any, indices: Any, length: Any, keys: Any) -> Any:
    """Entries of permutations, in NumPy or in JAX.

    Args:
        xp: `numpy` or `jax.numpy`.
        indices: places, each below its length.
        length: sizes of the permutations, uint32, at most 2^31 - 1; broadcast to `indices`.
        keys: uint32 `(rounds, ...)`, of each round broadcast to `indices`.

    Returns:
        The entries, as integers of the dtype of `indices`.

    >>> keys = np.asarray(round_keys(jax.random.key(1)))
    >>> permuted(np, np.arange(7), np.uint32(7), keys).tolist()
    [3, 2, 0, 6, 5, 1, 4]
    """
    values = xp.asarray(indices).astype(np.uint32)
    length = xp.broadcast_to(xp.asarray(length, dtype=np.uint32), values.shape)
    keys = xp.asarray(keys)
    keys = keys.reshape(NUM_ROUNDS, *(1,) * (values.ndim + 1 - keys.ndim), *keys.shape[1:])
    keys = xp.broadcast_to(keys, (NUM_ROUNDS, *values.shape))
    # The smallest s with 4^s >= length, so that a = 2^s is at least the square root.
    shift = xp.zeros_like(values)
    for power in range(0, 32, 2):
        shift = shift + ((length - np.uint32(1)) >> np.uint32(power) > 0).astype(np.uint32)
    one = xp.ones_like(values)
    low = (one << shift) - one
    columns = (length + low) >> shift

    def two_rounds(number: Any, parts: tuple[Any, Any]) -> tuple[Any, Any]:
        left, right = parts
        left = (left + mixed(right ^ keys[2 * number])) & low
        right = right + mixed(left ^ keys[2 * number + 1]) % columns
        return left, xp.where(right < columns, right, right - columns)

    def walk(values: Any) -> Any:
        parts = values & low, values >> shift
        if xp is jnp:
            left, right = jax.lax.fori_loop(0, NUM_ROUNDS // 2, two_rounds, parts)
        else:
            left, right = functools.reduce(
                lambda parts, number: two_rounds(number, parts), range(NUM_ROUNDS // 2), parts
            )
        return (right << shift) | left

    def again(values: Any) -> Any:
        return xp.where(values < length, values, walk(values))

    if xp is jnp:

        def is_outside(values: Any) -> Any:
            return jnp.any(values >= length)

        values = jax.lax.while_loop(is_outside, again, walk(values))
    else:
        values = walk(values)
        while (values >= length).any():
            values = again(values)
    return values.astype(xp.asarray(indices).dtype)


def mixed(values: Any) -> Any:
    """The finalizer of MurmurHash3: a bijection of uint32 that changes half of the bits.

    Args:
        values: uint32, NumPy or JAX.

    Returns:
        uint32 of the same shape. Source: Appleby, MurmurHash3, `fmix32`.

    >>> hex(mixed(np.array([1], np.uint32))[0])
    '0x514e28b7'
    """
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))
