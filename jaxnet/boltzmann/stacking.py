"""Greedy stacking of machines into a deep belief network, and its unrolling into mlps."""

import itertools
from collections.abc import Callable, Sequence

from jaxtyping import Array, Float, Shaped

from jaxnet._checks import require_sizes
from jaxnet.boltzmann.machine import RBM
from jaxnet.boltzmann.units import BERNOULLI, Unit
from jaxnet.objectives.weighting import require_entry
from jaxnet.training.stages import Stage, fit_stages
from jaxnet.training.state import Learner
from jaxnet.typing import Batch, Metrics, Params


def stack(
    dims: Sequence[int], *, visible: Unit = BERNOULLI, code: Unit = BERNOULLI
) -> tuple[RBM, ...]:
    """Machines of which each takes the hidden units of the one before as its visible units.

    Args:
        dims: sizes of the data and of each hidden layer.
        visible: kind of the units of the data.
        code: kind of the units of the last layer; `GAUSSIAN` for the linear code of an
            autoencoder. All others are Bernoulli.

    Returns:
        The machines, the one on the data first.

    Raises:
        ValueError: fewer than two sizes, a size below 1.

    >>> from jaxnet import boltzmann
    >>> [(rbm.num_visible, rbm.num_hidden, rbm.hidden.name)
    ...  for rbm in stack([784, 256, 30], code=boltzmann.GAUSSIAN)]
    [(784, 256, 'Bernoulli'), (256, 30, 'Gaussian')]
    """
    meaning = "hold at least the sizes of the data and of one hidden layer"
    dims = require_sizes("stack", "dims", dims, meaning, min_length=2)
    units = [visible, *[BERNOULLI] * (len(dims) - 2), code]
    return tuple(
        RBM(num_visible, num_hidden, visible=below, hidden=above)
        for (num_visible, below), (num_hidden, above) in itertools.pairwise(
            zip(dims, units, strict=True)
        )
    )


def encode(
    rbms: Sequence[RBM], params: Sequence[Params], x: Shaped[Array, "*batch visible"]
) -> Float[Array, "*batch code"]:
    """Means of the last hidden units, each layer given the means of the layer below.

    Args:
        rbms: machines as from `stack`, or the first few of them.
        params: their parameters.
        x: data.

    Returns:
        The means, in [0, 1] for Bernoulli units.

    >>> import jax
    >>> rbms = stack([6, 4, 2])
    >>> params = [rbm.init(jax.random.key(0)) for rbm in rbms]
    >>> encode(rbms, params, jax.numpy.ones((5, 6))).shape
    (5, 2)
    """
    for rbm, own in zip(rbms, params, strict=True):
        x = rbm.hidden_mean(own, x)
    return x


def stack_stages(rbms: Sequence[RBM], learner: Callable[[RBM], Learner]) -> tuple[Stage, ...]:
    """Stages that train machines one after the other, each on the hidden means of the one before.

    `jaxnet.training.fit_stages` trains them in one pure function, `jaxnet.runs.train_stages` with
    checkpoints. The data are `{"x": x}`, optionally with a `weight`.

    Args:
        rbms: machines as from `stack`.
        learner: from a machine to its learner.

    Returns:
        One stage for each machine: `rbm_0`, `rbm_1`, ...

    >>> import jaxnet as jn, optax
    >>> from jaxnet import boltzmann
    >>> def learner(rbm):
    ...     objective = boltzmann.contrastive_divergence(rbm)
    ...     return jn.gradient_learner(rbm.init, objective, optax.sgd(0.1))
    >>> [stage.name for stage in stack_stages(stack([6, 4, 2]), learner)]
    ['rbm_0', 'rbm_1']
    """

    def stage(index: int, rbm: RBM) -> Stage:
        def hidden_means(previous: tuple[Params, ...], data: Batch) -> Batch:
            x = require_entry("stack_stages", data, "x")
            return {**data, "x": encode(rbms[:index], previous, x)}

        return Stage(f"rbm_{index}", lambda previous: learner(rbm), hidden_means if index else None)

    return tuple(stage(index, rbm) for index, rbm in enumerate(rbms))


def fit_stack(
    rbms: Sequence[RBM],
    learner: Callable[[RBM], Learner],
    key: Array,
    x: Shaped[Array, "examples visible"],
    *,
    batch_size: int,
    num_epochs: int,
) -> tuple[tuple[Params, ...], tuple[Metrics, ...]]:
    """Train machines one after the other, each on the hidden means of the one before.

    `jaxnet.training.fit_stages` of `stack_stages`, a pure function. Hinton, Osindero, Teh (2006),
    "A fast learning algorithm for deep belief nets", section 4, with the probabilities of the
    hidden units as data, as Hinton and Salakhutdinov (2006) do.

    Args:
        rbms: machines as from `stack`.
        learner: from a machine to its learner; Gaussian units need a rate ten to a hundred times
            smaller than Bernoulli units.
        key: PRNG key.
        x: data.
        batch_size: examples in a batch.
        num_epochs: passes over the data, for each machine.

    Returns:
        The parameters and the history of each machine.

    Raises:
        ValueError: as `fit`.

    >>> import jax, jaxnet as jn, optax
    >>> from jaxnet import boltzmann
    >>> def learner(rbm):
    ...     objective = boltzmann.contrastive_divergence(rbm)
    ...     return jn.gradient_learner(rbm.init, objective, optax.sgd(0.1))
    >>> def run(key, x):
    ...     return fit_stack(stack([6, 4, 2]), learner, key, x, batch_size=5, num_epochs=3)
    >>> params, histories = jax.jit(run)(jax.random.key(0), jax.numpy.ones((10, 6)))
    >>> [own["kernel"].shape for own in params], histories[0]["loss"].shape
    ([(6, 4), (4, 2)], (3,))
    """
    stages = stack_stages(rbms, learner)
    return fit_stages(stages, key, {"x": x}, num_epochs=num_epochs, batch_size=batch_size)


def unroll(params: Sequence[Params]) -> dict[str, dict[str, dict[str, Array]]]:
    """Parameters of an autoencoder's two mlps: the stack upwards, and its mirror image downwards.

    With `activation=jax.nn.sigmoid` in both, the encoder computes what `encode` does, up to the
    last layer, which is linear in an `mlp`: the code itself where the code units are Gaussian, and
    its logits where they are Bernoulli. The decoder's outputs are logits for Bernoulli visible
    units and means for Gaussian ones. Hinton and Salakhutdinov (2006), "Reducing the
    dimensionality of data with neural networks", figure 1.

    The encoder also holds the hidden layers of a classifier to be tuned:
    `network.init(key) | unroll(params)["encoder"]` for `network = jn.mlp([*dims, num_classes])`.

    Args:
        params: those of each machine, the one on the data first.

    Returns:
        `{"encoder": ..., "decoder": ...}`, each as of `jaxnet.mlp`: `dense_0`, `dense_1`, ...

    Raises:
        ValueError: no machine.

    >>> import jax
    >>> params = [rbm.init(jax.random.key(0)) for rbm in stack([6, 4, 2])]
    >>> unrolled = unroll(params)
    >>> [unrolled["decoder"][name]["kernel"].shape for name in ("dense_0", "dense_1")]
    [(2, 4), (4, 6)]
    """
    if not params:
        raise ValueError("unroll: params must hold those of at least one machine, found none")
    up = [{"kernel": own["kernel"], "bias": own["hidden_bias"]} for own in params]
    down = [{"kernel": own["kernel"].T, "bias": own["visible_bias"]} for own in reversed(params)]
    return {"encoder": _dense_layers(up), "decoder": _dense_layers(down)}


def _dense_layers(layers: Sequence[dict[str, Array]]) -> dict[str, dict[str, Array]]:
    return {f"dense_{index}": layer for index, layer in enumerate(layers)}
