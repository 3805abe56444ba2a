"""Deep belief networks: a stack of machines trained one after the other, watched."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import optax
from jaxtyping import Array, Float

import jaxnet as jn
from jaxnet import boltzmann

# Hinton and Salakhutdinov (2006), supplement: Gaussian units need a rate a hundred times smaller.
_GAUSSIAN_SHARE, _MOMENTUM = 0.01, 0.9


def pretrain(
    rbms: Sequence[boltzmann.RBM],
    keys: Array,
    x: Float[Array, "n features"],
    *,
    rate: float,
    batch_size: int,
    num_epochs: int,
) -> Any:
    """Train a stack of machines for each key, and unroll each into an autoencoder.

    As `boltzmann.fit_stack`, for all networks side by side and with a line after each epoch. Each
    machine learns by one step of contrastive divergence, stochastic gradients and momentum. It is
    a function of its arguments: an interrupted one is done again, to the same bits.

    Args:
        rbms: from `boltzmann.stack`.
        keys: one for each network.
        x: the training examples.
        rate: learning rate of machines of Bernoulli units; a hundredth for Gaussian ones.
        batch_size: examples in a batch.
        num_epochs: passes over the data, for each machine.

    Returns:
        Parameters of autoencoders, stacked over the networks.

    Raises:
        FloatingPointError: a machine that diverges.
    """
    stacked, data_axis = [], None
    for index, rbm in enumerate(rbms):
        gaussian = rbm.hidden == boltzmann.GAUSSIAN
        learner = jn.gradient_learner(
            rbm.init,
            boltzmann.contrastive_divergence(rbm),
            optax.sgd(rate * (_GAUSSIAN_SHARE if gaussian else 1), momentum=_MOMENTUM),
        )
        own_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, index)
        states = jax.jit(jax.vmap(learner.init))(own_keys)
        batches = jn.training.shuffled(batch_size)
        batches = batches if data_axis is None else jn.training.per_run(batches)
        run = jn.epochs(learner, states, {"x": x}, batches=batches)
        for epoch, (trained, metrics) in enumerate(itertools.islice(run, num_epochs), start=1):
            states = trained
            error = float(metrics["squared_reconstruction_error"].mean())
            print(
                f"pretraining machine {index + 1} of {len(rbms)} "
                f"({rbm.num_visible}-{rbm.num_hidden}), epoch {epoch}/{num_epochs}: "
                f"squared error {error:.4g}",
                flush=True,
            )
            if not error < float("inf"):
                raise FloatingPointError(
                    f"pretraining machine {index + 1} diverged in epoch {epoch}; try a smaller "
                    "--pretrain-rate"
                )
        stacked.append(states.params)
        x = jax.jit(jax.vmap(rbm.hidden_mean, (0, data_axis)))(states.params, x)
        data_axis = 0
    return jax.vmap(boltzmann.unroll)(stacked)
