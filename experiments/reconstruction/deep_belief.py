"""Pretraining of deep belief networks: machines trained one after the other, each a stage."""

from collections.abc import Sequence
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
    directory: runs.RunDirectory,
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
    `machine-1` and so on. It learns by one step of contrastive divergence, stochastic gradients and
    momentum.

    Args:
        directory: the run directory.
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
    machines, hashes, batches = [], [], jn.training.shuffled(batch_size)
    for index, rbm in enumerate(rbms):
        factor = _GAUSSIAN_FACTOR if rbm.hidden == boltzmann.GAUSSIAN else 1
        learner = jn.gradient_learner(
            rbm.init,
            boltzmann.contrastive_divergence(rbm),
            optax.sgd(options.pretrain_rate * factor, momentum=_MOMENTUM),
        )
        own_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, index)
        print(f"machine {index + 1} of {len(rbms)}: {rbm.num_visible}-{rbm.num_hidden}", flush=True)
        trained = runs.train(
            directory.stage(f"machine-{index + 1}"),
            learner,
            jax.jit(jax.vmap(learner.init))(own_keys),
            {"x": x},
            batches=batches,
            options=watch,
        )
        machines.append(trained.params)
        hashes.append(trained.state_sha256)
        x = jax.jit(jax.vmap(rbm.hidden_mean, (0, 0 if index else None)))(trained.params, x)
        # Each network goes on with its own hidden units.
        batches = jn.training.per_run(jn.training.shuffled(batch_size))
    return jax.vmap(boltzmann.unroll)(machines), hashes
