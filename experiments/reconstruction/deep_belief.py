"""Deep belief networks: machines trained one after the other, then unrolled."""

from collections.abc import Sequence
from typing import Any

import jax
import optax
from jaxtyping import Array, Float

import jaxnet as jn
from jaxnet import boltzmann
from jaxnet.runs import RunDirectory, TrainOptions, train_stages

# Hinton and Salakhutdinov (2006), supplement: Gaussian units need a rate a hundred times smaller.
_GAUSSIAN_FRACTION, _MOMENTUM = 0.01, 0.9


def pretrain(
    directory: RunDirectory,
    keys: Array,
    *,
    rbms: Sequence[boltzmann.RBM],
    x: Float[Array, "n features"],
    rate: float,
    batch_size: int,
    options: TrainOptions,
) -> Any:
    """Train a stack of machines for each key, and unroll each into an autoencoder.

    As `boltzmann.fit_stack`, for a batch of runs and with a folder of metrics and checkpoints for
    each machine. Each machine learns by one step of contrastive divergence, stochastic gradients
    and momentum.

    Args:
        directory: the run directory.
        keys: one for each network, `(runs,)`.
        rbms: from `boltzmann.stack`.
        x: the training examples.
        rate: learning rate of machines of Bernoulli units; a hundredth for Gaussian ones.
        batch_size: examples in a batch.
        options: number of epochs of each machine, and its checkpoints.

    Returns:
        Parameters of autoencoders, with a leading axis `(runs, ...)`.

    Raises:
        FloatingPointError: a machine that diverges.
    """

    def learner(rbm: boltzmann.RBM) -> jn.Learner:
        factor = _GAUSSIAN_FRACTION if rbm.hidden == boltzmann.GAUSSIAN else 1
        return jn.gradient_learner(
            rbm.init,
            boltzmann.contrastive_divergence(rbm),
            optax.sgd(rate * factor, momentum=_MOMENTUM),
        )

    stages = boltzmann.stack_stages(rbms, learner)
    results = train_stages(directory, stages, keys, {"x": x}, batches=batch_size, options=options)
    return jax.vmap(boltzmann.unroll)([result.params for result in results])
