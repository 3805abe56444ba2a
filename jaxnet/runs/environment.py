"""The environment of a run: what the bits of its result depend on, fixed, recorded, compared."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

_PACKAGES = ("functional-jaxnet", "jax", "jaxlib", "optax", "flax", "numpy", "scikit-learn")
# On GPUs, sums in a fixed order and no choice of algorithms by timing; without effect elsewhere.
_REPEATABLE = {"--xla_gpu_deterministic_ops": "true", "--xla_gpu_autotune_level": "0"}


def fix_environment(num_threads: int | None) -> None:
    """Fix what decides the last bits, before JAX starts its backend.

    The thread pool of the CPU backend has the size that the environment variable NPROC names.
    XLA_FLAGS gets the flags that make GPUs repeat themselves, unless it sets them otherwise.

    Args:
        num_threads: size of the thread pool; by default NPROC, else the processors available.
    """
    os.environ["NPROC"] = str(num_threads or available_threads())
    flags = os.environ.get("XLA_FLAGS", "").split()
    named = {flag.partition("=")[0] for flag in flags}
    flags += [f"{name}={value}" for name, value in _REPEATABLE.items() if name not in named]
    os.environ["XLA_FLAGS"] = " ".join(flags)


def available_threads() -> int:
    """Size of the CPU backend's thread pool: NPROC, or the processors that this process may use.

    Raises:
        ValueError: NPROC is not a positive integer.

    >>> available_threads() >= 1
    True
    """
    value = os.environ.get("NPROC", "")
    if not value:
        # Not every system knows which processors a process may use.
        has_affinity = hasattr(os, "sched_getaffinity")
        return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise ValueError(f"NPROC must be a positive integer, found {value!r}; unset or correct it")
    return int(value)


def cache_folder() -> Path:
    """The user's folder for what may be computed again, such as the doctor's verdicts.

    `JAXNET_CACHE`, or the platform's cache folder (`XDG_CACHE_HOME`, `~/.cache`,
    `~/Library/Caches`, `%LOCALAPPDATA%`) and `jaxnet` in it.

    >>> cache_folder().is_absolute()
    True
    """
    if folder := os.environ.get("JAXNET_CACHE"):
        return Path(folder).absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "jaxnet"


def manifest(data_sha256: str) -> dict[str, Any]:
    """What the bits of a run depend on, to be written beside its result."""
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
        "num_threads": available_threads(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "x64": bool(jax.config.values["jax_enable_x64"]),
        "matmul_precision": jax.config.values["jax_default_matmul_precision"],
        "data_sha256": data_sha256,
        "git_commit": _git_commit(),
        "command": [Path(sys.argv[0]).stem, *sys.argv[1:]],
    }


def differences(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """How another environment differs, in what may change the bits of a result.

    Args:
        recorded: the manifest of a run.
        current: a manifest of now.

    Returns:
        A line for each difference, none where there is none.

    >>> differences({"num_threads": 2}, {"num_threads": 4})
    ['num_threads: 2 then, 4 now']
    """
    packages = [
        (name, (recorded.get("packages") or {}).get(name), version)
        for name, version in (current.get("packages") or {}).items()
    ]
    names = ("python", "platform", "device", "num_devices", "num_threads", "xla_flags", "x64")
    values = [
        (name, recorded.get(name), current.get(name))
        for name in (*names, "matmul_precision", "data_sha256", "git_commit")
    ]
    return [
        f"{name}: {before or 'none'} then, {now or 'none'} now"
        for name, before, now in packages + values
        if before != now
    ]


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


def _git_commit() -> str | None:
    """The commit of the source tree, with "+" where it has changes; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout.strip()
