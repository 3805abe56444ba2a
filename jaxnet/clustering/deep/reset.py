"""Soft resets: forget a part of what was learned, so that the clusters may change once more."""

from collections.abc import Callable, Collection

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxnet._checks import require_positive, require_range
from jaxnet.autoencoders.network import Autoencoder
from jaxnet.nn.network import Chain
from jaxnet.objectives.weighting import example_weight, require_entry
from jaxnet.optim.adapters import require_no_average, update_params
from jaxnet.training.averages import evaluation_params
from jaxnet.training.batches import take_examples
from jaxnet.training.hooks import Hook
from jaxnet.training.state import TrainState, fold_in_name
from jaxnet.typing import Batch, Params

Where = Callable[[str, Array], bool]


def _everywhere(path: str, leaf: Array) -> bool:
    return True


def soft_reset(
    key: Array,
    params: Params,
    init: Callable[[Array], Params],
    *,
    factor: float | Array,
    where: Where = _everywhere,
) -> Params:
    """Blend parameters with fresh ones, `factor * params + (1 - factor) * init(key)`.

    Ash and Adams (2020), "On warm-starting neural network training"; Miklautz et al. (2025),
    "Breaking the reclustering barrier in centroid-based deep clustering" (BRB), eq. 3. The latter
    take a factor of 0.8 and fresh parameters of PyTorch's distributions; here they are those that
    the network itself starts from.

    Args:
        key: decides the fresh parameters.
        params: the parameters.
        init: where they come from, such as `network.init`.
        factor: 1 leaves the parameters as they are, 0 starts again; may be traced.
        where: `(path, leaf) -> bool`, which parameters are blended, such as
            `hidden_encoder_layers(network)`; by default all.

    Returns:
        The blended parameters.

    Raises:
        ValueError: a factor outside [0, 1].

    >>> import jaxnet as jn
    >>> network = jn.dense(2, 1)
    >>> params = {"kernel": jnp.full((2, 1), 5.0), "bias": jnp.ones(1)}
    >>> soft_reset(jax.random.key(0), params, network.init, factor=0.75)["bias"].tolist()
    [0.75]
    """
    remedy = "it is the fraction of the parameters that stays, published as 0.8"
    require_range("soft_reset", "factor", factor, 0, 1, remedy=remedy)

    def blend(path: jax.tree_util.KeyPath, leaf: Array, fresh: Array) -> Array:
        if not where(jax.tree_util.keystr(path, simple=True, separator="/"), leaf):
            return leaf
        return factor * leaf + (1 - factor) * fresh

    return jax.tree_util.tree_map_with_path(blend, params, init(key))


def hidden_encoder_layers(network: Autoencoder) -> Where:
    """Choose the parameters of the encoder but those of its last layer, which makes the code.

    What BRB resets: the decoder and the embedding layer stay (Miklautz et al. 2025, section 5 and
    their program).

    Args:
        network: an autoencoder whose encoder is a chain.

    Returns:
        `(path, leaf) -> bool` for `soft_reset`.

    Raises:
        ValueError: an encoder that is not a chain, or has a single layer with parameters.

    >>> import jaxnet as jn
    >>> where = hidden_encoder_layers(jn.autoencoders.mlp_autoencoder([4, 3, 2]))
    >>> leaf = jnp.zeros(())
    >>> [where(f"{part}/kernel", leaf) for part in ("encoder/dense_0", "encoder/dense_1")]
    [True, False]
    """
    encoder = network.encoder
    if not isinstance(encoder, Chain):
        raise ValueError(
            f"hidden_encoder_layers: the encoder must be a chain, found {encoder.name!r}; write a "
            "function where(path, leaf) of your own"
        )
    shapes = jax.eval_shape(encoder.init, jax.random.key(0))
    layers = [name for name in encoder.names if name in shapes]
    if len(layers) < 2:
        raise ValueError(
            f"hidden_encoder_layers: the encoder has the layers {layers} with parameters, expected "
            "at least two, as the last one is not chosen"
        )
    chosen = {f"encoder/{name}" for name in layers[:-1]}
    return lambda path, leaf: "/".join(path.split("/")[:2]) in chosen


def reset_and_recluster(
    network: Autoencoder,
    recluster: Callable[[Array, Params, Array], Params],
    *,
    factor: float | Array = 0.8,
    where: Where | None = None,
    subsample: int = 10_000,
) -> Hook:
    """Soft reset of the encoder, then new clusters, found in a part of the data.

    Breaking the reclustering barrier (BRB), Miklautz et al. (2025), algorithm 1: every 20 epochs,
    with a factor of 0.8 for all layers of the encoder but the last, k-means on 10 000 codes, and
    the centers' moments in the optimizer (Adam) set to zero, while its count of steps goes on. As
    a hook: `(every, reset_and_recluster(...), every)` with `every` of 20 epochs.

    The targets of `with_targets` belong to the old centers: let `refresh_targets` follow as a hook
    with the same steps.

    Args:
        network: the autoencoder.
        recluster: `(key, params, x)`, with the parameters of the autoencoder, to the new parameters
            of the clusters, by their names: in BRB `{"centers": ...}` of `cluster_codes`.
        factor: share of the parameters that stays; may be traced.
        where: which parameters of the autoencoder are reset, by default
            `hidden_encoder_layers(network)`.
        subsample: how many examples `recluster` sees, at most. Where the data have a `weight`, they
            are drawn with replacement, with probabilities in proportion to it.

    Returns:
        A hook `(state, data) -> state` on params `{"autoencoder": ...}` with those of the
        clusters beside them, which sees `data["x"]`. What is drawn is a function of the key and the
        step in the state.

    Raises:
        ValueError: a number below 1, a factor outside [0, 1]; (of the function) parameters of
            clusters that the state does not have, a schedule-free optimizer.

    >>> import jaxnet as jn, optax
    >>> from jaxnet.clustering import cluster_codes
    >>> network = jn.autoencoders.mlp_autoencoder([4, 3, 2])
    >>> def init(key):
    ...     return {"autoencoder": network.init(key), "centers": jnp.eye(3, 2)}
    >>> reconstruction = jn.autoencoders.reconstruction(network)
    >>> def objective(params, batch, key):
    ...     return reconstruction(params["autoencoder"], batch, key)
    >>> learner = jn.gradient_learner(init, objective, optax.adam(0.01))
    >>> def recluster(key, params, x):
    ...     return {"centers": cluster_codes(key, network.encode, params, x, 3).centers}
    >>> hook = reset_and_recluster(network, recluster)
    >>> x = jnp.ones((20, 4))
    >>> state = jax.eval_shape(learner.init, jax.random.key(0))
    >>> jax.eval_shape(hook, state, {"x": x}).params["centers"].shape
    (3, 2)
    """
    require_positive("reset_and_recluster", subsample=subsample)
    require_range("reset_and_recluster", "factor", factor, 0, 1)
    where = hidden_encoder_layers(network) if where is None else where

    def reset(state: TrainState, data: Batch) -> TrainState:
        require_no_average("reset_and_recluster", state.optimizer_state)
        key = jax.random.fold_in(fold_in_name(state.key, "reset"), state.step)
        fresh_key, subsample_key, clusters_key = jax.random.split(key, 3)

        def blend(params: Params) -> Params:
            old = params["autoencoder"]
            new = soft_reset(fresh_key, old, network.init, factor=factor, where=where)
            return params | {"autoencoder": new}

        state = state._replace(params=update_params(state.params, blend))
        x = _subsample(subsample_key, data, subsample)
        params = evaluation_params(state)
        clusters = recluster(clusters_key, params["autoencoder"], x)
        if not clusters.keys() <= params.keys() - {"autoencoder"}:
            raise ValueError(
                f"reset_and_recluster: recluster gave {sorted(clusters)}, expected parameters of "
                f"clusters among {sorted(params.keys() - {'autoencoder'})}"
            )
        return state._replace(
            params=update_params(state.params, lambda params: params | clusters),
            optimizer_state=_without_moments(state.optimizer_state, clusters),
        )

    return reset


def _subsample(key: Array, data: Batch, size: int) -> Array:
    x, weight = require_entry("reset_and_recluster", data, "x"), example_weight(data)
    num_rows = min(size, len(x))
    if weight is not None:
        rows = jax.random.categorical(key, jnp.log(jnp.maximum(weight, 0)), shape=(num_rows,))
    elif size < len(x):
        rows = jax.random.permutation(key, len(x))[:size]
    else:
        return x
    return take_examples(x, rows)


def _without_moments(optimizer_state: PyTree, names: Collection[str]) -> PyTree:
    """Zeros for what an optimizer remembers of the parameters of these names."""
    forgotten = {jax.tree_util.DictKey(name) for name in names}

    def forget(path: jax.tree_util.KeyPath, leaf: Array) -> Array:
        return leaf if forgotten.isdisjoint(path) else jnp.zeros_like(leaf)

    return jax.tree_util.tree_map_with_path(forget, optimizer_state)
