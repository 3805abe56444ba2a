"""The environment of a run, on which the last bits of its result depend."""

import contextlib
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
_SOURCE = Path(__file__).resolve().parents[2]
# On GPUs, sums in a fixed order and no choice of algorithms by timing; without effect elsewhere.
_REPEATABLE = {"--xla_gpu_deterministic_ops": "true", "--xla_gpu_autotune_level": "0"}


def fix_environment(num_threads: int | None) -> None:
    """Set the environment variables on which the last bits depend, before JAX starts its backend.

    NPROC is the size of the thread pool of the CPU backend. XLA_FLAGS gets the flags that make
    programs on GPUs deterministic, unless it sets them already.

    Args:
        num_threads: size of the thread pool; None is NPROC, or else the number of processors that
            are available.

    Raises:
        ValueError: NPROC is not a positive integer.

    >>> fix_environment(available_threads())
    >>> "--xla_gpu_deterministic_ops" in os.environ["XLA_FLAGS"]
    True
    """
    os.environ["NPROC"] = str(num_threads or available_threads())
    flags = os.environ.get("XLA_FLAGS", "").split()
    named = {flag.partition("=")[0] for flag in flags}
    flags += [f"{name}={value}" for name, value in _REPEATABLE.items() if name not in named]
    os.environ["XLA_FLAGS"] = " ".join(flags)


def available_threads() -> int:
    """Size of the thread pool of the CPU backend.

    Returns:
        NPROC, or else the number of processors that this process may use.

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
    """The user's directory for results that can be computed again, such as those of the doctor.

    Returns:
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
    """Describe the environment of this process, to be recorded with a result.

    Args:
        data_sha256: hash of the data.

    Returns:
        Versions, device, threads, flags, precision, commit of the source and command, ready for
        JSON.

    >>> manifest("abc")["data_sha256"]
    'abc'
    """
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
        "num_processes": jax.process_count(),
        "num_threads": available_threads(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "x64": bool(jax.config.values["jax_enable_x64"]),
        "matmul_precision": jax.config.values["jax_default_matmul_precision"],
        "data_sha256": data_sha256,
        "git_commit": _git_commit(_SOURCE),
        "script_commit": _script_commit(),
        "command": [Path(sys.argv[0]).stem, *sys.argv[1:]],
    }


def differences(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Name the differences between two environments that may change the last bits of a result.

    Args:
        recorded: the manifest of a run.
        current: the manifest of this process.

    Returns:
        A line for each difference.

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
        for name in (*names, "matmul_precision", "data_sha256", "git_commit", "script_commit")
    ]
    return [
        f"{name}: {before or 'none'} then, {now or 'none'} now"
        for name, before, now in packages + values
        if before != now
    ]


def device_name() -> str:
    """Name of the default device, with the model of the processor where it is a CPU.

    Returns:
        Such as `NVIDIA H100 80GB HBM3` or `cpu: AMD EPYC 7B13`.

    >>> isinstance(device_name(), str)
    True
    """
    device = jax.devices()[0]
    if device.platform != "cpu":
        return device.device_kind
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return f"cpu: {line.partition(':')[2].strip()}"
    return f"cpu: {platform.processor() or platform.machine()}"


def _git_commit(root: Path) -> str | None:
    """The commit of a source tree, with "+" where it has changes; None outside a checkout."""
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")


def _script_commit() -> str | None:
    """The commit of the tree of the script that runs, where that is not jaxnet's own."""
    script = Path(sys.argv[0])
    if not script.is_file():
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        root = Path(_git(script.resolve().parent, "rev-parse", "--show-toplevel"))
        return None if root == _SOURCE else _git_commit(root)
    return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout.strip()
