"""Learners that update only the rows of tables that a batch holds."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from jaxnet.objectives.weighting import require_entry
from jaxnet.training.state import Learner, TrainState
from jaxnet.typing import Batch, Metrics, Params


def row_sparse_learner(learner: Learner, tables: Sequence[str]) -> Learner:
    """Take each step on the rows of tables that the batch holds, and leave all others as they are.

    The rows, and the same rows of the state of the optimizer, are gathered into small tables, the
    learner takes its step on these, and the results are written back. So a step costs what its
    batch does, whatever the number of rows, where the state is donated.

    With SGD and Adagrad the result is that of `learner`, up to rounding, since a row whose gradient
    is 0 does not move. Adam and other optimizers with momentum move such rows by their past
    gradients; here the moments of a row change in the steps that hold it alone (known as lazy
    Adam), while Adam's correction of the bias counts all steps. Where every row is in each batch
    they are equal too. A penalty of the objective counts the rows of the batch alone.

    Args:
        learner: a learner such as a `gradient_learner`, whose objective looks rows up at the
            indices of `x` and accepts tables with any number of rows: of `matrix_factorization` or
            `bag_of_embeddings`.
        tables: names of entries of the parameters, whose arrays have rows as their first axis. With
            one table, all of `batch["x"]` are rows of it; with several, the last axis of
            `batch["x"]` has a column for each.

    Returns:
        A learner on the same states, with the same metrics.

    Raises:
        ValueError: no tables; (of the learner) a table that is not an entry of the parameters; a
            state of the optimizer whose arrays are not those of the parameters (L-BFGS, factored
            moments); a batch whose `x` has not a column for each table.

    >>> import optax, jaxnet as jn
    >>> model = jn.recommendation.matrix_factorization(1000, 500, 4)
    >>> objective = jn.recommendation.factorization_objective(model, 0.02)
    >>> learner = jn.gradient_learner(model.init, objective, optax.adagrad(0.1))
    >>> learner = row_sparse_learner(learner, ("user", "item"))
    >>> state = learner.init(jax.random.key(0))
    >>> batch = {"x": jnp.array([[3, 7], [3, 9]]), "y": jnp.array([1.0, 2.0])}
    >>> new, metrics = jax.jit(learner.step)(state, batch)
    >>> changed = new.params["user"]["bias"] != state.params["user"]["bias"]
    >>> jnp.flatnonzero(changed).tolist()
    [3]

    Source: Duchi, Hazan and Singer (2011), "Adaptive subgradient methods", section 1.3, for updates
    of the coordinates that occur; Abadi et al. (2016), "TensorFlow", section 4.2, for gathered
    rows.
    """
    names = tuple(tables)
    if not names or len(set(names)) != len(names):
        raise ValueError(
            f"row_sparse_learner: tables are {list(names)}, expected at least one name, none twice"
        )

    def init(key: Array) -> TrainState:
        state = learner.init(key)
        _require_tables(state, names)
        return state

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        _require_tables(state, names)
        columns = _columns(require_entry("row_sparse_learner", batch, "x"), names)
        rows, local = {}, {}
        for name, indices in columns.items():
            num_rows = _num_rows(state.params[name])
            # An unknown row is one after the last, where nothing is gathered or written.
            inside = (indices >= 0) & (indices < num_rows)
            flat = jnp.where(inside, indices, num_rows).ravel()
            size = min(flat.size, num_rows + 1)
            rows[name], inverse = jnp.unique(
                flat, return_inverse=True, size=size, fill_value=num_rows
            )
            inverse = inverse.reshape(indices.shape).astype(indices.dtype)
            local[name] = jnp.where(inside, inverse, -1)
        x = local[names[0]]
        if len(names) > 1:
            x = jnp.stack([local[name] for name in names], axis=-1)

        def gather(params: Params) -> Params:
            return params | {name: _take(params[name], rows[name]) for name in names}

        def scatter(params: Params, small: Params) -> Params:
            written = {name: _put(params[name], small[name], rows[name]) for name in names}
            return small | written

        small = state._replace(
            params=gather(state.params),
            optimizer_state=_map_like(state.params, gather, state.optimizer_state),
        )
        new, metrics = learner.step(small, {**batch, "x": x})
        optimizer_state = _map_like(
            state.params, scatter, state.optimizer_state, new.optimizer_state
        )
        params = scatter(state.params, new.params)
        return new._replace(params=params, optimizer_state=optimizer_state), metrics

    return Learner(init, step)


def _columns(x: Array, names: tuple[str, ...]) -> dict[str, Int[Array, "..."]]:
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(
            f"row_sparse_learner: x is of dtype {x.dtype}, expected integers, the rows of tables"
        )
    if len(names) == 1:
        return {names[0]: x}
    if x.shape[-1:] != (len(names),):
        raise ValueError(
            f"row_sparse_learner: x has shape {x.shape}, expected a last axis of {len(names)}, a "
            f"column for each of the tables {', '.join(names)}"
        )
    return {name: x[..., index] for index, name in enumerate(names)}


def _num_rows(table: PyTree[Array]) -> int:
    return len(jax.tree.leaves(table)[0])


def _take(table: PyTree[Array], rows: Array) -> Any:
    return jax.tree.map(lambda leaf: leaf.at[rows].get(mode="fill", fill_value=0), table)


def _put(table: PyTree[Array], small: PyTree[Array], rows: Array) -> Any:
    return jax.tree.map(
        # `rows` is sorted, and only the filling, which is dropped, occurs twice.
        lambda leaf, new: leaf.at[rows].set(new, mode="drop", indices_are_sorted=True),
        table,
        small,
    )


def _is_like(params: Params) -> Any:
    structure = jax.tree.structure(params)
    return lambda node: jax.tree.structure(node) == structure


def _map_like(params: Params, function: Any, *trees: Any) -> Any:
    """Apply a function to the parts of trees that have the structure of the parameters."""
    is_like = _is_like(params)
    return jax.tree.map(
        lambda node, *others: function(node, *others) if is_like(node) else (*others, node)[0],
        *trees,
        is_leaf=is_like,
    )


def _require_tables(state: TrainState, names: tuple[str, ...]) -> None:
    params = state.params
    if not isinstance(params, dict) or (missing := [n for n in names if n not in params]):
        found = sorted(params) if isinstance(params, dict) else type(params).__name__
        raise ValueError(
            f"row_sparse_learner: table {missing[0] if isinstance(params, dict) else names[0]!r} "
            f"is not an entry of the parameters, found {found}; name entries that hold tables"
        )
    shapes = jax.tree.map(jnp.shape, params)
    is_like = _is_like(params)
    for name in names:
        lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(params[name])}
        if len(lengths) != 1 or () in lengths:
            raise ValueError(
                f"row_sparse_learner: the arrays of table {name!r} have first axes "
                f"{sorted(lengths)}, expected one number of rows"
            )
    for node in jax.tree.leaves(state.optimizer_state, is_leaf=is_like):
        found = jax.tree.map(jnp.shape, node)
        if found != (shapes if is_like(node) else ()):
            raise ValueError(
                f"row_sparse_learner: the state of the optimizer holds arrays of shape {found}, "
                "expected those of the parameters, or scalars; use sgd, adagrad, adam or another "
                "optimizer whose moments belong to single numbers"
            )
