"""The report of a run: one self-contained HTML file, with its figures embedded."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.records import read_json

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .25rem .8rem; text-align: left;
       border-bottom: 1px solid #ddd; vertical-align: top; overflow-wrap: anywhere; }
th { white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
img { max-width: 100%; } figure { margin: 1.5rem 0; } figcaption { color: #555; }
code { background: #f4f4f4; padding: .1rem .3rem; }
"""


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
        summary: the content of `summary.json`; its `published` is shown beside the result.
        captions: name of a figure -> its caption, in the order in which they are shown.
    """
    path = directory.path
    config, manifest = read_json(path / "config.json"), read_json(path / "manifest.json")
    results = [
        (name.replace("_", " "), f"{value['mean']:.4f}", f"{value['std']:.4f}")
        for name, value in summary["metrics"].items()
    ]
    header = ("metric", "mean", "standard deviation")
    over = f"Mean and standard deviation over {summary['num_seeds']} {summary.get('unit', 'seeds')}"
    if (summary["num_seeds"], summary.get("unit", "seeds")) == (1, "seeds"):
        # One value has no standard deviation.
        header, results, over = ("metric", "value"), [row[:2] for row in results], "One seed"
    sections = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p><code>python -m {html.escape(_command(config, manifest))}</code></p>",
        "<h2>Result</h2>",
        f"<p>{html.escape(over)}.</p>",
        _table(header, results),
    ]
    if summary.get("published"):
        sections.append(f"<p>Published: {html.escape(summary['published'])}</p>")
    for name, rows in summary.get("tables", {}).items():
        sections += [f"<h2>{html.escape(name)}</h2>", _table(rows[0], rows[1:])]
    if captions:
        sections.append("<h2>Figures</h2>")
    for name, caption in captions.items():
        image = base64.b64encode((path / "figures" / f"{name}.png").read_bytes()).decode()
        sections.append(
            f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{image}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    environment = {**manifest, **manifest["packages"]}
    del environment["packages"]
    sections += ["<h2>Configuration</h2>", _table(("option", "value"), list(config.items()))]
    sections += ["<h2>Environment</h2>", _table(("item", "value"), list(environment.items()))]
    seconds = [(name, f"{value:.2f}") for name, value in summary["seconds"].items()]
    sections += ["<h2>Seconds</h2>", _table(("part", "seconds"), seconds)]
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style>\n" + "\n".join(sections) + "\n</html>\n"
    )
    directory.write_text("report.html", page)


def _command(config: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    return " ".join([f"experiments.{config['experiment']}", *manifest["command"][1:]])


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def cell(value: Any) -> str:
        text = html.escape(" ".join(map(str, value)) if isinstance(value, list) else str(value))
        is_number = text.lstrip("-").replace(".", "", 1).isdigit()
        return f'<td class="number">{text}</td>' if is_number else f"<td>{text}</td>"

    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in header)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
