"""What the format of a user's files is to the rest of the experiments."""

from typing import Any, ClassVar, Protocol


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
