"""Options that experiments share, as frozen dataclasses that check their own ranges.

An option is a field with a default, a range and a sentence of help. The range is checked whenever a
config is made: from the command line, from a file of a run, or in Python. A method of an experiment
(a model, a way to cluster) is a dataclass of its own, with a constant field `name`, and a config
holds one of them in a field whose type is the union of all.
"""

import dataclasses
import functools
import types
import typing
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

import pydantic
import tyro

from experiments.placement import parse_mesh

PositiveInt = Annotated[int, pydantic.Field(ge=1)]
NonNegativeInt = Annotated[int, pydantic.Field(ge=0)]
PositiveFloat = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, pydantic.Field(ge=0, le=1, allow_inf_nan=False)]
FractionBelowOne = Annotated[float, pydantic.Field(ge=0, lt=1, allow_inf_nan=False)]
OpenFraction = Annotated[float, pydantic.Field(gt=0, lt=1, allow_inf_nan=False)]

Self = TypeVar("Self", bound="Options")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options that are checked when they are made.

    Raises:
        ValueError: a value out of its range; the message names option, range and value.

    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Network(Options):
    ...     dropout: FractionBelowOne = 0.0
    >>> Network(dropout=1.5)
    Traceback (most recent call last):
        ...
    ValueError: dropout must be a number in [0, 1), found 1.5; leave it out to use the default
    """

    # Of files: a field that no option has is an error.
    __pydantic_config__ = pydantic.ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():
            value = getattr(self, name)
            if value is tyro.MISSING:
                continue
            try:
                checked = _adapter(hint).validate_python(value)
            except pydantic.ValidationError as error:
                raise ValueError(
                    f"{name} must be {describe(hint)}, found {_shown(value)}; leave it out to use "
                    "the default"
                ) from error
            object.__setattr__(self, name, checked)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrecisionOptions(Options):
    """The numbers that networks compute with."""

    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the numbers that networks compute with, in training and in prediction; parameters,
    losses and metrics are in float32. float16 scales the loss dynamically."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(PrecisionOptions):
    """Options of every experiment that leaves a run directory.

    Attributes:
        experiment: name of the experiment.
    """

    experiment: ClassVar[str]

    num_seeds: PositiveInt = 10
    """Number of networks that are trained in one compiled program, each from its own seed."""
    seed: Annotated[int, pydantic.Field(ge=0, lt=2**32)] = 0
    """Seed of the split of the data and, with the index of a network, of all its random numbers."""
    num_threads: PositiveInt | None = None
    """Threads of the CPU backend, on which the last bits of a result depend; None uses the
    environment variable NPROC, or all processors that are available."""
    num_devices: PositiveInt | None = None
    """Devices over which the networks, and the examples of each batch, are spread; on CPU they are
    simulated. None uses those of --mesh, or one."""
    mesh: str | None = None
    """Devices along each axis, such as run=4,data=2: networks spread over run, and the examples of
    each batch over data. None puts as many along run as divide the number of networks."""
    shard_params: bool = False
    """Split parameters and optimizer states over the devices along data, instead of a copy on
    each."""
    out: Path | None = None
    """Run directory, which must be new or empty; None makes runs/EXPERIMENT-DATA-TIME."""
    resume: Path | None = None
    """Run directory of an interrupted run to continue, with the options of that run; or of a
    finished one, to be continued for a larger --num-epochs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mesh is not None:
            parse_mesh(self.mesh)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableOptions(Options):
    """How a user's table is read."""

    ignore: tuple[str, ...] = ()
    """Columns of the file that are not features."""
    categories: tuple[str, ...] = ()
    """Columns of the file that are categories whatever their cells look like, such as codes that
    are numbers, or texts that hardly repeat."""
    impute: Literal["median", "most_frequent"] | None = None
    """What fills missing cells of the file: the median or the most frequent value of the training
    rows of each column, for categories always the most frequent one. A column with missing cells
    also becomes a feature that is 1 where its cell is missing. None rejects missing cells."""
    unseen: Literal["other", "reject"] = "other"
    """What becomes of a category of new rows that the file does not hold: other predicts without
    it, as if it were none of the known ones; reject predicts nothing."""
    missing: tuple[str, ...] = ()
    """More texts or numbers that mark a missing cell, such as --missing=-999; an empty cell, NA,
    #N/A, NaN, null and their like always do."""
    encoding: str | None = None
    """Encoding of a text file, such as utf-8, cp949, latin-1 or utf-16; None detects it."""
    header: Literal["first", "none"] | None = None
    """Whether the first row of a text file holds the names of the columns; with none they are
    called column_1, column_2 and so on. None rejects a first row that looks like data."""
    decimal: Literal["point", "comma"] | None = None
    """The decimal mark of numbers such as 1,234 or 1.234, where the other cells of a column do not
    say it; None rejects such columns."""
    date_format: str | None = None
    """Format of dates that can be read in two ways or are not recognized, such as %d/%m/%Y or
    %y%m%d; None recognizes dates whose format is certain."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions(TableOptions):
    """Options of every experiment that reads a data set or a user's file."""

    dataset: str = "digits"
    """Name of the data set, unless --data names a file."""
    data_dir: Path | None = None
    """Folder with the files of named data sets, such as mnist/; None uses the folder that
    JAXNET_DATA names, and downloads what is not there."""
    data: Path | None = None
    """File of the user instead of a named data set: a CSV, Parquet or NPZ table with a row for each
    example, an NPZ file of images, a .ts file of series, or a folder of WAV files named by class
    (FOLDER/CLASS/*.wav)."""
    label: str | None = None
    """Column of the file that holds the labels."""
    text: str | None = None
    """Column of the file that holds texts, from whose words and letters alone is predicted."""
    resample: bool = False
    """Resample recordings of other rates to the lowest one, instead of rejecting them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DescentOptions(Options):
    """Options of gradient descent, except for its rate and length."""

    optimizer: str = "adam"
    """Name of any Optax optimizer, such as adam, sgd, lbfgs, muon or schedule_free_adamw."""
    schedule: str = "constant"
    """Schedule of the learning rate over the run: constant, cosine, warmup_cosine, exponential or
    step."""
    weight_decay: NonNegativeFloat | None = None
    """Weight decay of the optimizer; None uses the optimizer's own default."""
    clip_norm: PositiveFloat | None = None
    """Largest global norm of a gradient, to which longer ones are scaled; None clips nothing."""
    batch_size: PositiveInt | Literal["all"] = 64
    """Examples in a batch; all uses the whole training data in each step."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerOptions(DescentOptions):
    """Options of gradient descent."""

    learning_rate: PositiveFloat | None = 1e-3
    """Peak learning rate; None is for optimizers that have no learning rate, such as lbfgs."""
    num_epochs: PositiveInt = 60
    """Passes over the training data."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WatchOptions(Options):
    """Options of every training that is watched."""

    checkpoint_every: NonNegativeInt | None = None
    """Steps between checkpoints; None saves one each minute, and 0 only at the end and when the run
    is interrupted."""
    tensorboard: bool = False
    """Also write event files for TensorBoard."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions(OptimizerOptions, WatchOptions):
    """Options of every training that is evaluated on validation data."""

    patience: PositiveInt | None = None
    """Epochs without a lower validation loss after which a network stops and its best parameters
    are kept; None trains for all epochs."""


def methods(config_class: type[Options]) -> dict[str, type[Options]]:
    """The methods that a config can hold, by name; empty where there is one way only.

    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Linear(Options):
    ...     name: Literal["linear"] = "linear"
    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Config(Options):
    ...     model: Annotated[Linear, pydantic.Field(discriminator="name")] = Linear()
    >>> list(methods(Config))
    ['linear']
    """
    for hint in _hints(config_class).values():
        members = [member for member in _members(hint) if _is_method(member)]
        if members:
            return {member.__dataclass_fields__["name"].default: member for member in members}
    return {}


def method_field(config_class: type[Options]) -> str | None:
    """The name of the field that holds the method of a config."""
    for name, hint in _hints(config_class).items():
        if any(map(_is_method, _members(hint))):
            return name
    return None


def replace(config: Self, **options: Any) -> Self:
    """A config with other values of some options, those of its method included.

    Raises:
        ValueError: an option that neither the config nor its method has, or a value out of range.

    >>> replace(OptimizerOptions(), num_epochs=3).num_epochs
    3
    """
    field = method_field(type(config))
    method = None if field is None else getattr(config, field)
    own = {each.name for each in dataclasses.fields(config)}
    inner = {} if method is None else {each.name for each in dataclasses.fields(method)}
    for name in options:
        if name not in own and name not in inner:
            place = type(config).__name__ if method is None else f"method {method.name}"
            raise ValueError(f"{name} is not an option of {place}; leave it out")
    values = {name: value for name, value in options.items() if name in own}
    nested = {name: value for name, value in options.items() if name not in own}
    if field is not None and method is not None and nested:
        values[field] = dataclasses.replace(method, **nested)
    return dataclasses.replace(config, **values)


def describe(hint: Any) -> str:
    """What a value of a type may be, in words.

    >>> describe(PositiveInt), describe(FractionBelowOne), describe(PositiveFloat | None)
    ('at least 1', 'a number in [0, 1)', 'greater than 0 and finite, or None')
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _describe_range(arguments[0], arguments[1:])
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin is tuple:
        return f"a list in which each is {describe(arguments[0])}"
    if origin in (Union, types.UnionType):
        parts = [describe(each) for each in arguments]
        return ", or ".join(parts)
    names = {int: "an integer", float: "a number", str: "text", bool: "true or false"}
    return {**names, Path: "a path", types.NoneType: "None"}.get(hint, str(hint))


def _describe_range(kind: Any, annotations: tuple[Any, ...]) -> str:
    limits: dict[str, Any] = {}
    for annotation in annotations:
        for limit in getattr(annotation, "metadata", [annotation]):
            for name in ("ge", "gt", "le", "lt"):
                if hasattr(limit, name):
                    limits[name] = getattr(limit, name)
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    if low is None and high is None:
        return describe(kind)
    if high is not None:
        left, right = "[" if "ge" in limits else "(", "]" if "le" in limits else ")"
        return f"{describe(kind)} in {left}{low}, {high}{right}"
    bound = f"at least {low}" if "ge" in limits else f"greater than {low}"
    return bound + (" and finite" if kind is float else "")


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


@functools.cache
def _hints(options: type) -> dict[str, Any]:
    """Types of the fields, annotations included."""
    hints = typing.get_type_hints(options, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(options)}


@functools.cache
def _adapter(hint: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(hint)


def _members(hint: Any) -> tuple[Any, ...]:
    """The types of a union; a type that is not a union by itself."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _is_method(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, Options) and "name" in _hints(member)
