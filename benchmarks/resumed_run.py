"""A run that resumes by itself: `python -m benchmarks.resumed_run DIRECTORY NUM_EPOCHS`.

Trains 784-256-10 with dropout on MNIST by Adam, saves the whole state after each epoch, and prints
the hash of the last one. Started again after a kill, it goes on from the newest checkpoint.
"""

import sys

import jax
import jax.numpy as jnp
import optax

import jaxnet as jn
from benchmarks.data import mnist
from jaxnet import checkpoint


def main(directory: str, num_epochs: int) -> str:
    """Train to the last epoch; returns the hash of the state.

    Args:
        directory: of the checkpoints.
        num_epochs: epochs of the whole run.
    """
    images = mnist()
    data = {"x": jnp.asarray(images.x[:20_000]), "y": jnp.asarray(images.y[:20_000])}
    network = jn.mlp([784, 256, 10], dropout=0.2)
    learner = jn.gradient_learner(network.init, jn.classification(network), optax.adam(1e-3))
    state = learner.init(jax.random.key(0))
    checkpoints = checkpoint.Checkpoints(directory)
    restored = checkpoints.restore(state)
    epoch = 0
    if restored is not None:
        state, epoch = restored.state, restored.step
    training = jn.epochs(learner, state, data, batch_size=128)
    while epoch < num_epochs:
        state, _ = next(training)
        epoch += 1
        checkpoints.save(epoch, state)
    return checkpoint.params_sha256(state)


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2])))
