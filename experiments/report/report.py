"""The report of a run: one self-contained HTML file, with its figures embedded."""

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.records import HASH, read_json

# Longer tables are cut: nobody reads thousands of rows, and a browser is slow with them.
MAX_ROWS = 60

_STYLE = """
:root { color-scheme: light dark; --text: #222; --soft: #555; --line: #ddd; --back: #fff;
        --box: #f4f4f4; --note: #fff4d6; --mark: #d99a00; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --soft: #aaa; --line: #444; --back: #161616; --box: #262626;
          --note: #3a3014; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, "Noto Sans", "Noto Sans CJK KR", sans-serif; max-width: 60rem;
       margin: 2rem auto; padding: 0 1rem; color: var(--text); background: var(--back); }
h1 { font-size: 1.6rem; overflow-wrap: break-word; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; } td, th { padding: .25rem .8rem; text-align: left;
       border-bottom: 1px solid var(--line); vertical-align: top; }
th { vertical-align: bottom; } td { min-width: 3rem; max-width: 34rem; }
.pairs td.number { text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.token { white-space: nowrap; max-width: none; }
img { max-width: 100%; height: auto; background: #fff; } figure { margin: 1.5rem 0; }
figcaption { color: var(--soft); } a { color: inherit; }
code { white-space: nowrap; } pre { background: var(--box); padding: .5rem .8rem; margin: 0; }
ul.notes { list-style: none; margin: 1rem 0; padding: 0; }
ul.notes li { background: var(--note); border-left: 4px solid var(--mark); padding: .5rem .8rem;
       margin: .5rem 0; overflow-wrap: break-word; }
@media (max-width: 30rem) { body { margin: 1rem auto; } td, th { padding: .25rem .5rem; }
       td { max-width: 75vw; } }
"""
_FILES = {
    "summary.json": "the result, for programs",
    "metrics.jsonl": "metrics of each epoch",
    "config.json": "options",
    "manifest.json": "environment",
    "model.json": "inputs and outputs of the trained networks",
    "model.safetensors": "the trained networks",
    "clusters.csv": "cluster of each example",
    "trials.csv": "settings and results of all trials",
    "winner/report.html": "the winner of the sweep, a run of its own",
    "alarms.csv": "alarms, and the records behind each",
    "scores.npz": "scores of all steps",
}


def write_report(
    directory: RunDirectory,
    *,
    title: str,
    summary: Mapping[str, Any],
    captions: Mapping[str, str],
) -> None:
    """Write `report.html` from the files of a run directory.

    Args:
        directory: the run directory, with `config.json`, `manifest.json` and `figures/`.
        title: heading of the report.
        summary: the content of `summary.json`; its `published`, `baseline`, `notes`, `data` and
            `tables` are shown where there are any.
        captions: name of a figure -> its caption, in the order in which they are shown.
    """
    if not directory.is_writer:
        return
    path = directory.path
    config, manifest = read_json(path / "config.json"), read_json(path / "manifest.json")
    sections = [
        f"<h1>{html.escape(title)}</h1>",
        f'<div class="scroll"><pre>python -m {html.escape(_command(config, manifest))}</pre></div>',
        *_notes(summary),
        "<h2>Result</h2>",
        *_result(summary),
    ]
    for name, rows in summary.get("tables", {}).items():
        sections += [f"<h2>{html.escape(name)}</h2>", *_capped_table(rows)]
    if captions:
        sections.append("<h2>Figures</h2>")
    for name, caption in captions.items():
        image = base64.b64encode((path / "figures" / f"{name}.png").read_bytes()).decode()
        sections.append(
            f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{image}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    data = _data(summary, manifest)
    if data:
        sections += ["<h2>Data</h2>", _pairs("item", data)]
    environment = {**manifest, **manifest["packages"]}
    for name in ("packages", "command", "data_sha256", "resumed"):
        environment.pop(name, None)
    sections += ["<h2>Configuration</h2>", _pairs("option", _options(config))]
    sections += ["<h2>Environment</h2>", _pairs("item", list(environment.items()))]
    seconds = [(name, f"{value:.2f}") for name, value in summary["seconds"].items()]
    sections += ["<h2>Seconds</h2>", _table(("part", "seconds"), seconds)]
    # The summary is written after the report.
    links = [
        (f'<a href="{name}">{name}</a>', html.escape(what))
        for name, what in _FILES.items()
        if name == "summary.json" or (path / name).exists()
    ]
    rows = "".join(f"<tr><td>{link}</td><td>{what}</td></tr>" for link, what in links)
    sections += ["<h2>Files</h2>", f'<div class="scroll"><table>{rows}</table></div>']
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style>\n" + "\n".join(sections) + "\n</html>\n"
    )
    directory.write_text("report.html", page)


def _result(summary: Mapping[str, Any]) -> list[str]:
    """The metrics, beside what a model reaches that learned nothing."""
    baseline = summary.get("baseline")
    expected = {} if baseline is None else baseline["metrics"]
    over, is_single = describe_runs(summary)
    header, rows = ["metric", "value" if is_single else "mean"], []
    if not is_single:
        header.append("standard deviation")
    if baseline is not None:
        header.insert(2, "baseline")
    for name, value in summary["metrics"].items():
        row = [name.replace("_", " "), f"{value['mean']:.4f}"]
        if not is_single:
            row.append("" if value["std"] is None else f"{value['std']:.4f}")
        if baseline is not None:
            row.insert(2, f"{expected[name]:.4f}" if name in expected else "")
        rows.append(row)
    sections = [f"<p>{html.escape(over)}.</p>", _table(header, rows)]
    if baseline is not None:
        sections.append(f"<p>Baseline: {html.escape(baseline['name'])}.</p>")
    if summary.get("published"):
        sections.append(f"<p>Published: {html.escape(summary['published'])}</p>")
    return sections


def describe_runs(summary: Mapping[str, Any]) -> tuple[str, bool]:
    """What the metrics are means over, and whether there is one value only.

    >>> describe_runs({"num_seeds": 1}), describe_runs({"num_seeds": 2})[0]
    (('One seed', True), 'Mean and standard deviation over 2 seeds')
    """
    number, unit = summary["num_seeds"], summary.get("unit", "seeds")
    if number == 1:
        return ("One seed" if unit == "seeds" else f"1 of {unit}"), True
    return f"Mean and standard deviation over {number} {unit}", False


def _notes(summary: Mapping[str, Any]) -> list[str]:
    # An option is not broken at its hyphens.
    texts = (
        re.sub(r"--[a-z][a-z-]*", r"<code>\g<0></code>", html.escape(note))
        for note in summary.get("notes", ())
    )
    notes = "".join(f"<li>{text}</li>" for text in texts)
    return [f'<ul class="notes">{notes}</ul>'] if notes else []


def _data(summary: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Sizes of the data and of its parts, and what was done to its columns."""
    counts = summary.get("num_examples", {})
    rows: list[tuple[str, Any]] = list(summary.get("data", {}).items())
    if len(counts) > 1:
        rows += [(f"{name} examples", count) for name, count in counts.items()]
    if rows and summary.get("num_parameters"):
        rows.append(("parameters of a network", summary["num_parameters"]))
    return [*rows, ("SHA-256 of the data", manifest["data_sha256"])] if rows else []


def _options(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The options that a run has used: those of its method, and none that was left empty."""
    rows: list[tuple[str, Any]] = []
    for name, value in config.items():
        if isinstance(value, Mapping):
            rows += [
                (name if inner == "name" else inner.replace("_", " "), option)
                for inner, option in value.items()
            ]
        elif name != HASH and value not in (None, [], "") and not _is_idle(name, config):
            rows.append((name.replace("_", " "), value))
    return rows


def _is_idle(name: str, config: Mapping[str, Any]) -> bool:
    """Whether an option has no effect, given the others."""
    if name == "repeats":
        return not config.get("cross_validate")
    if name in ("false_positive_cost", "false_negative_cost"):
        return config[name] == 1
    return name == "cross_validate" and not config[name]


def _command(config: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    return " ".join([f"experiments.{config['experiment']}", *manifest["command"][1:]])


def _capped_table(rows: Sequence[Sequence[Any]]) -> list[str]:
    header, *body = rows
    table = [_table(header, body[:MAX_ROWS])]
    if len(body) > MAX_ROWS:
        table.append(
            f"<p>The first {MAX_ROWS} of {len(body)} rows; summary.json has all of them.</p>"
        )
    return table


def _pairs(name: str, rows: Sequence[Sequence[Any]]) -> str:
    return f'<div class="pairs">{_table((name, "value"), rows)}</div>'


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def cell(value: Any) -> str:
        text = html.escape(_shown(value))
        if text.lstrip("-+").replace(".", "", 1).replace("e-", "", 1).isdigit():
            return f'<td class="number">{text}</td>'
        # A path or a hash has no place for a line break.
        is_token = " " not in text or max(map(len, text.split())) > 30
        return f'<td class="token">{text}</td>' if is_token else f"<td>{text}</td>"

    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in header)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    return "none" if value is None else str(value)
