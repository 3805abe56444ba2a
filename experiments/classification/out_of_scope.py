"""How well examples of none of the classes are told from those of the classes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from experiments.classification.probabilities import class_logits
from jaxnet import metrics


def out_of_scope_metrics(
    inside: Float[Array, "networks n outputs"], outside: Float[Array, "networks m outputs"]
) -> dict[str, Array]:
    """Area under the ROC curve of scores that are high for examples of none of the classes.

    The scores of one network are `1 - max_k p_k` (Hendrycks and Gimpel, 2017, "A baseline for
    detecting misclassified and out-of-distribution examples") and the energy `-log sum_k exp z_k`
    (Liu et al., 2020, "Energy-based out-of-distribution detection", eq. 4); those of all networks
    together the entropy of their mean probability and the part of it that is their disagreement
    (Lakshminarayanan et al., 2017; Depeweg et al., 2018, eq. 2).

    Args:
        inside: outputs for test examples of the classes.
        outside: outputs for examples of none of them.

    Returns:
        `(networks,)` for a score of one network, `(1,)` for one of all together.
    """
    logits = class_logits(jnp.concatenate([inside, outside], axis=1))
    labels = jnp.concatenate([jnp.zeros(inside.shape[1], int), jnp.ones(outside.shape[1], int)])
    probabilities = jax.nn.softmax(logits)
    mean = probabilities.mean(axis=0)
    total = _entropy(mean)
    single = {
        "max_probability": -probabilities.max(axis=-1),
        "energy": -jax.nn.logsumexp(logits, axis=-1),
    }
    joint = {
        "ensemble_entropy": total,
        "disagreement": total - _entropy(probabilities).mean(axis=0),
    }
    scores = single | {name: values[None] for name, values in joint.items()}
    auc = jax.jit(jax.vmap(metrics.roc_auc, (0, None)))
    return {f"out_of_scope_auc_{name}": auc(values, labels) for name, values in scores.items()}


def _entropy(probabilities: Float[Array, "*batch classes"]) -> Float[Array, "*batch"]:
    return jax.scipy.special.entr(probabilities).sum(axis=-1)
