"""Draw the tables of results of docs/results.md: `python -m benchmarks.table`.

Reads all files of `benchmarks/results/` and writes the lines between two marks of the document, one
pair of marks for results of accelerators and one for those of CPUs, so that no figure is copied by
hand.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
_DOCUMENT = _ROOT / "docs" / "results.md"
# Of results of accelerators, and of CPUs.
MARKS = {
    name: (f"<!-- begin {name} -->", f"<!-- end {name} -->")
    for name in ("benchmarks.table", "benchmarks.table of CPUs")
}


def _mean(value: Mapping[str, Any], unit: str = "") -> str:
    std = "" if value["std"] is None else f" ± {value['std']:g}"
    return f"{value['mean']:g}{std}{unit}"


def _population(measured: Mapping[str, Any]) -> str:
    return (
        f"**{measured['seconds']:g} s**, {measured['ratio']:g} times one after the other "
        f"({_mean(measured['milliseconds_of_one_network'])} ms a network)"
    )


def _precision(measured: Mapping[str, Any]) -> str:
    low, single = measured["bfloat16"], measured["float32"]
    return (
        f"bfloat16 **{measured['bfloat16_over_float32']:g}** times float32: "
        f"{low['tflops']:g} and {single['tflops']:g} TFLOP/s; bfloat16 is "
        f"{100 * low['fraction_of_measured_peak']:.0f} % of the measured "
        f"{measured['measured_peak_bfloat16_tflops']:g}"
    )


def _clusters(measured: Mapping[str, Any]) -> str:
    return (
        f"accuracy **{_mean(measured['accuracy'])}** after {measured['clustering']['epochs']} "
        f"epochs; {_mean(measured['accuracy_before_clusters_are_learned'])} before"
    )


def _error(measured: Mapping[str, Any]) -> str:
    return f"**{_mean(measured['test_error'])}** after {measured['epochs']} epochs"


_CELLS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "known_answers": lambda m: f"{m['passed']} passed, {len(m['failed'])} failed",
    "population": _population,
    "precision": _precision,
    "kill_and_resume": lambda m: f"{m['kills']} kills, identical: {m['identical']}",
    "dcn": _clusters,
    "dec": _clusters,
    "permutation_invariant": _error,
    "deep_autoencoder": _error,
    "cd25": lambda m: f"**-{_mean(m['test_error'])}** nats after {m['epochs']} epochs",
}


def _figures(measured: Mapping[str, Any]) -> str:
    """The figures of a row that has no function of its own."""
    cells = []
    for name, value in measured["figures"].items():
        shown = _mean(value) if isinstance(value, Mapping) else f"{value}"
        cells.append(f"{name.replace('_', ' ')} **{shown}**")
    seconds = measured.get("run_seconds", {})
    if "compile" in seconds:
        cells.append(f"{seconds['total']:g} s, {seconds['compile']:g} s of them compiling")
    return "; ".join(cells)


def _cell(name: str, measured: Mapping[str, Any]) -> str:
    return _figures(measured) if "figures" in measured else _CELLS[name](measured)


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """The table of results as Markdown: of each row and device, what was measured last.

    Args:
        results: contents of files of `benchmarks.accelerator`.

    >>> measured = {"passed": 7, "failed": []}
    >>> row = {"name": "known_answers", "what": "doctor", "reference": "", "status": "done"}
    >>> device = {"kind": "cpu", "versions": {"jax": "0.10.2"}}
    >>> result = {"date": "2026-11-26T21:00:00", "device": device, "rows": [row]}
    >>> row["measured"], row["seconds"] = measured, 3.2
    >>> print(table([result]).splitlines()[-1])
    | `known_answers`: doctor | 7 passed, 0 failed |  | 3 | cpu, jax 0.10.2, 2026-11-26 |
    """
    lines = [
        "| row | measured | reference | seconds | device |",
        "|---|---|---|---|---|",
    ]
    last: dict[tuple[str, str], tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for result in sorted(results, key=lambda result: result["date"]):
        for row in result["rows"]:
            if row["status"] != "skipped" and not result.get("smoke"):
                last[row["name"], result["device"]["kind"]] = result, row
    for result in results:
        for row in result["rows"]:
            if last.get((row["name"], result["device"]["kind"])) != (result, row):
                continue
            device = result["device"]
            where = f"{device['kind']}, jax {device['versions']['jax']}, {result['date'][:10]}"
            done = row["status"] == "done"
            cell = _cell(row["name"], row["measured"]) if done else "failed"
            lines.append(
                f"| `{row['name']}`: {row['what']} | {cell} | {row['reference']} | "
                f"{row.get('seconds', 0):.0f} | {where} |"
            )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table into docs/results.md; with --check, only compare.

    Args:
        arguments: of the command line; None takes those of the process.

    Returns:
        1 where `--check` finds another table in the document.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args(arguments)
    paths = sorted((_ROOT / "benchmarks" / "results").glob("*.json"))
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    expected = text = _DOCUMENT.read_text(encoding="utf-8")
    for name, (begin, end) in MARKS.items():
        of_cpu = name.endswith("CPUs")
        rows = [each for each in results if (each["device"]["platform"] == "cpu") == of_cpu]
        before, rest = expected.split(begin)
        after = rest.split(end)[1]
        expected = f"{before}{begin}\n{table(rows)}\n{end}{after}"
    if options.check:
        return int(text != expected)
    _DOCUMENT.write_text(expected, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
