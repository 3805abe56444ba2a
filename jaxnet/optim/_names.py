"""Look-up of optimizers and schedules by name."""

import difflib
from collections.abc import Iterable


def require_name(kind: str, name: str, names: Iterable[str]) -> None:
    """Raise for a name that is not among the known ones, and suggest the nearest.

    >>> require_name("schedule", "cosin", ("constant", "cosine"))
    Traceback (most recent call last):
        ...
    ValueError: unknown schedule 'cosin'; did you mean cosine?
    """
    if name in names:
        return
    nearest = difflib.get_close_matches(name, names)
    hint = f"did you mean {', '.join(nearest)}?" if nearest else f"known: {', '.join(names)}"
    raise ValueError(f"unknown {kind} {name!r}; {hint}")
