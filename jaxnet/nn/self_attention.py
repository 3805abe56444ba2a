"""Attention: every step of a sequence reads all others, and encodings of their positions."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_positive
from jaxnet.nn.initializers import lecun_normal
from jaxnet.nn.network import Network
from jaxnet.nn.sequences import as_sequences, time_mask, zero_padding
from jaxnet.typing import Initializer, Params, Sequences

_zeros = jax.nn.initializers.zeros
_READERS = ("query", "key", "value")


def attention(
    dim: int,
    num_heads: int,
    *,
    causal: bool = False,
    kernel_init: Initializer = lecun_normal,
) -> Network:
    """Multi-head self-attention.

    `y_t = b_o + sum_heads (sum_s softmax_s(q_t k_s / sqrt(d)) v_s) W_o` with `q = x W_q + b_q`,
    `k`, `v` likewise, and `d = dim / num_heads`; s goes over the steps of the sequence, up to t
    where it is causal. Vaswani et al. (2017), "Attention is all you need", section 3.2.

    Args:
        dim: size of a step, of the input and of the output.
        num_heads: number of heads, a divisor of `dim`.
        causal: whether a step reads only itself and those before it.
        kernel_init: initializer of the kernels, given their shape as matrices `(dim, dim)`.

    Returns:
        A network from `Sequences` with values `(*batch, time, dim)` to `Sequences` of the same
        shape and lengths; from an array to an array. Its parameters are those of Flax's
        `MultiHeadDotProductAttention`: `query`, `key` and `value` with `kernel`
        `(dim, num_heads, d)` and `bias` `(num_heads, d)`, `out` with `kernel`
        `(num_heads, d, dim)` and `bias` `(dim,)`. Memory grows with the square of the time.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1, heads that do not divide `dim`; (of the network) an input of
            another size.

    >>> network = attention(8, 2)
    >>> params = jax.jit(network.init)(jax.random.key(0))
    >>> sequences = Sequences(jnp.ones((3, 5, 8)), jnp.array([5, 2, 0]))
    >>> outputs = jax.jit(network.apply)(params, sequences)
    >>> outputs.values.shape, bool(outputs.values[1, 2:].any())
    ((3, 5, 8), False)
    """
    require_positive("attention", dim=dim, num_heads=num_heads)
    if dim % num_heads:
        raise ValueError(
            f"attention: num_heads must divide dim = {dim}, found {num_heads}; change one of them"
        )
    head_dim = dim // num_heads

    def init(key: Array) -> Params:
        *keys, out_key = jax.random.split(key, 4)
        params = {
            name: {
                "kernel": kernel_init(reader_key, (dim, dim)).reshape(dim, num_heads, head_dim),
                "bias": _zeros(key, (num_heads, head_dim)),
            }
            for name, reader_key in zip(_READERS, keys, strict=True)
        }
        kernel = kernel_init(out_key, (dim, dim)).reshape(num_heads, head_dim, dim)
        return params | {"out": {"kernel": kernel, "bias": _zeros(key, (dim,))}}

    def attend(params: Params, sequences: Sequences, mask: Array | None) -> Array:
        values = sequences.values
        if values.shape[-1] != dim:
            raise ValueError(
                f"attention: the input has shape {values.shape}, expected dim = {dim} numbers in "
                "the last axis; sequences are (*batch, time, dim)"
            )
        # The product of all heads of queries, keys and values is one product of matrices.
        kernels = [params[name]["kernel"].reshape(dim, dim) for name in _READERS]
        biases = [params[name]["bias"].reshape(dim) for name in _READERS]
        time = values.shape[-2]
        products = values.reshape(-1, time, dim) @ jnp.concatenate(kernels, axis=-1)
        products += jax.lax.broadcast_to_rank(jnp.concatenate(biases), 3)
        heads = (
            part.reshape(-1, time, num_heads, head_dim) for part in jnp.split(products, 3, axis=-1)
        )
        if mask is not None:
            mask = mask.reshape(-1, 1, 1, time)
        mixed = jax.nn.dot_product_attention(*heads, mask=mask, is_causal=causal)
        out = params["out"]
        outputs = mixed.reshape(-1, time, dim) @ out["kernel"].reshape(dim, dim)
        outputs += jax.lax.broadcast_to_rank(out["bias"], 3)
        return outputs.reshape(*values.shape)

    def apply(
        params: Params,
        x: Sequences | Shaped[Array, "*batch time dim"],
        /,
        *,
        key: Array | None = None,
    ) -> Sequences | Float[Array, "*batch time dim"]:
        if not isinstance(x, Sequences):
            return attend(params, as_sequences(x), None)
        outputs = attend(params, zero_padding(x), time_mask(x))
        return zero_padding(Sequences(outputs, x.length))

    detail = f"{dim}, {num_heads}, causal=True" if causal else f"{dim}, {num_heads}"
    return Network(init, apply, "attention", detail=detail)


def positional_encoding(dim: int) -> Network:
    """Add to each step sines and cosines of its position, which attention does not know.

    `x[t, 2 i] + sin(t / 10000^(2 i / dim))` and `x[t, 2 i + 1] + cos(t / 10000^(2 i / dim))`,
    Vaswani et al. (2017), "Attention is all you need", section 3.5.

    Args:
        dim: size of a step.

    Returns:
        A network from `Sequences` with values `(*batch, time, dim)` to `Sequences` of the same
        shape and lengths; from an array to an array.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1.

    >>> jax.jit(positional_encoding(2).apply)({}, jnp.zeros((2, 2)))[0].tolist()
    [0.0, 1.0]
    """
    require_positive("positional_encoding", dim=dim)

    def apply(
        params: Params,
        x: Sequences | Shaped[Array, "*batch time dim"],
        /,
        *,
        key: Array | None = None,
    ) -> Sequences | Float[Array, "*batch time dim"]:
        sequences = zero_padding(x) if isinstance(x, Sequences) else as_sequences(x)
        values: Any = sequences.values
        rates = 10000.0 ** -(jnp.arange(0, dim, 2) / dim)
        angles = jnp.arange(float(values.shape[-2]))[:, None] * rates[None]
        waves = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1)
        waves = waves.reshape(len(angles), -1)[:, :dim].astype(values.dtype)
        encoded = values + jax.lax.broadcast_to_rank(waves, values.ndim)
        if not isinstance(x, Sequences):
            return encoded
        return zero_padding(Sequences(encoded, x.length))

    return Network(lambda key: {}, apply, "positional_encoding", detail=f"{dim}")
