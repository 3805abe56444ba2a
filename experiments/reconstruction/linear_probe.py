"""How much a linear classifier reads out of codes that were learned without labels."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

import jaxnet as jn
from experiments.data import Dataset, Split
from jaxnet import metrics

_RATE, _NUM_EPOCHS, _BATCH_SIZE, _L2 = 5e-3, 40, 128, 1e-4


def probe_errors(codes: np.ndarray, dataset: Dataset, parts: Split, keys: Array) -> np.ndarray:
    """Test errors of logistic regressions on the codes, one for each network.

    The classifier learns from the training part, by Adam with a cosine schedule and a small L2
    penalty. The codes of each network are divided by their standard deviation, one number for all.

    Args:
        codes: `(networks, n, code_dim)`.
        dataset: its labels.
        parts: training and test part.
        keys: one for each network.

    Returns:
        Shares of test examples that are called a wrong class, `(networks,)`.
    """
    num_train = len(parts.train)
    batch_size = min(_BATCH_SIZE, num_train)
    network = jn.mlp([codes.shape[-1], dataset.num_classes])
    num_steps = num_train // batch_size * _NUM_EPOCHS
    learner = jn.gradient_learner(
        network.init,
        jn.with_l2(jn.classification(network), _L2),
        optax.adam(optax.cosine_decay_schedule(_RATE, num_steps)),
    )

    @jax.jit
    def error(key: Array, train: dict[str, Array], test: dict[str, Array]) -> Array:
        state, _ = jn.fit(learner, key, train, batch_size=batch_size, num_epochs=_NUM_EPOCHS)
        outputs = jn.predict(network.apply, state.params, test["x"])
        return 1 - metrics.accuracy(outputs, test["y"])

    def part(x: np.ndarray, indices: np.ndarray) -> dict[str, Array]:
        return {"x": jnp.asarray(x[indices]), "y": jnp.asarray(dataset.y[indices])}

    errors = []
    # Networks take turns, so that the memory is that of one.
    for key, own in zip(keys, codes, strict=True):
        x = own / max(float(own[parts.train].std()), np.finfo(np.float32).tiny)
        errors.append(error(key, part(x, parts.train), part(x, parts.test)))
    return np.array(errors)
