"""Pretraining of deep belief networks: machines trained one after the other, each a stage."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import optax
from jaxtyping import Array, Float

import jaxnet as jn
from experiments.reconstruction.config import DeepBelief
from jaxnet import boltzmann, runs

# Hinton and Salakhutdinov (2006), supplement: Gaussian units need a rate a hundred times smaller.
_GAUSSIAN_FACTOR, _MOMENTUM = 0.01, 0.9


def pretrain(
    train_stages: Callable[..., tuple[runs.TrainResult, ...]],
    rbms: Sequence[boltzmann.RBM],
    keys: Array,
    x: Float[Array, "n features"],
    *,
    options: DeepBelief,
    batch_size: int,
    watch: runs.TrainOptions,
) -> tuple[Any, list[str]]:
    """Train a stack of machines for each key, and unroll each stack into an autoencoder.

    As `boltzmann.fit_stack`, for all networks in one program; each machine is a stage of the run,
    `rbm_0` and so on. It learns by one step of contrastive divergence, stochastic gradients and
    momentum.

    Args:
        train_stages: `jaxnet.runs.train_stages` in the run directory.
        rbms: from `boltzmann.stack`.
        keys: one for each network.
        x: the training examples.
        options: rate, and epochs of each machine.
        batch_size: examples in a batch.
        watch: checkpoints and event files of each stage.

    Returns:
        Parameters of autoencoders, stacked over the networks, and the hash of the state of each
        stage.

    Raises:
        FloatingPointError: a machine that diverges.
    """

    def learner(rbm: boltzmann.RBM) -> jn.Learner:
        factor = _GAUSSIAN_FACTOR if rbm.hidden == boltzmann.GAUSSIAN else 1
        return jn.gradient_learner(
            rbm.init,
            boltzmann.contrastive_divergence(rbm),
            optax.sgd(options.pretrain_rate * factor, momentum=_MOMENTUM),
        )

    results = train_stages(
        boltzmann.stack_stages(rbms, learner),
        keys,
        {"x": x},
        batches=batch_size,
        options=watch,
    )
    params = jax.vmap(boltzmann.unroll)([result.params for result in results])
    return params, [result.state_sha256 for result in results]
