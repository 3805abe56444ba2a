"""The command line of a sweep: an experiment, its method, options of the sweep, and the others."""

import dataclasses
from collections.abc import Sequence

import tyro

from experiments.config import methods
from experiments.parsing import parse, read_options, recorded_config
from experiments.protocol import find_experiment
from experiments.sweep.config import Config, SweepOptions

EXPERIMENTS = ("classification", "regression")
# What stops trials early has no early stopping of its own.
STOPPING = ("halving", "hyperband", "pbt")
_PROGRAM = "python -m experiments.sweep"


def read_arguments(arguments: Sequence[str]) -> Config:
    """The config that a command line asks for.

    Args:
        arguments: the command line, without the program.

    Raises:
        ValueError: a mistake in the options, in one line.
        SystemExit: after `--help`, with status 0.
    """
    name, *rest = arguments or [""]
    if name.startswith("-"):
        name, rest = "", list(arguments)
    if "--help" in rest or "-h" in rest:
        read_options(
            tyro.conf.OmitArgPrefixes[SweepOptions],
            ["--help"],
            prog=f"{_PROGRAM} EXPERIMENT [METHOD]",
            description=_description(name),
        )
    options, others = read_options(
        SweepOptions, rest, return_unknown_args=True, add_help=False, prog=_PROGRAM
    )
    if options.resume is not None:
        return _resumed(options, name, others)
    if name not in EXPERIMENTS:
        found = f"found {name!r}" if name else "found none"
        raise ValueError(
            f"experiment: expected {' or '.join(EXPERIMENTS)} as the first argument, {found}"
        )
    module = find_experiment(name)
    method = others[:1] if others and not others[0].startswith("-") else []
    seeds = ["--num-seeds", str(options.num_seeds), "--seed", str(options.seed)]
    trial = parse(module, [*others, *seeds])
    if options.strategy in STOPPING and trial.patience is not None:
        if "--patience" in others:
            raise ValueError(
                f"patience stops trials, and so does strategy {options.strategy}; leave it out, or "
                "use --strategy sobol"
            )
        trial = dataclasses.replace(trial, patience=None)
    assert not method or method[0] in methods(type(trial))
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return Config(**values, trial=trial)


def _resumed(options: SweepOptions, name: str, others: Sequence[str]) -> Config:
    assert options.resume is not None
    recorded = recorded_config(Config, options.resume)
    if name not in ("", recorded.trial.experiment):
        raise ValueError(
            f"resume: the run in {options.resume} is a sweep of {recorded.trial.experiment}, found "
            f"{name}; leave it out"
        )
    default = SweepOptions()
    changed = [
        field.name
        for field in dataclasses.fields(options)
        if field.name != "resume"
        and getattr(options, field.name)
        not in (getattr(default, field.name), getattr(recorded, field.name))
    ]
    if changed or others:
        option = f"--{changed[0].replace('_', '-')}" if changed else others[0]
        raise ValueError(
            f"resume: the run in {options.resume} has its options already, found {option}; leave "
            "it out, or start a new run"
        )
    return dataclasses.replace(recorded, resume=options.resume)


def _description(name: str) -> str:
    known = f"python -m experiments.{name if name in EXPERIMENTS else 'EXPERIMENT'} --help"
    text = " ".join((SweepOptions.__doc__ or "").split())
    return f"{text} They are those of {known}. EXPERIMENT is {' or '.join(EXPERIMENTS)}."
