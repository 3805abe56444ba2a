"""Distillation: a network that learns the outputs of others."""

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxnet._checks import require_above_zero, require_range
from jaxnet.nn.network import Network, require_network
from jaxnet.objectives.prediction import supervised
from jaxnet.objectives.weighting import require_shape
from jaxnet.typing import Objective


def distillation(
    network: Network, *, temperature: ArrayLike = 2.0, label_weight: ArrayLike = 0.0
) -> Objective:
    """Cross-entropy with the softened probabilities of a teacher.

    `(1 - a) T^2 H(softmax(t / T), softmax(z / T)) + a H(y, softmax(z))` with the logits `t` of
    the teacher and `z` of the network, `T = temperature` and `a = label_weight`. Hinton, Vinyals
    and Dean (2015), "Distilling the knowledge in a neural network", section 2; the factor `T^2`
    keeps the sizes of both gradients.

    Args:
        network: from inputs to logits `(batch, num_classes)`.
        temperature: greater than 0; may be traced.
        label_weight: weight of the labels, in [0, 1]; may be traced.

    Returns:
        An objective on batches whose `y` is a dict: `teacher`, logits `(batch, num_classes)`, such
        as the logarithm of the mean probabilities of an ensemble; and `label`, `(batch,)`
        integers. Metrics: `accuracy` against the labels, and `agreement` with the teacher.

    Raises:
        TypeError: a network that is not one.
        ValueError: a number out of range; (of the objective) logits of other shapes than the
            outputs.

    >>> import jaxnet as jn
    >>> network = jn.dense(2, 3)
    >>> y = {"teacher": jnp.log(jnp.full((4, 3), 1 / 3)), "label": jnp.zeros(4, jnp.int32)}
    >>> params = jax.tree.map(jnp.zeros_like, network.init(jax.random.key(0)))
    >>> batch = {"x": jnp.ones((4, 2)), "y": y}
    >>> loss, _ = distillation(network, temperature=1.0)(params, batch, None)
    >>> bool(abs(loss - jnp.log(3)) < 1e-6)
    True
    """
    require_network("distillation", network)
    require_above_zero("distillation", temperature=temperature)
    require_range("distillation", "label_weight", label_weight, 0, 1)

    def elementwise(
        logits: Float[Array, "batch classes"], targets: dict[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        teacher, label = targets["teacher"], targets["label"]
        require_shape("distillation", "y['teacher']", teacher, logits.shape)
        require_shape("distillation", "y['label']", label, logits.shape[:-1])
        soft = jax.nn.softmax(teacher / temperature)
        softened = optax.losses.softmax_cross_entropy(logits / temperature, soft)
        hard = optax.losses.softmax_cross_entropy_with_integer_labels(logits, label)
        predicted = jnp.argmax(logits, axis=-1)
        metrics = {
            "accuracy": predicted == label,
            "agreement": predicted == jnp.argmax(teacher, axis=-1),
        }
        scale = (1 - jnp.asarray(label_weight)) * jnp.asarray(temperature) ** 2
        return scale * softened + label_weight * hard, metrics

    return supervised(network, elementwise)
