"""Online learning of all series in one program, in pieces that a run can be resumed after."""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import jaxnet as jn
from experiments.anomaly.config import Config, Online
from experiments.anomaly.features import forecast_data
from experiments.data.labelled_series import Series, pad_series
from experiments.placement import Placement
from experiments.precision import in_precision, scaled
from experiments.training import network_keys
from jaxnet import anomaly, runs
from jaxnet._global_arrays import fetch, gather
from jaxnet.checkpoint import Checkpoints, params_sha256
from jaxnet.runs.shared import restore_shared
from jaxnet.typing import Batch

# Time steps between two checkpoints.
_PIECE = 4096


class OnlineErrors(NamedTuple):
    """Errors of the forecasts of each step, made before the network learned from the step.

    Attributes:
        errors: for each network of a series and each series, values less forecasts `(time,)`.
        values: standardized values of each series `(time,)`.
        params: after the last step, `(networks, series, ...)`.
        state_sha256: hash of the last state.
    """

    errors: list[list[Float[np.ndarray, " time"]]]
    values: list[Float[np.ndarray, " time"]]
    params: Any
    state_sha256: str


def forecaster(in_dim: int, hidden_dims: tuple[int, ...]) -> jn.Network:
    """A network whose first forecast is 0, the mean before: errors of its own start are no news.

    Args:
        in_dim: number of inputs.
        hidden_dims: sizes of the hidden layers.

    >>> network = forecaster(3, (4,))
    >>> network.apply(network.init(jax.random.key(0)), jnp.ones((2, 3))).tolist()
    [[0.0], [0.0]]
    """
    dims = [in_dim, *hidden_dims]
    hidden = [
        layer
        for sizes in itertools.pairwise(dims)
        for layer in (jn.dense(*sizes), jn.activation(jax.nn.tanh))
    ]
    return jn.chain(*hidden, jn.dense(dims[-1], 1, kernel_init=jax.nn.initializers.zeros))


def learn_series(
    config: Config,
    series: tuple[Series, ...],
    directory: runs.RunDirectory,
    placement: Placement,
) -> OnlineErrors:
    """Forecast and learn each step of each series, by `num_seeds` networks for each.

    Args:
        config: options with the method `Online`.
        series: the series.
        directory: the run directory, whose checkpoints are continued.
        placement: how the networks are spread over devices.

    Returns:
        Errors and parameters.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, once a checkpoint is saved.
        FloatingPointError: errors that are not finite.
    """
    method = config.method
    assert isinstance(method, Online)
    rows = [
        forecast_data(
            each, lags=method.lags, seasonal=method.seasonal, num_steps=method.scale_steps
        )
        for each in series
    ]
    longest = max(len(targets) for _, targets in rows)
    length = -(-longest // _PIECE) * _PIECE
    x, weight = pad_series([inputs for inputs, _ in rows], length)
    y, _ = pad_series([targets for _, targets in rows], length)
    # The first step is what values are scaled by.
    weight[:, 0] = 0
    network = in_precision(config, forecaster(x.shape[2], method.hidden_dims))
    learner = jn.gradient_learner(
        network.init,
        scaled(config, jn.regression(network)),
        lambda key: jn.optimizer(method.optimizer, method.learning_rate, key=key),
    )

    def error(state: jn.TrainState, batch: Batch) -> Array:
        return batch["y"][0] - network.apply(state.params, batch["x"])[0, 0]

    def learn(states: jn.TrainState, data: dict[str, Array]) -> tuple[jn.TrainState, Array]:
        return anomaly.learn_online(learner, states, data, score=error)

    keys = network_keys(config.seed, config.num_seeds * len(series))
    keys = keys.reshape(config.num_seeds, len(series))
    states = jax.jit(jax.vmap(jax.vmap(learner.init)))(keys)
    errors = jnp.zeros((config.num_seeds, *weight.shape), jnp.float32)
    checkpoints = Checkpoints(directory.path / "checkpoints")
    first = 0
    processes = directory.processes
    restored = restore_shared(checkpoints, lambda step: (states, errors), processes)
    if restored is not None:
        first, (states, errors) = restored.step, restored.state
        print(f"continued from step {first}", flush=True)
    states = placement.over_runs(states)
    program = jax.jit(jax.vmap(learn, (0, None)))
    errors = np.array(errors)
    with runs.deferred_interruption() as interruption:
        for start in range(first, length, _PIECE):
            piece = slice(start, start + _PIECE)
            data = {"x": x[:, piece], "y": y[:, piece], "weight": weight[:, piece]}
            states, values = program(states, placement.everywhere(jax.tree.map(jnp.asarray, data)))
            errors[:, :, piece] = fetch(values)
            if not np.isfinite(errors).all():
                raise FloatingPointError(
                    f"errors are not finite by step {start + _PIECE}; use a smaller --learning-rate"
                )
            saved = gather(states)
            if directory.is_writer:
                checkpoints.save(start + _PIECE, (saved, errors))
            print(f"step {min(start + _PIECE, longest)}/{longest} of all series", flush=True)
            signals = processes.gather(f"step {start}", interruption.signal_number)
            number = next((each for each in signals if each is not None), None)
            if number is not None and start + _PIECE < length:
                raise runs.Interrupted(
                    number,
                    f"interrupted after step {start + _PIECE}",
                    path=directory.run_path,
                )
    return OnlineErrors(
        [
            [
                row[: len(each.values)].astype(np.float64)
                for row, each in zip(network, series, strict=True)
            ]
            for network in errors
        ],
        [targets for _, targets in rows],
        gather(states.params),
        params_sha256(gather(states)),
    )
