"""Runs of experiments whose reports the gallery shows, made when the site is built."""

import shutil
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
RUNS = {
    "classification": ("--num-seeds", "3", "--num-epochs", "20"),
    "regression": ("--dataset", "crop_yield", "--num-seeds", "3", "--num-epochs", "30"),
    "reconstruction": ("autoencoder", "--num-seeds", "2", "--num-epochs", "30"),
    "clustering": ("kmeans", "--num-seeds", "3"),
}
"""Options of each experiment: some seconds on one core, with data that come with a dependency."""


def command(name: str) -> str:
    """The command line of a run, as the page states it."""
    return " ".join(("python -m", f"experiments.{name}", *RUNS[name]))


def run_experiments(folder: Path, environ: dict[str, str]) -> list[str]:
    """Run what has not run yet into `folder`; one line for each experiment that failed."""
    failed = []
    environ = {name: value for name, value in environ.items() if name != "MATPLOTLIBRC"}
    for name, options in RUNS.items():
        if (folder / name / "output.txt").is_file():  # written last
            continue
        shutil.rmtree(folder / name, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        result = subprocess.run(
            [sys.executable, "-m", f"experiments.{name}", *options, "--out", str(folder / name)],
            env=environ,
            cwd=DOCS.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            failed.append(f"{command(name)}: exit status {result.returncode}\n{result.stderr}")
        else:
            (folder / name / "output.txt").write_text(printed(result.stdout), encoding="utf-8")
    return failed


def printed(output: str) -> str:
    """What an experiment prints, without its progress and the place of its report."""
    lines = [line for line in output.splitlines() if not line.startswith(("epoch ", "report: "))]
    return "\n".join(lines).strip() + "\n"


def copy_reports(folder: Path) -> None:
    """Copy figures and reports to the sources of both languages, where pages refer to them."""
    for language in ("en", "ko"):
        for name in RUNS:
            target = DOCS / language / "gallery" / "runs" / name
            shutil.rmtree(target, ignore_errors=True)
            if not (folder / name / "output.txt").is_file():
                continue
            shutil.copytree(folder / name / "figures", target)
            for file in ("report.html", "output.txt"):
                shutil.copy(folder / name / file, target / file)
