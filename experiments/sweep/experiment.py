"""Search for the settings of an experiment.

    python -m experiments.sweep classification --over learning_rate=log:1e-4:1e-1 \\
        --over dropout=uniform:0:0.6 --over hidden_dims=[32],[128],[128,128] --budget 64
    python -m experiments.sweep classification --dataset wine --strategy hyperband \\
        --over learning_rate=log:1e-4:1e-1 --over batch_size=8,16,32
    python -m experiments.sweep regression mlp --dataset diabetes --strategy pbt --budget 20 \\
        --over learning_rate=log:1e-4:1e-1 --over dropout=uniform:0:0.5
    python -m experiments.sweep --resume runs/sweep-digits-...

Settings are chosen by the mean over seeds of a metric on validation data, of equal ones by the
loss. The test part is used once, for the winner, whose trained networks are kept in the folder
`winner`, a run by itself from which `experiments.predict` predicts.

Measured figures: docs/results.md.
"""

import contextlib
import dataclasses
import shutil
from collections.abc import Collection, Mapping
from typing import Any

from experiments.command import count_programs, stopwatch
from experiments.data import Dataset
from experiments.data.streams.packed import is_packed
from experiments.placement import place
from experiments.sweep.config import Config
from experiments.sweep.outputs import Report
from experiments.sweep.reading import read_arguments
from experiments.sweep.settings import module_of, parse_space, trial_config
from experiments.sweep.strategies import (
    Outcome,
    brackets_of,
    population_keys,
    run_brackets,
    run_population,
)
from experiments.sweep.trials import Trials
from experiments.task import Task
from experiments.training import batch_size, check_directory, open_directory
from jaxnet import search
from jaxnet.runs import RunDirectory, json_values
from jaxnet.runs.records import add_hash
from jaxnet.search import Sample, Space

__all__ = ["Config", "load_data", "read_arguments", "run"]

WINNER = "winner"


def load_data(config: Config) -> Dataset:
    """The data set of all trials.

    Raises:
        ValueError: there is no such data set, or its data cannot be used.
    """
    return module_of(config.trial).load_data(config.trial)


def run(config: Config) -> dict[str, Any]:
    """Search, choose the winner on validation data, and test it.

    Args:
        config: the options.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: all trials diverge.
    """
    module = module_of(config.trial)
    check_directory(config)
    space = parse_space(config.over, config.trial, module.SWEPT)
    _check(config, space, module.TRACED)
    samples = draw_samples(config, space)
    brackets = brackets_of(config, len(samples))
    task: Task = module.prepare_task(config.trial)
    config = dataclasses.replace(config, trial=task.config, num_threads=task.config.num_threads)
    config, placement = place(config, config.num_seeds, [batch_size(task.config, task.num_train)])
    configs = [trial_config(task.config, sample) for sample in samples]
    for each in configs:
        module.check(each, task.dataset)
    with contextlib.ExitStack() as watches:
        seconds = watches.enter_context(stopwatch())
        programs = watches.enter_context(count_programs())
        # Before anything is written: groups whose options do not fit are found here.
        # Other numbers stay known, so that a rate of 0 leaves out what it multiplies.
        traced = [name for name in space if name in module.TRACED]
        keys = population_keys(config, len(samples))
        trials = Trials(task, configs, traced, keys, brackets, placement)
        with open_directory(config, task.dataset.sha256) as directory:
            if config.strategy == "pbt":
                outcome = run_population(trials, config, space, directory, module.SCORE)
            else:
                outcome = run_brackets(trials, samples, brackets, directory, module.SCORE)
            tested = _test_winner(config, task, outcome, directory)
            watches.close()
            cost = _cost(trials, config, seconds, len(programs))
            report = Report(config, space, samples, outcome, module.SCORE)
            return report.finish(directory, tested, cost, seconds)


def _cost(
    trials: Trials, config: Config, seconds: Mapping[str, float], num_programs: int
) -> dict[str, Any]:
    """What the sweep has cost."""
    num_networks = len(trials.configs) * trials.num_seeds
    full = trials.num_steps_of(config.trial.num_epochs)
    return {
        "trials": len(trials.configs),
        "networks": num_networks,
        "programs for training": trials.num_programs,
        "programs compiled in all": num_programs,
        "steps of all networks": trials.num_steps,
        "steps of copies that fill programs": trials.num_filling_steps,
        "fraction of training all to the end": trials.num_steps / full,
        "trials per minute": 60 * len(trials.configs) / seconds["total"],
    }


def _test_winner(
    config: Config, task: Task, outcome: Outcome, directory: RunDirectory
) -> dict[str, Any]:
    """Test the networks of the winner; they are kept as a run by itself, whose summary is returned.

    A run that is resumed writes it again.
    """
    trial = trial_config(task.config, outcome.settings)
    winner = directory.stage(WINNER)
    winner.name = trial.experiment
    options = dataclasses.asdict(trial)
    del options["out"], options["resume"]
    winner.write_json("config.json", add_hash({"experiment": winner.name} | json_values(options)))
    shutil.copyfile(directory.path / "manifest.json", winner.path / "manifest.json")
    with stopwatch() as seconds:
        tested = task.test(trial, outcome.trained.params)
    return task.conclude(winner, trial, outcome.trained, tested, seconds)


def _check(config: Config, space: Space, traced: Collection[str]) -> None:
    """Raise where the options of a sweep do not fit each other."""
    trial = config.trial
    if is_packed(getattr(trial, "data", None)):
        raise ValueError(
            f"data: a sweep holds its data in memory, and {trial.data} is packed; give the table"
        )
    if getattr(trial, "cross_validate", 0) or getattr(trial, "group", None):
        raise ValueError(
            "cross_validate and group train a network for each fold, and a sweep chooses by one "
            "validation part; leave them out"
        )
    if getattr(trial, "validation_fraction", 0.2) == 0:
        raise ValueError(
            "validation_fraction must be above 0, since a sweep chooses on validation data, found "
            "0; leave it out"
        )
    for name, default in (("calibrate", "none"), ("coverage", None)):
        if getattr(trial, name, default) != default:
            raise ValueError(
                f"{name} needs validation examples that have chosen nothing, and a sweep chooses "
                "by them; leave it out, and train with the settings of the winner and "
                f"--{name} under another --seed"
            )
    if config.strategy != "pbt":
        return
    for name, dimension in space.items():
        if name not in traced or not dimension.is_continuous:
            raise ValueError(
                f"over: strategy pbt changes real numbers while it trains, found {name!r} as "
                f"{dimension.kind}; use log or uniform of {', '.join(traced)}, or another strategy"
            )


def draw_samples(config: Config, space: Space) -> list[Sample]:
    """The settings of each trial.

    Raises:
        ValueError: a grid with more trials than the budget.
    """
    if config.strategy == "random":
        return search.random_samples(space, config.budget, seed=config.seed)
    if config.strategy != "grid":
        return search.sobol_samples(space, config.budget, seed=config.seed)
    samples = search.grid_samples(space, config.grid_values)
    if len(samples) > config.budget:
        raise ValueError(
            f"budget must be at least the {len(samples)} trials of the grid, found "
            f"{config.budget}; use a larger one, or fewer grid_values"
        )
    return samples
