"""From a command line to a config: the method first, then options with the defaults of a recipe.

    python -m experiments.NAME [METHOD] [OPTIONS]

Options that name the data, the optimizer or a run to resume are read before the others, since the
defaults of all others depend on them: `--help` shows the values that a run would use.
"""

import contextlib
import dataclasses
import difflib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pydantic
import tyro

from experiments import config as options
from experiments.config import Options, RunOptions
from experiments.placement import OPTIONS, resumed_on
from experiments.protocol import EXPERIMENTS, Command, configure
from jaxnet.runs.records import read_hashed_json

Config = TypeVar("Config", bound=Options)
First = TypeVar("First")

# What may differ when a run is resumed, beside the devices.
_OF_PLACE = ("resume", "out", "data", "data_dir", "coordinator", "num_processes", "process_id")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _First:
    """Options that decide the defaults of others."""

    dataset: str | None = None
    data_dir: Path | None = None
    data: Path | None = None
    label: str | None = None
    text: str | None = None
    resample: bool = False
    ignore: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    impute: str | None = None
    unseen: str | None = None
    missing: tuple[str, ...] = ()
    encoding: str | None = None
    header: str | None = None
    decimal: str | None = None
    date_format: str | None = None
    optimizer: str | None = None
    channels: tuple[int, ...] = ()
    cross_validate: int | None = None
    group: str | None = None
    validation_fraction: float | None = None
    resume: Path | None = None


def parse(command: Command | ModuleType, arguments: Sequence[str]) -> Any:
    """The config that a command line asks for.

    Args:
        command: the module of a command.
        arguments: the command line, without the program.

    Returns:
        A `command.Config`.

    Raises:
        ValueError: a mistake in the options, in one line.
        SystemExit: after `--help`, with status 0.
    """
    config_class = command.Config
    method, rest = _take_method(config_class, list(arguments))
    default, recorded = None, None
    if issubclass(config_class, RunOptions):
        first = read_known(_First, rest)
        given = {
            name: value
            for name, value in vars(first).items()
            if value not in (None, (), False) and name != "resume"
        }
        if first.data is not None and first.dataset is not None:
            raise ValueError(
                f"dataset {first.dataset} names a data set, and data {first.data} a file; "
                "leave one of the two out"
            )
        if first.resume is not None:
            require_own_run(first.resume)
            recorded = recorded_config(config_class, first.resume)
            default = dataclasses.replace(recorded, resume=first.resume)
            if first.data is not None and getattr(recorded, "data", None) is None:
                raise ValueError(
                    f"resume: the run in {first.resume} has no file of data, found --data "
                    f"{first.data}; leave the option out"
                )
        elif hasattr(command, "recipe"):
            default = configure(command, method, **given)
    program = f"python -m experiments.{config_class.experiment}"  # pyright: ignore[reportAttributeAccessIssue]
    config = read_options(
        tyro.conf.AvoidSubcommands[tyro.conf.OmitArgPrefixes[config_class]],
        rest,
        **({} if default is None else {"default": default}),
        prog=" ".join(filter(None, [program, _method_name(default)])),
        description=_description(config_class),
    )
    if recorded is not None:
        _require_same(recorded, config, method)
        config = resumed_on(recorded, config)
    return config


def read_known(config_class: type[First], arguments: Sequence[str]) -> First:
    """Some options of a command line, whatever others it has.

    Args:
        config_class: a dataclass of these options.
        arguments: the command line.

    Raises:
        ValueError: a mistake in one of them.
    """
    return read_options(config_class, arguments, return_unknown_args=True, add_help=False)[0]


def recorded_config(config_class: type[Config], path: Path) -> Config:
    """The options of the run in a directory.

    Args:
        config_class: the class of the experiment's options.
        path: the run directory.

    Raises:
        ValueError: no run of this experiment, or options that are damaged or were changed.
    """
    recorded = read_hashed_json(path / "config.json")
    expected = config_class.experiment  # pyright: ignore[reportAttributeAccessIssue]
    experiment = recorded.pop("experiment", None)
    recorded.pop("phases", None)
    if experiment != expected:
        raise ValueError(
            f"{path} holds a run of {experiment!r}, expected {expected!r}; "
            f"use python -m experiments.{experiment}"
        )
    try:
        return pydantic.TypeAdapter(config_class).validate_python(recorded)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"{path / 'config.json'} is damaged: option {name!r}: {first['msg']}; restore the "
            "file, or run the experiment again"
        ) from error


def require_own_run(path: Path) -> None:
    """Raise where a directory holds the winner of a sweep, which is part of that run.

    Args:
        path: a run directory.

    Raises:
        ValueError: it does; names the run.
    """
    above = path.absolute().parent / "config.json"
    is_part = path.name == "winner" and above.exists()
    if is_part and read_hashed_json(above).get("experiment") == "sweep":
        raise ValueError(
            f"{path} holds the winner of a sweep and was trained with other trials; name the "
            f"sweep, {above.parent}"
        )


def _take_method(config_class: type[Options], arguments: list[str]) -> tuple[str | None, list[str]]:
    """The method at the beginning of a command line, and the rest."""
    known = options.methods(config_class)
    if not known or not arguments or arguments[0].startswith("-"):
        return None, arguments
    method, *rest = arguments
    if method not in known:
        nearest = difflib.get_close_matches(method, known, n=1)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        field = options.method_field(config_class)
        raise ValueError(f"unknown {field} {method!r}; {hint}known: {', '.join(known)}")
    return method, rest


def _method_name(config: Any) -> str | None:
    field = None if not isinstance(config, Options) else options.method_field(type(config))
    return None if field is None else getattr(config, field).name


def _description(config_class: type[Options]) -> str:
    """The first lines of the help: what the command does, and the methods to choose from."""
    text = " ".join((config_class.__doc__ or "").split())
    known = options.methods(config_class)
    if known:
        field = options.method_field(config_class)
        lines = [
            f"  {name}: {' '.join((each.__doc__ or '').split())}" for name, each in known.items()
        ]
        text += f"\n\nThe {field} is the first argument:\n" + "\n".join(lines)
    return text


def read_options(kind: Any, arguments: Sequence[str], **settings: Any) -> Any:
    """`tyro.cli`, whose error becomes a ValueError with a message of one line.

    Args:
        kind: the class of the options.
        arguments: the command line.
        settings: of `tyro.cli`.
    """
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output):
            return tyro.cli(kind, args=list(arguments), **settings)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ValueError(_one_line(output.getvalue())) from None


def _one_line(box: str) -> str:
    """The message inside the box that tyro draws.

    >>> _one_line("╭─ Unrecognized options ─╮\\n│ Unrecognized options: --num-sed, 0 │\\n"
    ...           "│ ─── │\\n│ Perhaps you meant: │\\n│     --num-seeds INT │\\n╰──╯\\n")
    'unrecognized options: --num-sed, 0; did you mean --num-seeds? --help shows all options'
    """
    # On a terminal the box is colored, and of ASCII where the encoding is not UTF-8.
    lines = re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines()
    sections: list[list[str]] = [[]]
    for line in lines:
        content = line.strip().strip("│").strip()
        if content and set(content) <= {"─", "-"}:
            sections.append([])
        elif content and content[0] not in "╭╰":
            sections[-1].append(content)
    if not any(line.startswith("╭") for line in lines):
        # The title of a box of ASCII.
        del sections[0]
    message, *others = sections
    text = re.sub(r"^Error parsing (?!-)\S+: ", "", " ".join(message))
    text = re.sub(r"^Missing from .*?: (--\S+).*$", r"\1 is needed, and is not given", text)
    text = re.sub(r"^Error parsing |\.? Got errors: .*$", "", text)
    if "leave it out to use the default" in text:
        return text
    suggestions = [lines[1].split()[0] for lines in others if lines[:1] == ["Perhaps you meant:"]]
    hint = f"did you mean {suggestions[0]}? " if suggestions else ""
    return f"{text[:1].lower()}{text[1:]}; {hint}--help shows all options"


def _require_same(recorded: Any, config: Any, method: str | None) -> None:
    """Raise where options differ from those of the run that is resumed."""
    path, field = config.resume, options.method_field(type(config))
    if config.out is not None:
        raise ValueError(f"resume: the run continues in {path}, found --out {config.out}")
    if method is not None and method != _method_name(recorded):
        raise ValueError(
            f"resume: the run in {path} has {field} {_method_name(recorded)}, found {method}; "
            f"leave the {field} out, or start a new run"
        )
    before, now = _flat(recorded, field), _flat(config, field)
    is_finished = (path / "summary.json").exists() and config.experiment in EXPERIMENTS
    for name, value in now.items():
        if name == "num_epochs" and is_finished and value > before[name]:
            # A finished run is continued for more epochs.
            continue
        # The file may have moved: its content is compared when it is read.
        if name not in (*_OF_PLACE, *OPTIONS) and value != before[name]:
            option = name.replace("_", "-")
            raise ValueError(
                f"resume: the run in {path} has --{option} {before[name]}, found {value}; leave "
                "the option out, or start a new run"
            )


def _flat(config: Any, field: str | None) -> dict[str, Any]:
    values = dict(vars(config))
    if field is not None:
        values |= vars(values.pop(field))
    return values
