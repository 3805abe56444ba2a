"""The compiled programs of estimators: one for each design, which all clones share."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from jaxnet.estimators._design import Design, Settings, build_learner, build_model
from jaxnet.estimators._rows import PREDICTION_BATCH, PresentRows, blocks
from jaxnet.training import (
    EarlyStopped,
    Learner,
    TrainState,
    Validation,
    epochs,
    evaluation_params,
    fit,
    predict,
    restart,
)
from jaxnet.typing import Params

# Programs that are kept for each use; those that are used least are forgotten.
LIMIT = 64


class Trained(NamedTuple):
    """What a training leaves, on the host.

    Attributes:
        params: of all networks, for predictions, with a first axis for the networks.
        leaves: of the state, to train on from.
        history: name -> `(networks, epochs)`; NaN after the end of a network that stopped early.
    """

    params: Any
    leaves: list[np.ndarray]
    history: dict[str, np.ndarray]


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Compute in float64 inside of the block, where that is asked for."""
    with jax.enable_x64(dtype == "float64"):
        yield


def _over_networks(design: Design, run: Callable[..., Any]) -> Callable[..., Any]:
    """A run of one network, mapped over the first axis of its first argument."""
    if design.num_networks > 1:
        return lambda first, *rest: jax.vmap(lambda one: run(one, *rest))(first)

    def alone(first: Any, *rest: Any) -> Any:
        # Without a mapped axis a run that stops early skips its last epochs.
        one = jax.tree.map(lambda leaf: leaf[0], first)
        return jax.tree.map(lambda leaf: leaf[None], run(one, *rest))

    return alone


def _learner(
    design: Design, settings: Settings, data: Any, init: Callable[[Array], Params] | None = None
) -> Learner:
    model = build_model(design, settings)
    batches = PresentRows(design.batch_size)
    total = batches.num_present_steps(data) * design.num_epochs
    return build_learner(design, settings, model.objective, init or model.init, total)


def _validation(design: Design, settings: Settings, data: Any) -> Validation | None:
    if design.patience is None:
        return None
    objective = build_model(design, settings).evaluation
    return Validation(objective, data, patience=design.patience)


def _outcome(design: Design, state: TrainState, history: Any, data: Any) -> Any:
    """Parameters to predict with, the state to train on from, and the history."""
    params = evaluation_params(state)
    if isinstance(state.extra, EarlyStopped):
        state = state._replace(extra=state.extra.extra)
    history = _over_present(history, _step_ratio(design, data))
    return params, state._replace(key=jax.random.key_data(state.key)), history


def _step_ratio(design: Design, data: Any) -> Array:
    """Steps of an epoch for each that changes something."""
    batches = PresentRows(design.batch_size)
    return batches.num_steps(data) / batches.num_present_steps(data)


def _over_present(history: dict[str, Any], ratio: Any) -> dict[str, Any]:
    """Means over the steps that change something; all others have metrics of 0."""
    return {
        name: values if name.startswith("validation_") else values * ratio
        for name, values in history.items()
    }


@functools.lru_cache(LIMIT)
def fit_program(design: Design, warm: bool) -> Callable[..., Any]:
    """The whole training, as a function of keys or parameters, settings and data.

    Args:
        design: what is static.
        warm: whether it starts from given parameters.
    """

    def run(start: Any, settings: Settings, data: Any, validation: Any) -> Any:
        key = jax.random.wrap_key_data(start[0])
        init = (lambda key: start[1]) if warm else None
        state, history = fit(
            _learner(design, settings, data, init),
            key,
            data,
            batches=PresentRows(design.batch_size),
            num_epochs=design.num_epochs,
            validation=_validation(design, settings, validation),
        )
        return _outcome(design, state, history, data)

    return jax.jit(_over_networks(design, run))


@functools.lru_cache(LIMIT)
def continue_program(design: Design) -> Callable[..., Any]:
    """The training from a state on, as a function of its leaves, settings and data."""

    def run(leaves: Any, settings: Settings, data: Any) -> Any:
        learner = _learner(design, settings, data)
        structure = jax.tree.structure(jax.eval_shape(learner.init, jax.random.key(0)))
        state = jax.tree.unflatten(structure, leaves)
        state = restart(state._replace(key=jax.random.wrap_key_data(state.key)))
        state, history = fit(
            Learner(lambda key: state, learner.step),
            state.key,
            data,
            batches=PresentRows(design.batch_size),
            num_epochs=design.num_epochs,
        )
        return _outcome(design, state, history, data)

    return jax.jit(_over_networks(design, run))


def train(
    design: Design,
    settings: Settings,
    data: dict[str, np.ndarray],
    *,
    keys: np.ndarray | None = None,
    params: Any = None,
    leaves: list[np.ndarray] | None = None,
    validation: dict[str, np.ndarray] | None = None,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> Trained:
    """Train all networks of a design.

    Args:
        design: what is static.
        settings: numbers.
        data: padded arrays, `weight` among them.
        keys: data of a key for each network; None where a state is given.
        params: where to start, instead of initial parameters.
        leaves: of the state to train on from.
        validation: padded validation data.
        report: is told the number of each epoch and its metrics; None trains without a stop.
    """
    with precision(design.dtype):
        if leaves is not None:
            results = continue_program(design)(leaves, settings, data)
        else:
            start = (keys,) if params is None else (keys, params)
            if report is None:
                program = fit_program(design, params is not None)
                results = program(start, settings, data, validation or {})
            else:
                results = _watched(design, settings, data, start, validation, report)
        params, state, history = jax.device_get(results)
    return Trained(params, jax.tree.leaves(state), history)


def _watched(
    design: Design,
    settings: Settings,
    data: Any,
    start: Any,
    validation: Any,
    report: Callable[[int, dict[str, float]], None],
) -> Any:
    """The same training epoch by epoch, which reports each; it compiles at each call."""
    arrays, alone = jax.device_put(data), design.num_networks == 1

    def begin(first: Any, data: Any) -> TrainState:
        init = (lambda key: first[1]) if len(first) > 1 else None
        return _learner(design, settings, data, init).init(jax.random.wrap_key_data(first[0]))

    def end(state: TrainState, data: Any) -> Any:
        params, state, _ = _outcome(design, state, {}, data)
        return params, state

    if alone:
        start = jax.tree.map(lambda leaf: leaf[0], start)
    state = jax.jit(begin if alone else jax.vmap(begin, (0, None)))(start, arrays)
    run = epochs(
        _learner(design, settings, arrays),
        state,
        arrays,
        batches=PresentRows(design.batch_size),
        validation=_validation(design, settings, validation),
    )
    ratio = float(jax.jit(functools.partial(_step_ratio, design))(arrays))
    rows = []
    for (current, metrics), epoch in zip(run, range(design.num_epochs), strict=False):
        state = current
        row = _over_present(jax.tree.map(np.asarray, metrics), ratio)
        rows.append(row)
        report(epoch + 1, {name: float(np.mean(values)) for name, values in row.items()})
    history = jax.tree.map(lambda *values: np.stack(values, axis=-1), *rows)
    params, state = jax.jit(end if alone else jax.vmap(end, (0, None)))(state, arrays)
    if alone:
        params, state = jax.tree.map(lambda leaf: leaf[None], jax.device_get((params, state)))
    return params, state, {name: np.atleast_2d(values) for name, values in history.items()}


@functools.lru_cache(LIMIT)
def _prediction_program(design: Design, name: str, num_rows: int) -> Callable[..., Any]:
    def run(params: Params, x: Array) -> Array:
        # None of these numbers is part of an evaluation.
        numbers = dict.fromkeys(("dropout", "noise", "label_smoothing", "output_std"), 0.5)
        apply = build_model(design, numbers | {"visible_bias": None}).functions[name]
        one = functools.partial(predict, apply, x=x, batch_size=PREDICTION_BATCH)
        return jax.vmap(lambda params: one(params))(params)

    return jax.jit(run)


def outputs(design: Design, name: str, params: Params, x: np.ndarray) -> np.ndarray:
    """Outputs of a function of all networks, `(networks, rows, ...)`.

    Rows are padded to few sizes, and computed in batches of one size, so that the output for a row
    does not depend on the rows beside it.

    Args:
        design: of the training.
        name: of a function of the model.
        params: of all networks.
        x: scaled rows.
    """
    # What decides a prediction alone, so that more designs share it.
    design = Design(
        design.task,
        design.dims,
        num_rows=0,
        num_validation_rows=0,
        batch_size=1,
        num_epochs=1,
        num_networks=1,
        optimizer="",
        schedule=None,
        decays=False,
        activation=design.activation,
        dtype=design.dtype,
        units=design.units,
    )
    parts = []
    with precision(design.dtype):
        for block, count in blocks(x):
            program = _prediction_program(design, name, len(block))
            parts.append(np.asarray(program(params, block))[:, :count])
    return np.concatenate(parts, axis=1)
