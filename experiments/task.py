"""A training on one split of a data set, as an experiment describes it to whoever runs it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax

import jaxnet as jn
from experiments.command import stopwatch
from experiments.data import Dataset
from experiments.memory import check_memory
from experiments.placement import place
from experiments.training import batch_size, open_directory, seed_keys, train_options
from jaxnet.runs import RunDirectory, TrainResult

# From stacked parameters and extra states to the metrics of each run.
Evaluate = Callable[[Any, Any], dict[str, jax.Array]]


class Score(NamedTuple):
    """The metric on validation data by which settings are chosen.

    Attributes:
        metric: its name.
        is_larger_better: whether the largest is the best.
    """

    metric: str
    is_larger_better: bool


class Task(Protocol):
    """Data that are ready, and what is trained on them.

    The methods take a config, which may differ from that of the task in whatever leaves the data,
    their split and their scale as they are.

    Attributes:
        config: the resolved options.
        dataset: the data as they were loaded.
        data: the training examples.
        num_train: their number.
    """

    @property
    def config(self) -> Any: ...
    @property
    def dataset(self) -> Dataset: ...
    @property
    def data(self) -> dict[str, Any]: ...
    @property
    def num_train(self) -> int: ...

    def learner(self, config: Any) -> jn.Learner:
        """The learner of a config, in which numbers may be traced."""
        ...

    def evaluate(self, config: Any) -> Evaluate | None:
        """Metrics of a batch of runs on the validation examples; None where there are none."""
        ...

    def test(self, config: Any, params: Any) -> Any:
        """What `conclude` needs of the test examples, for the parameters of a batch of runs."""
        ...

    def conclude(
        self,
        directory: RunDirectory,
        config: Any,
        trained: TrainResult,
        tested: Any,
        seconds: Mapping[str, float],
    ) -> dict[str, Any]:
        """Save the model, draw figures and write the summary, which is returned."""
        ...


def run_task(task: Task) -> dict[str, Any]:
    """Train the networks of a task, in its run directory.

    Args:
        task: the task.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options, before anything is written.
        FloatingPointError: a training that diverges.
    """
    config, options = task.config, train_options(task.config)
    learner = task.learner(config)
    check_memory(config, learner.init)
    size = batch_size(config, task.num_train)
    config, placement = place(config, config.num_seeds, [size])
    with open_directory(config, task.dataset.sha256) as directory, placement.context():
        with stopwatch() as seconds:
            trained = placement.train(
                directory,
                learner,
                jax.jit(jax.vmap(learner.init))(seed_keys(config)),
                task.data,
                batches=size,
                options=options,
                evaluate=task.evaluate(config),
            )
            tested = task.test(config, trained.params)
        return task.conclude(directory, config, trained, tested, seconds)
