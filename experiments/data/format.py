"""What the format of a user's files is to the rest of the experiments."""

from typing import Any, ClassVar, Protocol, TypeVar

import pydantic

Saved = TypeVar("Saved")


class Format(Protocol):
    """How examples are read from a user's files, the same in training and in prediction.

    It is fitted on the data of a run, and saved with it.

    Attributes:
        kind: by which `experiments.data.new_rows` finds the class again.
    """

    kind: ClassVar[str]

    def to_json(self) -> str:
        """JSON from which `from_json` of the class restores an equal object."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        ...


def to_saved_json(value: Any) -> str:
    """JSON of a dataclass, from which `from_saved_json` restores an equal one."""
    return pydantic.TypeAdapter(type(value)).dump_json(value, indent=2).decode()


def from_saved_json(kind: type[Saved], text: str | bytes, *, what: str) -> Saved:
    """Read what `to_saved_json` wrote.

    Args:
        kind: the dataclass.
        text: JSON.
        what: what the text has to be, for the message.

    Returns:
        An equal dataclass.

    Raises:
        ValueError: the text is not JSON, a field is missing, unknown or of another type, or the
            dataclass rejects a value; the first problem is named.
    """
    try:
        return pydantic.TypeAdapter(kind).validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        problem = first["msg"].removeprefix("Value error, ")
        raise ValueError(
            f"not {what}: {where}{': ' if where else ''}{problem}; restore the file from the "
            "run, or train again"
        ) from error
