"""Arguments of objectives for few labels, and of their networks, that are numbers."""

import math

from jaxnet import nn, objectives
from tests.ranges.calls import NETWORK, spread

LADDER = {"denoising_weights": [1.0, 0.1]}

# (function, argument) -> (call, a number inside the range, a number outside).
COUNTS = {
    (nn.batch_norm_mlp, "dims"): (lambda value: nn.batch_norm_mlp([4, value, 2]), 2, 0),
    (objectives.ladder, "dims"): (
        lambda value: objectives.ladder([4, value], denoising_weights=[1.0, 0.1]),
        2,
        0,
    ),
    (objectives.virtual_adversarial, "num_power_iterations"): (
        spread(objectives.virtual_adversarial, "num_power_iterations", NETWORK, radius=1.0),
        2,
        0,
    ),
    (objectives.ramp_up, "num_steps"): (spread(objectives.ramp_up, "num_steps"), 2, 0),
}

# (function, argument) -> (call, numbers inside the range, numbers outside).
NUMBERS = {
    (nn.batch_norm_mlp, "decay"): (
        spread(nn.batch_norm_mlp, "decay", [4, 2]),
        (0.0, 0.5, 1.0),
        (-0.5, 1.5),
    ),
    (objectives.ladder, "noise_std"): (
        spread(objectives.ladder, "noise_std", [4, 2], **LADDER),
        (0.0, 0.5),
        (-1.0, math.inf),
    ),
    (objectives.ladder, "decay"): (
        spread(objectives.ladder, "decay", [4, 2], **LADDER),
        (0.0, 0.5, 1.0),
        (-0.5, 1.5),
    ),
    (objectives.virtual_adversarial, "difference"): (
        spread(objectives.virtual_adversarial, "difference", NETWORK, radius=1.0),
        (1e-6, 1.0),
        (0.0, -1.0, math.inf),
    ),
    (objectives.pseudo_labels, "unlabeled_weight"): (
        spread(objectives.pseudo_labels, "unlabeled_weight", NETWORK),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (objectives.pseudo_labels, "threshold"): (
        spread(objectives.pseudo_labels, "threshold", NETWORK, unlabeled_weight=1.0),
        (0.0, 0.5, 1.0),
        (-0.5, 1.5),
    ),
    (objectives.pi_model, "unlabeled_weight"): (
        spread(objectives.pi_model, "unlabeled_weight", NETWORK),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (objectives.mean_teacher, "unlabeled_weight"): (
        spread(objectives.mean_teacher, "unlabeled_weight", NETWORK),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (objectives.mean_teacher, "decay"): (
        spread(objectives.mean_teacher, "decay", NETWORK, unlabeled_weight=1.0),
        (0.0, 0.5, 1.0),
        (-0.5, 1.5),
    ),
    (objectives.virtual_adversarial, "radius"): (
        spread(objectives.virtual_adversarial, "radius", NETWORK),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (objectives.virtual_adversarial, "unlabeled_weight"): (
        spread(objectives.virtual_adversarial, "unlabeled_weight", NETWORK, radius=1.0),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (objectives.virtual_adversarial, "entropy_weight"): (
        spread(objectives.virtual_adversarial, "entropy_weight", NETWORK, radius=1.0),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (objectives.fixmatch, "unlabeled_weight"): (
        spread(objectives.fixmatch, "unlabeled_weight", NETWORK, weak=NETWORK, strong=NETWORK),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
    (objectives.fixmatch, "threshold"): (
        spread(
            objectives.fixmatch,
            "threshold",
            NETWORK,
            weak=NETWORK,
            strong=NETWORK,
            unlabeled_weight=1.0,
        ),
        (0.0, 0.5, 1.0),
        (-0.5, 1.5),
    ),
    (objectives.ramp_up, "final"): (
        spread(objectives.ramp_up, "final", 3),
        (0.0, 2.0),
        (-1.0, math.inf),
    ),
}
