"""Training: learners, the source of their batches, the pure run and the watched run."""

from jaxnet.training.averages import (
    Averaged,
    Member,
    averaged_learner,
    evaluation_extra,
    evaluation_params,
    replace_extra,
)
from jaxnet.training.batches import (
    Batches,
    num_examples,
    per_run,
    shuffled,
    take_examples,
)
from jaxnet.training.driver import advance, begin_epoch, epochs, mean_metrics
from jaxnet.training.early_stopping import (
    Best,
    EarlyStopped,
    init_best,
    keep_best,
    out_of_patience,
)
from jaxnet.training.ensembles import ensemble_outputs, select_ensemble
from jaxnet.training.evaluation import evaluate
from jaxnet.training.host import HostData
from jaxnet.training.index_shuffle import IndexShuffled, index_shuffled
from jaxnet.training.learner import gradient_learner
from jaxnet.training.members import (
    in_member_order,
    map_members,
    member_objective,
    select_members,
    take_members,
)
from jaxnet.training.permutation import permute_indices
from jaxnet.training.population import Group, Population, init_population
from jaxnet.training.population_fit import fit_population
from jaxnet.training.prediction import predict
from jaxnet.training.pure import fit, run_epoch, run_steps
from jaxnet.training.sharding import (
    data_parallel,
    device_mesh,
    replicate,
    shard_examples,
    shard_runs,
)
from jaxnet.training.sources import balanced, in_order, side_by_side
from jaxnet.training.stages import Stage, fit_stages
from jaxnet.training.state import Learner, TrainState, fold_in_name, restart
from jaxnet.training.transforms import augmented_learner, weight_examples
from jaxnet.training.validation import Validation

__all__ = [
    "Averaged",
    "Batches",
    "Best",
    "EarlyStopped",
    "Group",
    "HostData",
    "IndexShuffled",
    "Learner",
    "Member",
    "Population",
    "Stage",
    "TrainState",
    "Validation",
    "advance",
    "augmented_learner",
    "averaged_learner",
    "balanced",
    "begin_epoch",
    "data_parallel",
    "device_mesh",
    "ensemble_outputs",
    "epochs",
    "evaluate",
    "evaluation_extra",
    "evaluation_params",
    "fit",
    "fit_population",
    "fit_stages",
    "fold_in_name",
    "gradient_learner",
    "in_member_order",
    "in_order",
    "index_shuffled",
    "init_best",
    "init_population",
    "keep_best",
    "map_members",
    "mean_metrics",
    "member_objective",
    "num_examples",
    "out_of_patience",
    "per_run",
    "permute_indices",
    "predict",
    "replace_extra",
    "replicate",
    "restart",
    "run_epoch",
    "run_steps",
    "select_ensemble",
    "select_members",
    "shard_examples",
    "shard_runs",
    "shuffled",
    "side_by_side",
    "take_examples",
    "take_members",
    "weight_examples",
]
