"""Figures of the chapters, compared with the figures stored in `digests/`.

The last cell of a chapter, which the page does not show, records its figures:

    from digests import record
    record("03-features", {"accuracy": accuracy})

`python docs/build.py` compares them with `digests/03-features.json`, which holds a value and an
absolute tolerance for each, and fails where they differ; with `--write-digests` it writes the file.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

STORED = Path(__file__).resolve().parent / "digests"
RELATIVE_TOLERANCE = 0.05


def record(chapter: str, figures: Mapping[str, object]) -> None:
    """Write the figures of a chapter into the build directory, if there is a build."""
    folder = os.environ.get("JAXNET_DOCS_FIGURES")
    if folder:
        values = {name: float(value) for name, value in figures.items()}  # type: ignore[arg-type]
        Path(folder).mkdir(parents=True, exist_ok=True)
        path = Path(folder) / f"{chapter}.json"
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def differences(chapter: str, figures: Mapping[str, float]) -> list[str]:
    """One line for each figure of a chapter that is not within its tolerance, missing or new."""
    stored = read(STORED / f"{chapter}.json")
    lines = []
    for name in sorted({*stored, *figures}):
        if name not in stored or name not in figures:
            where = "docs/digests" if name not in stored else "the chapter"
            lines.append(f"{chapter}: {name} is not in {where}; --write-digests stores it")
            continue
        value, tolerance = stored[name]["value"], stored[name]["tolerance"]
        if not abs(figures[name] - value) <= tolerance:
            lines.append(f"{chapter}: {name} is {figures[name]:.6g}, not {value:g} ± {tolerance:g}")
    return lines


def write(chapter: str, figures: Mapping[str, float]) -> None:
    """Store the figures of a chapter, rounded; tolerances that are stored stay."""
    stored = read(STORED / f"{chapter}.json")
    digest = {}
    for name, value in figures.items():
        if not math.isfinite(value):
            raise ValueError(f"{chapter}: {name} is {value}; a figure must be finite")
        rounded = float(f"{value:.6g}")
        tolerance = stored.get(name, {}).get("tolerance", RELATIVE_TOLERANCE * abs(rounded))
        digest[name] = {"value": rounded, "tolerance": float(f"{tolerance:.3g}")}
    STORED.mkdir(exist_ok=True)
    text = json.dumps(digest, indent=2) + "\n"
    (STORED / f"{chapter}.json").write_text(text, encoding="utf-8")
