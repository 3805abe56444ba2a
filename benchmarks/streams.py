"""Data larger than memory: throughput, resident memory, kills and bits, by one command.

    python -m benchmarks.streams --directory /scratch --gigabytes 20 --out streams.json

Images of bytes (784 pixels, 10 classes) are generated on the disk, and removed at the end. A
network 784-512-10 is trained on them with batches of 128, in an order of blocks of 1024 examples
and windows of 64 blocks, beside the same training on 60 000 examples in memory: both in one
process, in turn. Then a run on the disk is killed (signal 9) at random moments and resumed, and
compared with the run that nothing interrupted.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import describe_device
from jaxnet._files import atomic_write

_ROOT = Path(__file__).resolve().parents[1]
_BYTES = 784
_IN_MEMORY = 60_000
_LIMIT = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: the command line; None is that of the process.

    Returns:
        0; 1 where memory, bits or a resumed run are not as they must be.
    """
    parser = argparse.ArgumentParser(description="data larger than memory")
    parser.add_argument("--directory", type=Path, required=True, help="where data are generated")
    parser.add_argument("--gigabytes", type=float, default=20.0, help="size of the data")
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the results")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of the throughput")
    parser.add_argument("--kills", type=int, default=10, help="moments at which the run is killed")
    parser.add_argument("--num-steps", type=int, default=8000, help="steps of the run")
    given = parser.parse_args(arguments)
    smallest = 2 * _IN_MEMORY * _BYTES / 1e9
    for name, least in (("gigabytes", smallest), ("rounds", 1), ("kills", 0), ("num_steps", 1)):
        if not getattr(given, name) >= least:
            option = name.replace("_", "-")
            parser.error(f"--{option} must be at least {least:g}, found {getattr(given, name):g}")
    num_examples = int(given.gigabytes * 1e9 / _BYTES)
    if not given.directory.is_dir():
        parser.error(f"--directory {given.directory} is not a folder")
    free, needed = shutil.disk_usage(given.directory).free, num_examples * (_BYTES + 4) + (1 << 30)
    if free < needed:
        parser.error(f"{given.directory} has {free / 1e9:.1f} GB left, {needed / 1e9:.1f} needed")
    with tempfile.TemporaryDirectory(prefix="jaxnet-streams-", dir=given.directory) as folder:
        results = measure(Path(folder), num_examples, given)
    header = {
        "command": "python -m benchmarks.streams " + " ".join(arguments or sys.argv[1:]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu_count": os.cpu_count(),
        "device": describe_device(),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(given.out) as temporary:
        temporary.write_text(json.dumps(header | results, indent=1) + "\n", encoding="utf-8")
    passed = (
        results["bits"]["identical"]
        and results["resumed"]["identical"]
        and results["throughput"]["max_resident_gigabytes"] < _LIMIT
    )
    return 0 if passed else 1


def measure(folder: Path, num_examples: int, given: argparse.Namespace) -> dict[str, Any]:
    """All measurements, in processes of their own.

    Args:
        folder: an empty folder for the data and the runs.
        num_examples: of the large data set.
        given: the options.

    Returns:
        The results.
    """
    large, small = folder / "large", folder / "small"
    results: dict[str, Any] = {}
    for data, number in ((small, _IN_MEMORY), (large, num_examples)):
        data.mkdir()
        start = time.perf_counter()
        _run("generate", data, "--num-examples", number)
        print(f"generated {number} examples in {time.perf_counter() - start:.0f} s", flush=True)
    for name, options in (
        ("bits", (small,)),
        ("throughput", (large, "--rounds", given.rounds)),
    ):
        results[name] = _run(name, *options)
        print(f"{name}: {json.dumps(results[name])}", flush=True)
    steps = ("--num-steps", given.num_steps)
    start = time.perf_counter()
    whole = _run("train", large, folder / "whole", *steps)
    seconds = time.perf_counter() - start
    generator = random.Random(0)
    kills = []
    for target in sorted(generator.uniform(0, 0.95) * given.num_steps for _ in range(given.kills)):
        process = _start("train", large, folder / "killed", *steps)
        kills.append(_kill_after(process, folder / "killed", target, generator.uniform(0, 1)))
    resumed = _run("train", large, folder / "killed", *steps)
    results["resumed"] = {
        "kills": kills,
        "identical": resumed["state_sha256"] == whole["state_sha256"],
        "seconds_of_the_whole_run": round(seconds, 1),
        "max_resident_gigabytes": whole["max_resident_gigabytes"],
    }
    print(f"resumed: {json.dumps(results['resumed'])}", flush=True)
    return results


def _kill_after(
    process: subprocess.Popen[str], path: Path, step: float, seconds: float
) -> dict[str, Any]:
    """Kill a training some seconds after its first checkpoint at or after a step."""
    while process.poll() is None and _last_step(path) < step:
        time.sleep(0.01)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    return {"step": _last_step(path), "killed": process.returncode == -signal.SIGKILL}


def _last_step(path: Path) -> int:
    steps = [int(p.name) for p in (path / "checkpoints").glob("*") if p.name.isdigit()]
    return max(steps, default=0)


def _start(*arguments: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.stream_workload", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _run(*arguments: Any) -> dict[str, Any]:
    process = _start(*arguments)
    out, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{arguments[0]} failed: {errors.strip()[-2000:]}")
    return json.loads(out.strip().splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
