"""Figures of a run: each is saved whole, or reported as missing; none costs the run its result."""

import io
import sys
import warnings
from collections.abc import Callable
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from experiments.report.figures.text import prepare_text
from jaxnet._files import atomic_write
from jaxnet.runs.directory import RunDirectory

_DPI, _MAX_PIXELS = 120, 4000


def draw_figure(
    directory: RunDirectory, name: str, caption: str, draw: Callable[[], Figure]
) -> dict[str, str]:
    """Draw a figure and save it as `figures/NAME.png`.

    A figure that cannot be drawn is reported on stderr, since the results of a run are worth more
    than its figures.

    Args:
        directory: the run directory.
        name: name of the figure.
        caption: what it shows.
        draw: makes the figure.

    Returns:
        The caption by the name of the figure; empty where it could not be drawn.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     options = {"config": {}, "data_sha256": "abc"}
    ...     with RunDirectory.open(f"{folder}/run", name="example", **options) as directory:
    ...         draw_figure(directory, "empty", "Nothing.", Figure)
    {'empty': 'Nothing.'}
    """
    if not directory.is_writer:
        return {name: caption}
    path = directory.path / "figures" / f"{name}.png"
    try:
        content = render(draw())
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    except Exception as error:
        # A figure of an earlier phase of the run would show another result.
        path.unlink(missing_ok=True)
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        print(
            f"warning: the figure {name!r} cannot be drawn ({reason}); all results are kept",
            file=sys.stderr,
            flush=True,
        )
        return {}
    return {name: caption}


def render(figure: Figure) -> bytes:
    """The PNG file of a figure, at most 4 000 pixels wide and high.

    Args:
        figure: the figure; its texts are shown as they are, never as mathematics.
    """
    families = prepare_text(figure)
    dpi = min(_DPI, _MAX_PIXELS / max(figure.get_size_inches()))
    file = io.BytesIO()
    # Ticks are made while the figure is drawn.
    plain: Any = {"text.parse_math": False, "font.family": families}
    with rc_context(plain), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(file, format="png", dpi=dpi, bbox_inches="tight")
    return file.getvalue()
