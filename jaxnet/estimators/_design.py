"""What an estimator trains: the network, its objective and its learner, of a description of them.

A `Design` is all that decides the compiled program, shapes included; the numbers of `Settings` are
traced, so that one program serves all their values.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

import jaxnet.autoencoders as autoencoders
import jaxnet.boltzmann as boltzmann
from jaxnet.nn import masking_noise, mlp
from jaxnet.objectives import (
    binary_classification,
    classification,
    multilabel_classification,
    regression,
    with_noise,
)
from jaxnet.objectives.stateful import transform_objective
from jaxnet.objectives.weighting import weighted_mean, widen
from jaxnet.optim import optimizer, schedule, takes_schedule
from jaxnet.training import Learner, gradient_learner
from jaxnet.typing import AnyObjective, Apply, Batch, Objective, Params, StatefulApply

Settings = dict[str, Any]
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
}
# A schedule is evaluated at the fraction of the steps that are taken, in this number of parts.
_PARTS = 10_000
# Its weights are factors of the gradient of each example already.
_WEIGHTS_GRADIENTS = ("dpsgd",)


class Design(NamedTuple):
    """What is static of a training.

    Attributes:
        task: name of what is learned, see `build_model`.
        dims: sizes of input, hidden layers and output, or code.
        num_rows: rows of the padded training data.
        num_validation_rows: rows of the padded validation data; 0 without.
        batch_size: rows in a batch.
        num_epochs: largest number of epochs.
        num_networks: networks that are trained side by side.
        optimizer: name of the optimizer.
        schedule: name of the schedule of its rate, or None for one that finds its own.
        decays: whether its weight decay is given.
        activation: name of the activation of hidden layers.
        drops: whether there is dropout, or noise of the inputs.
        patience: epochs without a lower validation loss; None without early stopping.
        dtype: float32 or float64.
        units: kind of the visible units of a Boltzmann machine.
        num_gibbs_steps: Gibbs steps of an update of a Boltzmann machine.
        num_chains: persistent chains of a Boltzmann machine; 0 starts at the data.
    """

    task: str
    dims: tuple[int, ...]
    num_rows: int
    num_validation_rows: int
    batch_size: int
    num_epochs: int
    num_networks: int
    optimizer: str
    schedule: str | None
    decays: bool
    activation: str = "relu"
    drops: bool = False
    patience: int | None = None
    dtype: str = "float32"
    units: str = "bernoulli"
    num_gibbs_steps: int = 1
    num_chains: int = 0


class Model(NamedTuple):
    """What is trained.

    Attributes:
        init: `init(key) -> params`.
        objective: what is minimized.
        evaluation: what is evaluated on validation data, without smoothing and noise.
        functions: `apply(params, x)` by name, for predictions.
    """

    init: Callable[[Array], Params]
    objective: Any
    evaluation: Objective
    functions: dict[str, Apply]


def build_model(design: Design, settings: Settings) -> Model:
    """The model of a design.

    Args:
        design: what is static.
        settings: numbers, which may be traced.
    """
    if design.task == "boltzmann":
        return _boltzmann(design, settings)
    activation = ACTIVATIONS[design.activation]
    if design.task in ("reconstruction", "variational"):
        network = build_autoencoder(design, settings)
        objective = autoencoders.reconstruction(network, mean=lambda outputs: outputs)
        functions = {"encode": network.encode, "decode": network.decode}
        if design.task == "variational":
            functions["posterior"] = _posterior(network)
            # Without its key it reconstructs from the mean of the code.
            objective = _without_key(objective)
        noisy = objective
        if design.drops:
            noisy = with_noise(objective, masking_noise(settings["noise"]))
        return Model(network.init, noisy, objective, functions)
    dropout = settings["dropout"] if design.drops else 0.0
    network = mlp(design.dims, activation=activation, dropout=dropout)
    plain = {
        "classification": classification,
        "binary": binary_classification,
        "multilabel": multilabel_classification,
        "regression": regression,
    }[design.task](network)
    objective = plain
    if design.task == "classification":
        objective = classification(network, label_smoothing=settings["label_smoothing"])
    return Model(network.init, objective, plain, {"outputs": network.apply})


def build_autoencoder(design: Design, settings: Settings) -> Any:
    """The autoencoder of a design, whose outputs are scaled columns.

    Args:
        design: what is static.
        settings: numbers; `output_std` of one that is variational.
    """
    activation = ACTIVATIONS[design.activation]
    if design.task != "variational":
        return autoencoders.mlp_autoencoder(design.dims, activation=activation)
    std = settings["output_std"]
    likelihood = autoencoders.gaussian_likelihood(std, mean=lambda outputs: outputs)
    return autoencoders.mlp_variational_autoencoder(
        design.dims, activation=activation, likelihood=likelihood
    )


def _without_key(objective: Objective) -> Objective:
    return lambda params, batch, key: objective(params, batch, None)


def _posterior(network: Any) -> Any:
    return lambda params, x: jnp.concatenate(network.posterior(params, x), axis=-1)


def _boltzmann(design: Design, settings: Settings) -> Model:
    units = {"bernoulli": boltzmann.BERNOULLI, "gaussian": boltzmann.GAUSSIAN}[design.units]
    rbm = boltzmann.RBM(*design.dims, visible=units)
    steps = design.num_gibbs_steps
    if design.num_chains:
        objective: Any = boltzmann.persistent_contrastive_divergence(
            rbm, num_chains=design.num_chains, num_steps=steps
        )
    else:
        objective = boltzmann.contrastive_divergence(rbm, num_steps=steps)

    def init(key: Array) -> Params:
        return rbm.init(key, visible_bias=settings["visible_bias"])

    functions: dict[str, Any] = {
        "hidden_mean": rbm.hidden_mean,
        "free_energy": rbm.free_energy,
        "reconstruct": rbm.reconstruct,
    }
    return Model(init, objective, objective, functions)


def summed_over_present(objective: AnyObjective) -> AnyObjective:
    """Divide the weighted sum of a batch by the number of its examples, not by their weights.

    The mean over batches is then that over all rows. With the weighted mean of each batch, a batch
    of nothing but rows of little weight would count as much as one of rows of large weight.

    Args:
        objective: an objective whose loss is a weighted mean over the batch.
    """

    def transform(apply: StatefulApply) -> StatefulApply:
        def summed(params: Params, extra: Any, batch: Batch, key: Array | None) -> Any:
            loss, rest = apply(params, extra, batch, key)
            present = widen(batch["weight"] > 0)
            return loss * weighted_mean(batch["weight"], present), rest

        return summed

    return transform_objective(objective, transform)


def _stretched(shape: Any, total: Any) -> Callable[[Array], Array]:
    """A schedule over `_PARTS` steps as one over a number of steps that may be traced."""
    return lambda count: shape(count * (_PARTS / total))


def build_learner(
    design: Design, settings: Settings, objective: Any, init: Callable[[Array], Params], total: Any
) -> Learner:
    """The learner of a design, from any parameters.

    Args:
        design: what is static.
        settings: numbers, which may be traced: `learning_rate` and `weight_decay` among them.
        objective: what is minimized.
        init: first parameters.
        total: steps of the run, over which the schedule runs; may be traced.
    """
    name = design.optimizer
    rate: Any = settings["learning_rate"] if design.schedule else None
    if design.schedule and takes_schedule(name):
        rate = _stretched(schedule(design.schedule, rate, num_steps=_PARTS), total)
    decay = settings["weight_decay"] if design.decays else None

    def of_key(key: Array) -> Any:
        return optimizer(name, rate, key=key, weight_decay=decay)

    if name not in _WEIGHTS_GRADIENTS:
        objective = summed_over_present(objective)
    return gradient_learner(init, objective, of_key)
