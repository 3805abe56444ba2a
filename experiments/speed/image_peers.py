"""Peers of experiments.speed for images; each imports only what it needs.

The network is the cnn that `experiments.classification` trains on fashion_mnist: six convolutions
of 3x3 with 16, 16, 32, 32, 64 and 64 channels, three poolings, dropout 0.2 after each.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

Workload = dict[str, Any]
Train = Callable[[int], Callable[[], float]]
"""Trains or predicts, and returns a function that computes a quality of the result, untimed."""

CHANNELS = (16, 32, 64)
DROPOUT = 0.2
NUM_BATCHES = 30
"""Batches of one epoch, and of one prediction: a round takes seconds."""


def jaxnet_cnn(
    workload: Workload, x: np.ndarray, y: np.ndarray, *, predict: bool = False
) -> tuple[str, Train]:
    """A whole run, `jit(fit)`, or `predict` of freshly initialized networks."""
    import jax
    import jax.numpy as jnp
    import optax

    import jaxnet as jn

    images, labels = _first_batches(workload, x, y)
    network = jn.cnn(images.shape[1:], CHANNELS, [10], dropout=DROPOUT, convs_per_stage=2)
    learner = jn.gradient_learner(
        network.init, jn.classification(network), optax.adam(workload["learning_rate"])
    )
    options = {"batch_size": workload["batch_size"], "num_epochs": workload["num_epochs"]}
    fit = jax.jit(lambda key, data: jn.fit(learner, key, data, **options)[0].params)
    init = jax.jit(network.init)
    data = {"x": jnp.asarray(images), "y": jnp.asarray(labels)}

    def outputs(params: Any) -> jax.Array:
        return jn.predict(network.apply, params, data["x"], batch_size=workload["batch_size"])

    def train(seed: int) -> Callable[[], float]:
        params = jax.block_until_ready(fit(jax.random.key(seed), data))
        return lambda: float((outputs(params).argmax(-1) == data["y"]).mean())

    params = init(jax.random.key(0))

    def run_predict(seed: int) -> Callable[[], float]:
        result = jax.block_until_ready(outputs(params))
        return lambda: float(result.std())

    return f"jax {jax.__version__}", run_predict if predict else train


def pytorch_cnn(
    workload: Workload,
    x: np.ndarray,
    y: np.ndarray,
    *,
    predict: bool = False,
    channels_last: bool = False,
) -> tuple[str, Train]:
    """An eager loop with a fused optimizer over tensors in memory, or inference."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(workload["num_threads"])
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images, labels = _first_batches(workload, x, y)
    inputs = torch.from_numpy(images.transpose(0, 3, 1, 2)).contiguous(memory_format=layout)
    targets = torch.from_numpy(labels.astype(np.int64))

    def build(seed: int) -> Any:
        torch.manual_seed(seed)
        layers: list[Any] = []
        in_channels = 1
        for channels in CHANNELS:
            for _ in range(2):
                layers += [torch.nn.Conv2d(in_channels, channels, 3, padding=1), torch.nn.ReLU()]
                in_channels = channels
            layers += [torch.nn.MaxPool2d(2), torch.nn.Dropout(DROPOUT)]
        size = images.shape[1] // 8 * (images.shape[2] // 8) * in_channels
        model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(size, 10))
        return model.to(memory_format=layout)

    def outputs(model: Any) -> Any:
        model.eval()
        with torch.inference_mode():
            return torch.cat([model(batch) for batch in inputs.split(workload["batch_size"])])

    def train(seed: int) -> Callable[[], float]:
        model = build(seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=workload["learning_rate"], fused=True)
        for _ in range(workload["num_epochs"]):
            for index in torch.randperm(len(inputs)).split(workload["batch_size"]):
                optimizer.zero_grad(set_to_none=True)
                loss = torch.nn.functional.cross_entropy(model(inputs[index]), targets[index])
                loss.backward()
                optimizer.step()
        return lambda: float((outputs(model).argmax(-1) == targets).float().mean())

    model = build(0)

    def run_predict(seed: int) -> Callable[[], float]:
        result = outputs(model)
        return lambda: float(result.std())

    return f"torch {torch.__version__}", run_predict if predict else train


def _first_batches(
    workload: Workload, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    side = round(x.shape[1] ** 0.5)
    count = min(len(x) // workload["batch_size"], NUM_BATCHES) * workload["batch_size"]
    return x[:count].reshape(count, side, side, 1), y[:count]


# What is timed -> peer -> how.
PEERS = {
    kind: {
        "jaxnet": functools.partial(jaxnet_cnn, predict=predict),
        "PyTorch": functools.partial(pytorch_cnn, predict=predict),
        "PyTorch channels_last": functools.partial(
            pytorch_cnn, predict=predict, channels_last=True
        ),
    }
    for kind, predict in (("cnn", False), ("predict", True))
}
