"""A peer of experiments.speed in a separate process, which trains on demand.

    python peers.py PEER NUM_THREADS WORKLOAD.json

The process loads the data, warms up (compiles) and prints one JSON line; then, for every line it
reads, it trains once from new initial weights and prints another. Each peer imports only what it
needs, so PyTorch may be in another environment that has only NumPy besides.
"""

import itertools
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.speed import clustering_peers, generative_peers, image_peers
from experiments.speed.clustering_peers import Train, Workload


def jaxnet_peer(workload: Workload, x: np.ndarray, y: np.ndarray) -> tuple[str, Train]:
    """A whole run, `jit(fit)`."""
    import jax
    import jax.numpy as jnp
    import optax

    import jaxnet as jn

    network = jn.mlp(workload["dims"])
    optimizer = {"adam": optax.adam, "sgd": optax.sgd}[workload["optimizer"]]
    learner = jn.gradient_learner(
        network.init, jn.classification(network), optimizer(workload["learning_rate"])
    )
    options = {"batch_size": workload["batch_size"], "num_epochs": workload["num_epochs"]}
    fit = jax.jit(lambda key, data: jn.fit(learner, key, data, **options)[0].params)
    data = {"x": jnp.asarray(x), "y": jnp.asarray(y)}

    def train(seed: int) -> Callable[[], float]:
        params = jax.block_until_ready(fit(jax.random.key(seed), data))
        return lambda: float((network.apply(params, data["x"]).argmax(-1) == data["y"]).mean())

    return f"jax {jax.__version__}", train


def peak_peer(workload: Workload, x: np.ndarray, y: np.ndarray) -> tuple[str, Train]:
    """No training: float32 matrix products, to measure what this machine can do at most."""
    import jax
    import jax.numpy as jnp

    size, count = 2048, 8
    product = jax.jit(
        lambda a, b: jax.lax.fori_loop(0, count, lambda _, c: (c @ b) * jnp.float32(1e-2), a)
    )
    a, b = jax.random.normal(jax.random.key(0), (2, size, size))

    def train(seed: int) -> Callable[[], float]:
        jax.block_until_ready(product(a, b))
        return lambda: 2.0 * size**3 * count

    return f"jax {jax.__version__}", train


def scikit_learn_peer(workload: Workload, x: np.ndarray, y: np.ndarray) -> tuple[str, Train]:
    """`MLPClassifier`, its stopping rules switched off."""
    import sklearn
    from sklearn.neural_network import MLPClassifier

    # It is told when to stop, and warns that it did not decide so itself.
    warnings.simplefilter("ignore")

    def train(seed: int) -> Callable[[], float]:
        model = MLPClassifier(
            hidden_layer_sizes=tuple(workload["dims"][1:-1]),
            solver=workload["optimizer"],
            momentum=0.0,
            alpha=0.0,
            batch_size=workload["batch_size"],
            learning_rate_init=workload["learning_rate"],
            max_iter=workload["num_epochs"],
            n_iter_no_change=workload["num_epochs"] + 1,
            tol=0.0,
            random_state=seed,
        ).fit(x, y)
        return lambda: float(model.score(x, y))

    return f"scikit-learn {sklearn.__version__}", train


def pytorch_peer(
    workload: Workload, x: np.ndarray, y: np.ndarray, *, compiled: bool = False
) -> tuple[str, Train]:
    """An eager loop with a fused optimizer over tensors in memory, without a data loader."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(workload["num_threads"])
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))
    dims, batch_size = workload["dims"], workload["batch_size"]
    num_batches = len(x) // batch_size

    def step(model: Any, batch: Any, target: Any) -> Any:
        return torch.nn.functional.cross_entropy(model(batch), target)

    loss_of = torch.compile(step) if compiled else step

    def train(seed: int) -> Callable[[], float]:
        torch.manual_seed(seed)
        layers: list[Any] = []
        for in_dim, out_dim in itertools.pairwise(dims):
            layers += [torch.nn.Linear(in_dim, out_dim), torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1])
        make = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[workload["optimizer"]]
        optimizer = make(model.parameters(), lr=workload["learning_rate"], fused=True)
        for _ in range(workload["num_epochs"]):
            order = torch.randperm(len(inputs))[: num_batches * batch_size]
            for index in order.split(batch_size):
                optimizer.zero_grad(set_to_none=True)
                loss_of(model, inputs[index], labels[index]).backward()
                optimizer.step()

        def accuracy() -> float:
            with torch.no_grad():
                return float((model(inputs).argmax(-1) == labels).float().mean())

        return accuracy

    return f"torch {torch.__version__}", train


def compiled_pytorch_peer(workload: Workload, x: np.ndarray, y: np.ndarray) -> tuple[str, Train]:
    """The same with forward and backward pass through `torch.compile`."""
    return pytorch_peer(workload, x, y, compiled=True)


# What is trained -> peer -> how it trains.
PEERS: dict[str, dict[str, Callable[..., tuple[str, Train]]]] = {
    "classifier": {
        "jaxnet": jaxnet_peer,
        "scikit-learn": scikit_learn_peer,
        "PyTorch": pytorch_peer,
        "PyTorch compiled": compiled_pytorch_peer,
        "matrix product": peak_peer,
    },
    "kmeans": {
        "jaxnet": clustering_peers.jaxnet_kmeans,
        "scikit-learn": clustering_peers.scikit_learn_kmeans,
    },
    "dec": {
        "jaxnet": clustering_peers.jaxnet_dec,
        "ClustPy": clustering_peers.clustpy_dec,
        "matrix product": peak_peer,
    },
    **image_peers.PEERS,
    **generative_peers.PEERS,
}


def main(peer: str, num_threads: str, path: str) -> None:
    """Serve one peer on standard input and output."""
    # Before anything that starts threads is imported.
    for name in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = num_threads
    with open(path, encoding="utf-8") as file:
        workload = json.load(file) | {"num_threads": int(num_threads)}
    with np.load(workload["data"]) as arrays:
        x, y = arrays["x"], arrays["y"]
    try:
        version, train = PEERS[workload["kind"]][peer](workload, x, y)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    start = time.perf_counter()
    train(0)
    first_seconds = time.perf_counter() - start
    print(json.dumps({"version": version, "first_seconds": first_seconds}), flush=True)
    for seed, _ in enumerate(sys.stdin, start=1):
        start = time.perf_counter()
        result = train(seed)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "result": result()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
