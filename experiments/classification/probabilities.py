"""From the outputs of networks to logits, probabilities and classes."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def class_logits(outputs: Float[Array, "*batch outputs"]) -> Float[Array, "*batch classes"]:
    """Logits of all classes; one logistic output `z` is the two logits `(0, z)`.

    >>> class_logits(jnp.array([[2.0]])).tolist()
    [[0.0, 2.0]]
    """
    if outputs.shape[-1] > 1:
        return outputs
    return jnp.concatenate([jnp.zeros_like(outputs), outputs], axis=-1)


@jax.jit
def class_probabilities(outputs: Float[Array, "networks n outputs"]) -> Float[Array, "n classes"]:
    """Mean over the networks of the probabilities of all classes, `(n, classes)`.

    >>> class_probabilities(jnp.array([[[0.0]]])).tolist()
    [[0.5, 0.5]]
    """
    return jnp.mean(jax.nn.softmax(class_logits(outputs)), axis=0)


def predicted_classes(outputs: Float[np.ndarray, "*batch outputs"]) -> Int[np.ndarray, "*batch"]:
    """The most probable class of each example.

    >>> predicted_classes(np.array([[-1.0], [2.0]])).tolist()
    [0, 1]
    """
    if outputs.shape[-1] > 1:
        return outputs.argmax(axis=-1)
    return (outputs[..., 0] > 0).astype(int)
