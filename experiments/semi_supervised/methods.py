"""The methods: from the options to what each network is, how it starts and how it learns."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax

import jaxnet as jn
from experiments.precision import in_precision, scaled
from experiments.semi_supervised.config import Config, MethodName
from jaxnet import objectives
from jaxnet.typing import AnyObjective, Batch, Optimizer, Params

Start = Literal["labels", "ladder_labels", "autoencoder", "rbm"]
AnyNetwork = jn.Network | jn.nn.StatefulNetwork


class Method(NamedTuple):
    """A method.

    Attributes:
        network: what learns, from vectors to logits; with batch statistics for the ladder network.
        objective: on batches `{"labeled": {"x", "y"}, "unlabeled": {"x"}}`.
        start: what the network has learned before: from labels alone, or from data without labels
            as an autoencoder or a stack of machines.
    """

    network: AnyNetwork
    objective: AnyObjective
    start: Start = "labels"

    @property
    def predictor(self) -> jn.Network:
        """The network that predicts with what `saved` returns."""
        network = self.network
        return network.evaluation if isinstance(network, jn.nn.StatefulNetwork) else network

    def saved(self, params: Any, extra: Any) -> Any:
        """What predicts: evaluation parameters, and batch statistics where there are any."""
        return (params, extra) if isinstance(self.network, jn.nn.StatefulNetwork) else params


def build_network(
    config: Config, in_dim: int, num_classes: int, *, is_sigmoid: bool = False
) -> jn.nn.Chain:
    """An mlp from vectors to the logits of all classes, in float32.

    Args:
        config: the options.
        in_dim: numbers in an example.
        num_classes: number of classes.
        is_sigmoid: whether its hidden layers are those of a stack of Bernoulli machines.
    """
    return jn.mlp(
        [in_dim, *config.hidden_dims, num_classes],
        activation=jax.nn.sigmoid if is_sigmoid else jax.nn.relu,
        dropout=config.dropout,
    )


def build_methods(
    config: Config, in_shape: Sequence[int], num_classes: int, num_steps: int
) -> dict[MethodName, Method]:
    """The methods of a config, in its order.

    Args:
        config: the options.
        in_shape: shape of one example; three sizes are an image.
        num_classes: number of classes.
        num_steps: steps in which the examples without labels take part.
    """
    in_dim = math.prod(in_shape)
    plain = in_precision(config, build_network(config, in_dim, num_classes))
    sigmoid = build_network(config, in_dim, num_classes, is_sigmoid=True)
    build = functools.partial(_objective, config, plain, tuple(in_shape), num_steps)
    methods: dict[MethodName, Method] = {}
    for name in config.methods:
        if name == "ladder":
            methods[name] = _ladder(config, [in_dim, *config.hidden_dims, num_classes])
        elif name == "autoencoder":
            methods[name] = Method(plain, of_labels(plain), "autoencoder")
        elif name == "rbm":
            network = in_precision(config, sigmoid)
            methods[name] = Method(network, of_labels(network), "rbm")
        else:
            methods[name] = Method(plain, build(name))
    return methods


def _objective(
    config: Config,
    network: jn.Network,
    in_shape: tuple[int, ...],
    num_steps: int,
    name: MethodName,
) -> AnyObjective:
    ramp = functools.partial(_ramped, max(1, round(config.ramp * num_steps)))
    moved = moves(config, in_shape)
    if name == "supervised":
        return of_labels(network)
    if name == "augmented":
        return of_labels(network, moved)
    if name == "pseudo_labels":
        return ramp(
            config.pseudo_weight,
            lambda weight: objectives.pseudo_labels(
                network, unlabeled_weight=weight, threshold=config.pseudo_threshold
            ),
        )
    if name == "pi_model":
        return ramp(
            config.pi_weight,
            lambda weight: objectives.pi_model(
                network, unlabeled_weight=weight, augmentation=moved
            ),
        )
    if name == "mean_teacher":
        return ramp(
            config.teacher_weight,
            lambda weight: objectives.mean_teacher(
                network,
                unlabeled_weight=weight,
                decay=config.teacher_decay,
                augmentation=moved,
            ),
        )
    if name == "virtual_adversarial":
        return objectives.virtual_adversarial(
            network,
            radius=config.vat_radius,
            unlabeled_weight=config.vat_weight,
            entropy_weight=config.vat_entropy_weight,
        )
    if name == "fixmatch":
        return objectives.fixmatch(
            network,
            weak=moves(config, in_shape, config.fixmatch_weak),
            strong=jn.chain(moved, jn.nn.masking_noise(config.fixmatch_masking)),
            unlabeled_weight=config.fixmatch_weight,
            threshold=config.fixmatch_threshold,
        )
    raise ValueError(f"unknown method {name!r}")


def _ladder(config: Config, dims: Sequence[int]) -> Method:
    """The ladder network; its last weight is that of all layers after it."""
    given = config.ladder_weights
    weights = [given[min(index, len(given) - 1)] for index in range(len(dims))]
    network, objective = objectives.ladder(
        dims, denoising_weights=weights, noise_std=config.ladder_noise
    )
    return Method(network, objective, "ladder_labels")


def _ramped(num_steps: int, final: float, build: Callable[[Any], AnyObjective]) -> AnyObjective:
    """An objective whose weight rises, since the first predictions are those of few labels."""
    return objectives.scheduled(build, objectives.ramp_up(num_steps, final))


def moves(config: Config, in_shape: tuple[int, ...], factor: float = 1.0) -> jn.Network:
    """How examples are changed at random: images are moved, vectors get noise.

    Args:
        config: the options.
        in_shape: shape of one example; three sizes are an image.
        factor: of the largest moves of an image.
    """
    if len(in_shape) != 3:
        return jn.nn.gaussian_noise(config.noise)
    return jn.nn.random_affine(
        in_shape,
        max_shift=factor * config.max_shift,
        max_rotation=factor * config.max_rotation,
        max_scale=factor * config.max_scale,
    )


def of_labels(network: jn.Network, augmentation: jn.Network | None = None) -> AnyObjective:
    """Supervised training on the labelled part of batches of two parts.

    Args:
        network: from vectors to logits.
        augmentation: of the examples.
    """
    supervised = jn.classification(network)
    if augmentation is not None:
        supervised = jn.with_augmentation(supervised, augmentation)

    def objective(params: Params, batch: Batch, key: jax.Array | None) -> Any:
        return supervised(params, batch["labeled"], key)

    return objective


def learner_of(
    config: Config, objective: AnyObjective, optimizer: Optimizer
) -> Callable[[Callable[[jax.Array], Params]], jn.Learner]:
    """From an initializer to the learner of an objective.

    Args:
        config: the options.
        objective: on the batches of the stage.
        optimizer: how it is minimized.
    """
    return lambda init: jn.gradient_learner(init, scaled(config, objective), optimizer)
