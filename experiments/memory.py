"""Whether the networks of a run fit into memory, before anything is allocated."""

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.config import method_field

# Training and validation metrics of an epoch, float32.
_BYTES_OF_HISTORY = 8 * 4


def check_memory(config: Any, init: Callable[[jax.Array], Any]) -> None:
    """Raise where the options of a run need more memory than the machine has.

    Counted are the states of all networks (parameters and optimizer state) and the history of
    metrics, whose size is known before they are made; activations are not.

    Args:
        config: the options, with `num_seeds`, and those of the method.
        init: from a key to the state of one network.

    Raises:
        ValueError: they need more, with the options that decide it and their sizes.

    >>> from experiments.regression.config import Config
    >>> check_memory(Config(num_seeds=10**12), lambda key: np.zeros(1000))
    Traceback (most recent call last):
        ...
    ValueError: num_seeds 1000000000000: 1000000000000 networks of 3.9 KiB need 3.6 PiB, ...
    """
    state = jax.tree.leaves(jax.eval_shape(init, jax.random.key(0)))
    # A key is not counted: its size in bytes is not public.
    arrays = [leaf for leaf in state if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)]
    num_bytes = sum(leaf.size * np.dtype(leaf.dtype).itemsize for leaf in arrays)
    method = getattr(config, method_field(type(config)) or "", config)
    limit = memory_limit()
    total = config.num_seeds * num_bytes
    if total > limit:
        sizes = [
            f"{name} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"
            for name, value in vars(method).items()
            if name.endswith(("_dims", "_dim")) or name == "channels"
        ]
        raise ValueError(
            f"{', '.join([f'num_seeds {config.num_seeds}', *sizes])}: {config.num_seeds} networks "
            f"of {show_bytes(num_bytes)} need {show_bytes(total)}, and {show_bytes(limit)} are "
            "there; use smaller layers, or fewer seeds"
        )
    num_epochs = getattr(config, "num_epochs", getattr(method, "num_epochs", 0))
    history = num_epochs * config.num_seeds * _BYTES_OF_HISTORY
    if total + history > limit:
        raise ValueError(
            f"num_epochs {num_epochs}: the metrics of all epochs need {show_bytes(history)}, and "
            f"{show_bytes(limit)} are there; use fewer epochs"
        )


def memory_limit() -> int:
    """Bytes of memory of the first device, or of the machine where the device is its processor."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return int(statistics["bytes_limit"])
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        # Not known on this system.
        return 1 << 62


def show_bytes(num_bytes: float) -> str:
    """A number of bytes with its unit.

    >>> show_bytes(100), show_bytes(3 * 2**30)
    ('100 bytes', '3.0 GiB')
    """
    if num_bytes < 1024:
        return f"{num_bytes} bytes"
    units = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    for unit in units:
        num_bytes /= 1024
        if num_bytes < 1024:
            return f"{num_bytes:.1f} {unit}"
    return f"{num_bytes:.3g} {units[-1]}"
