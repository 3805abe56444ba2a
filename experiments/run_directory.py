"""The run directory: what a run leaves behind, and nothing before it is certain to start."""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

import jaxnet as jn

_PACKAGES = ("functional-jaxnet", "jax", "jaxlib", "optax", "flax", "numpy", "scikit-learn")


class RunDirectory:
    """A directory that belongs to one run.

    `config.json` and `manifest.json` are written when it is made, `metrics.jsonl` line by line,
    `summary.json`, `figures/` and `report.html` when the run ends.

    Attributes:
        path: where it is.
        experiment: name of the experiment.
    """

    def __init__(self, path: Path, experiment: str) -> None:
        self.path = path
        self.experiment = experiment

    @classmethod
    def check(cls, out: Path | None) -> None:
        """Refuse a directory that cannot become a run's, without making it.

        Raises:
            ValueError: it is a file, holds something already, or cannot be written.
        """
        if out is None:
            return
        if out.exists() and not out.is_dir():
            raise ValueError(f"out: {out} is a file; name a new or empty directory")
        if out.is_dir() and any(out.iterdir()):
            raise ValueError(
                f"out: {out} already holds {next(out.iterdir()).name}, perhaps another run; "
                "name a new or empty directory"
            )
        parent = next(path for path in (out, *out.absolute().parents) if path.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise ValueError(f"out: {out} cannot be written, because {parent} cannot")

    @classmethod
    def create(
        cls, experiment: str, config: Any, data_sha256: str, out: Path | None
    ) -> "RunDirectory":
        """Make the directory and write what is known before the run.

        Args:
            experiment: name of the experiment.
            config: the resolved config, a dataclass.
            data_sha256: hash of the data set.
            out: where; by default a new directory below `runs/`.

        Raises:
            ValueError: as `check`.
        """
        cls.check(out)
        now = datetime.datetime.now().astimezone()
        if out is None:
            name = f"{experiment}-{config.dataset}-{now:%Y%m%d-%H%M%S}"
            out = _unused(Path("runs") / name)
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / "figures").mkdir()
        except OSError as error:
            raise ValueError(f"out: {out} cannot be made: {error.strerror}") from error
        directory = cls(out, experiment)
        options = dataclasses.asdict(config) | {"experiment": experiment, "out": str(out)}
        directory._write("config.json", options)
        directory._write("manifest.json", manifest(data_sha256) | {"started": now.isoformat()})
        return directory

    def log(self, epoch: int, step: int, record: dict[str, dict[str, np.ndarray]]) -> None:
        """Append the metrics of an epoch to `metrics.jsonl`, one value for each seed."""
        line = {"epoch": epoch, "step": step} | {
            part: {name: np.asarray(values).tolist() for name, values in metrics.items()}
            for part, metrics in record.items()
        }
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def save_figure(self, name: str, figure: Figure) -> None:
        """Write a figure to `figures/NAME.png`."""
        figure.savefig(self.path / "figures" / f"{name}.png", dpi=120, bbox_inches="tight")

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write `summary.json`."""
        self._write("summary.json", summary)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        """Write to a temporary name first, so that no half-written file has the final one."""
        temporary = self.path / f".{name}.tmp"
        text = json.dumps(content, indent=2, default=str) + "\n"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.path / name)


def manifest(data_sha256: str) -> dict[str, Any]:
    """The environment of a run: what the bits of its result depend on."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = None
    return {
        "python": platform.python_version(),
        "packages": packages,
        "platform": platform.platform(),
        "device": device_name(),
        "num_devices": jax.device_count(),
        "num_threads": int(os.environ.get("NPROC") or os.cpu_count() or 1),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "data_sha256": data_sha256,
        "git_commit": _git_commit(),
        "command": [Path(sys.argv[0]).stem, *sys.argv[1:]],
    }


def device_name() -> str:
    """Kind of the device that computes, with the processor's model where it is a CPU."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return device.device_kind
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return f"cpu: {line.partition(':')[2].strip()}"
    return f"cpu: {platform.processor() or platform.machine()}"


def params_sha256(params: Any) -> str:
    """SHA-256 over path, dtype, shape and bytes of each leaf of a pytree.

    >>> params_sha256({"bias": np.zeros(2, np.float32)})[:16]
    '9ca02b2a52fe6a4c'
    """
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.ascontiguousarray(jax.device_get(leaf))
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def stacked_sha256(states: jn.TrainState) -> list[str]:
    """`params_sha256` of each network of a stack of states."""
    params = jax.device_get(states.params)
    return [
        params_sha256(jax.tree.map(lambda leaf, index=index: leaf[index], params))
        for index in range(len(states.step))
    ]


def _unused(path: Path) -> Path:
    """The path, or the first of path-2, path-3, ... that does not exist."""
    candidate, number = path, 2
    while candidate.exists():
        candidate, number = path.with_name(f"{path.name}-{number}"), number + 1
    return candidate


def _git_commit() -> str | None:
    """The commit of the source tree, with "+" where it has changes; None outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")
