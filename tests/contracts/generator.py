"""A random generator of few operations, for laws that hold whatever the numbers are.

JAX's own takes most of the time in which small programs with dropout or noise are compiled.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax.extend.random import define_prng_impl


def _mix(x):
    """Wellons's hash `lowbias32` of 32 bits."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _hashes(key, shape):
    """The hash of the key and a count, one for each place of the shape."""
    counts = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    return _mix(jax.lax.broadcast(_mix(key[0]), shape) + counts)


def _random_bits(key, bit_width, shape):
    if bit_width == 64:
        high, low = _hashes(key, (2, *shape)).astype(jnp.uint64)
        return (high << 32) | low
    return _hashes(key, shape).astype(f"uint{bit_width}")


# Outside of a program, one program for each use; inside, nothing but the operations.
_compiled = functools.partial(jax.jit, inline=True)


@_compiled
def _seed(seed):
    return _mix(jnp.asarray(seed).astype(jnp.uint32)).reshape(1)


@functools.partial(_compiled, static_argnums=1)
def _split(key, shape):
    return _mix(_hashes(key, shape) ^ jnp.uint32(0x9E3779B9)).reshape(*shape, 1)


@_compiled
def _fold_in(key, data):
    return _mix(_mix(key) + _mix(jnp.asarray(data).astype(jnp.uint32) + 1))


QUICK = define_prng_impl(
    key_shape=(1,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="quick",
    tag="quick",
)


def quick_key(seed):
    """A key of the generator."""
    return jax.random.key(seed, impl=QUICK)
