"""Speed: the same training on jaxnet and on other libraries, in one run, as ratios.

    python -m experiments.speed                                      # both networks
    python -m experiments.speed --workload small --repeats 9
    python -m experiments.speed --workload large --optimizer sgd
    python -m experiments.speed --torch-python OTHER_VENV/bin/python # PyTorch from elsewhere
    python -m experiments.speed --workload cnn --torch-python OTHER_VENV/bin/python
    python -m experiments.speed --workload predict --torch-python OTHER_VENV/bin/python
    python -m experiments.speed --workload vae                       # beside JAX by hand
    python -m experiments.speed --workload kmeans                    # MNIST, beside scikit-learn
    python -m experiments.speed --workload dec --torch-python OTHER_VENV/bin/python

Two workloads are classifiers, each the same network, batch, epochs and optimizer for every peer:
`small` is 64-128-10 on the digits, batch 64, 20 epochs; `large` is 784-512-10 on MNIST, batch 128,
one epoch.
Each peer runs with one thread and with all, in processes that run one after the other, and is
compared at its best setting. The first training of a process, with its compilation, is no part of
the ratios; the table shows its time. `large` and `dec` also show which fraction
of the measured peak of float32 matrix products training reaches.

`cnn` trains the cnn of experiments.classification on 30 batches of 128 fashion_mnist images, beside
PyTorch in both layouts; `predict` computes its outputs for them.

`vae` is a variational autoencoder 64-128-8 on the digits, `rbm` a machine of 128 hidden units by
CD-1, each for 200 epochs of batches of 128 beside the same program in JAX alone.

`kmeans` is Lloyd's algorithm with 10 clusters on all of MNIST, from the same examples as centers.
`dec` is deep embedded clustering of the digits, 64-500-500-2000-10, batch 256, 50 epochs for the
autoencoder and 50 for the clusters, beside ClustPy. The results of these are inertia and accuracy.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from experiments.command import finish, print_table, statistics, stopwatch
from experiments.config import Options, PositiveInt
from experiments.data import load
from experiments.training import check_directory, open_directory

SCRIPT = Path(__file__).with_name("peers.py")
PEAK = "matrix product"
RATES = {"adam": 1e-3, "sgd": 0.1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Options):
    """Time the same training on jaxnet, scikit-learn and PyTorch, and print ratios."""

    experiment: ClassVar[str] = "speed"

    workload: Literal["small", "large", "cnn", "predict", "vae", "rbm", "kmeans", "dec", "all"] = (
        "all"
    )
    """What is timed: small is 64-128-10 on digits for 20 epochs, large is 784-512-10 on MNIST for
    one epoch, all is these two; cnn is training and predict the outputs of a convolutional network;
    vae and rbm are training beside the same programs in JAX by hand; kmeans and dec are
    clusterings."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam, or plain stochastic gradient descent."""
    repeats: PositiveInt = 5
    """Number of rounds; in each, every peer trains once at each thread setting."""
    torch_python: Path = Path(sys.executable)
    """Python interpreter that has PyTorch or ClustPy; without these there is no ratio."""
    out: Path | None = None
    """Run directory, which must be new or empty; None makes runs/speed-WORKLOAD-TIME."""

    @property
    def dataset(self) -> str:
        """Name of the workload, after which the run directory is named."""
        return self.workload

    @property
    def num_seeds(self) -> int:
        """Number of seeds: every round trains from a different one."""
        return self.repeats


@dataclasses.dataclass(frozen=True)
class Workload:
    """The training of every peer: a classifier, or clusters, whose number or size of a code is the
    last of the sizes."""

    kind: Literal["classifier", "cnn", "predict", "vae", "rbm", "kmeans", "dec"]
    peers: tuple[str, ...]
    dataset: str
    dims: tuple[int, ...]
    batch_size: int
    num_epochs: int

    def flops(self, num_examples: int) -> float:
        """Multiplications and additions of the matrix products of one run.

        Forward, and backward with respect to weights and inputs, 2 n m each for a layer of n x m;
        the gradient with respect to the inputs of the first layer is not needed.
        """
        sizes = [fan_in * units for fan_in, units in itertools.pairwise(self.dims)]
        per_example = 6 * sum(sizes) - 2 * sizes[0]
        if self.kind == "dec":
            # The autoencoder, which has the sizes twice; then its encoder alone.
            per_example += 12 * sum(sizes) - 2 * sizes[0]
        steps = num_examples // self.batch_size * self.num_epochs
        return float(per_example * steps * self.batch_size)


_CLASSIFIERS = ("jaxnet", "scikit-learn", "PyTorch", "PyTorch compiled", PEAK)
_IMAGES = ("jaxnet", "PyTorch", "PyTorch channels_last")
WORKLOADS = {
    "small": Workload("classifier", _CLASSIFIERS, "digits", (64, 128, 10), 64, 20),
    "large": Workload("classifier", _CLASSIFIERS, "mnist", (784, 512, 10), 128, 1),
    "cnn": Workload("cnn", _IMAGES, "fashion_mnist", (784, 10), 128, 1),
    "predict": Workload("predict", _IMAGES, "fashion_mnist", (784, 10), 128, 1),
    "vae": Workload("vae", ("jaxnet", "JAX by hand"), "digits", (64, 128, 8), 128, 200),
    "rbm": Workload("rbm", ("jaxnet", "JAX by hand"), "digits", (64, 128), 128, 200),
    "kmeans": Workload("kmeans", ("jaxnet", "scikit-learn"), "mnist", (784, 10), 1, 1),
    "dec": Workload(
        "dec", ("jaxnet", "ClustPy", PEAK), "digits", (64, 500, 500, 2000, 10), 256, 50
    ),
}


class Peer:
    """A process that trains on demand.

    Attributes:
        name: the peer.
        num_threads: its threads.
        version: of its package, or None where that is not installed.
        missing: why it is not installed.
        first_seconds: of the training before the rounds, compilation included.
        seconds: of each training so far.
        results: quality of each training (or, for the matrix products, operations).
    """

    def __init__(self, name: str, num_threads: int, python: Path, workload_file: Path) -> None:
        self.name, self.num_threads = name, num_threads
        self.seconds: list[float] = []
        self.results: list[float] = []
        # A file: a pipe that nobody reads would fill up and stop the peer.
        self.stderr = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        root = str(SCRIPT.resolve().parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            [str(python), str(SCRIPT), name, str(num_threads), str(workload_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu"},
        )
        try:
            answer = self._read()
        except ValueError:
            self.close()
            raise
        self.version: str | None = answer.get("version")
        self.missing: str | None = answer.get("missing")
        self.first_seconds: float = answer.get("first_seconds", np.nan)

    def train(self) -> None:
        """Train once and note the time."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self._read()
        self.seconds.append(answer["seconds"])
        self.results.append(answer["result"])

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.stderr.seek(0)
            *_, last = ["no message", *self.stderr.read().strip().splitlines()]
            raise ValueError(f"{self.name} with {self.num_threads} threads failed: {last}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
        self.stderr.close()


def measure(
    name: str, config: Config, num_threads: tuple[int, ...]
) -> tuple[list[Peer], int, str | None]:
    """All peers on a workload, in rounds.

    Returns:
        The peers with their times, the number of examples, and a remark on the data.
    """
    workload = WORKLOADS[name]
    x, y, remark = training_data(workload)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        data, description = Path(folder) / "data.npz", Path(folder) / "workload.json"
        np.savez(data, x=x, y=y)
        options = {"optimizer": config.optimizer, "learning_rate": RATES[config.optimizer]}
        options |= dataclasses.asdict(workload) | {"data": str(data)}
        description.write_text(json.dumps(options), encoding="utf-8")
        peers: list[Peer] = []
        for peer, threads in itertools.product(workload.peers, num_threads):
            python = Path(sys.executable)
            if peer.startswith(("PyTorch", "ClustPy")):
                python = config.torch_python
            peers.append(Peer(peer, threads, python, description))
            stack.callback(peers[-1].close)
        for repeat in range(config.repeats):
            print(f"{name}: round {repeat + 1} of {config.repeats}", flush=True)
            for peer in peers:
                if peer.version:
                    peer.train()
    return peers, len(x), remark


def training_data(workload: Workload) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Inputs scaled to [0, 1] and labels; random ones where the data set is not available."""
    try:
        dataset = load(workload.dataset)
    except (OSError, ValueError) as error:
        rng = np.random.default_rng(0)
        x = rng.random((60_000, workload.dims[0]), np.float32)
        y = rng.integers(0, workload.dims[-1], len(x)).astype(np.int32)
        return x, y, f"random numbers in place of {workload.dataset}: {error}"
    x, y = dataset.x, dataset.y
    if dataset.num_official_test and workload.kind == "classifier":
        x, y = x[: -dataset.num_official_test], y[: -dataset.num_official_test]
    x = np.asarray(x.reshape(len(x), -1) / x.max(), np.float32)
    return x, y.astype(np.int32), None


def best_setting(peers: list[Peer], name: str) -> Peer | None:
    """The thread setting with the smallest median time; None where the peer is not installed."""
    timed = [peer for peer in peers if peer.name == name and peer.seconds]
    return min(timed, key=lambda peer: float(np.median(peer.seconds)), default=None)


def summarize(
    name: str, peers: list[Peer], num_examples: int
) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """Ratios and fraction of the peak as metrics, and a table of all settings."""
    ours = best_setting(peers, "jaxnet")
    assert ours is not None
    header = ("peer", "version", "threads", "first s", "median s", "min s", "result")
    rows: list[tuple[str, ...]] = [(*header, "times jaxnet")]
    metrics: dict[str, Any] = {}
    for peer in peers:
        if peer.name == PEAK:
            continue
        if not peer.seconds:
            rows.append((peer.name, "not installed", str(peer.num_threads), *[""] * 5))
            continue
        ratios = np.array(peer.seconds) / np.array(ours.seconds)
        cells = (f"{peer.first_seconds:.1f}",)
        cells += (f"{np.median(peer.seconds):.3f}", f"{min(peer.seconds):.3f}")
        cells += (f"{np.mean(peer.results):.6g}", f"{np.median(ratios):.2f}")
        rows.append((peer.name, peer.version or "", str(peer.num_threads), *cells))
        if peer is not ours and peer is best_setting(peers, peer.name):
            metrics[f"{name}: time of {peer.name} / time of jaxnet"] = statistics(ratios)
    peak = best_setting(peers, PEAK)
    if peak is not None:
        rates = np.array(peak.results) / np.array(peak.seconds)
        reached = WORKLOADS[name].flops(num_examples) / np.array(ours.seconds)
        metrics[f"{name}: fraction of the matrix-product peak"] = statistics(reached / rates)
        metrics[f"{name}: matrix-product peak in GFLOP/s"] = statistics(rates / 1e9)
    return metrics, rows


def run(config: Config) -> dict[str, Any]:
    """Time every peer on the workloads.

    Returns:
        The summary, as it is written to `summary.json`: ratios over the rounds.

    Raises:
        ValueError: a mistake in the options, or a peer that fails.
    """
    if not os.access(config.torch_python, os.X_OK):
        raise ValueError(
            f"torch_python: {config.torch_python} is not a program; name a Python interpreter"
        )
    check_directory(config)
    cores = os.cpu_count() or 1
    num_threads = (1, cores) if cores > 1 else (1,)
    metrics: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    with stopwatch() as seconds:
        for name in ("small", "large") if config.workload == "all" else (config.workload,):
            peers, num_examples, remark = measure(name, config, num_threads)
            ratios, rows = summarize(name, peers, num_examples)
            metrics |= ratios
            tables[name if remark is None else f"{name} ({remark})"] = rows
            print_table(rows)
            if remark:
                print(remark)
    summary = {"metrics": metrics, "tables": tables, "params_sha256": [], "seconds": seconds}
    with open_directory(config, "") as directory:
        return finish(directory, config, summary | {"unit": "rounds"}, {})
