"""Online learning of all series in one program, in pieces that a run can be resumed after."""

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
from jaxnet.checkpoint import Checkpoints, params_sha256
from jaxnet.typing import Batch

# Time steps between two checkpoints.
_PIECE = 4096


class OnlineErrors(NamedTuple):
    """Errors of the forecasts of each step, made before the network learned from the step.

    Attributes:
        errors: for each network of a series and each series, absolute errors `(time,)`.
        params: after the last step, `(networks, series, ...)`.
        state_sha256: hash of the last state.
    """

    errors: list[list[Float[np.ndarray, " time"]]]
    params: Any
    state_sha256: str


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
    network = jn.mlp([x.shape[2], *method.hidden_dims, 1], activation=jax.nn.tanh)
    network = in_precision(config, network)
    learner = jn.gradient_learner(
        network.init,
        scaled(config, jn.regression(network)),
        lambda key: jn.optimizer(method.optimizer, method.learning_rate, key=key),
    )

    def error(state: jn.TrainState, batch: Batch) -> Array:
        return jnp.abs(batch["y"][0] - network.apply(state.params, batch["x"])[0, 0])

    def learn(states: jn.TrainState, data: dict[str, Array]) -> tuple[jn.TrainState, Array]:
        return anomaly.learn_online(learner, states, data, score=error)

    keys = network_keys(config.seed, config.num_seeds * len(series))
    keys = keys.reshape(config.num_seeds, len(series))
    states = jax.jit(jax.vmap(jax.vmap(learner.init)))(keys)
    errors = jnp.zeros((config.num_seeds, *weight.shape), jnp.float32)
    checkpoints = Checkpoints(directory.path / "checkpoints")
    first = 0
    restored = checkpoints.restore((states, errors))
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
            errors[:, :, piece] = values
            if not np.isfinite(errors).all():
                raise FloatingPointError(
                    f"errors are not finite by step {start + _PIECE}; use a smaller --learning-rate"
                )
            checkpoints.save(start + _PIECE, (states, errors))
            print(f"step {min(start + _PIECE, longest)}/{longest} of all series", flush=True)
            if interruption.signal_number is not None and start + _PIECE < length:
                raise runs.Interrupted(
                    interruption.signal_number,
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
        states.params,
        params_sha256(states),
    )
