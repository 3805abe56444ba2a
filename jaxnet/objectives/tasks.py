"""One objective for each output of a network with several, trained together."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from jaxnet._checks import require_not_negative
from jaxnet.nn.network import Network, StatefulNetwork, require_network
from jaxnet.objectives.weighting import masked, masked_rows, require_entry
from jaxnet.typing import AnyObjective, Batch, Metrics, Objective, Params, StatefulObjective


def multitask(
    network: Network | StatefulNetwork,
    tasks: Mapping[str, Callable[[Network], Objective]],
    *,
    strengths: Mapping[str, ArrayLike] | None = None,
) -> AnyObjective:
    """Weighted sum of the objectives of several outputs, `sum_t strength_t loss_t`.

    The network is computed once. Caruana (1997), "Multitask learning", section 1.

    Args:
        network: its outputs are a dict, as those of `jaxnet.nn.heads`, with or without state.
        tasks: output -> objective of a network, such as `jaxnet.classification`, or
            `functools.partial(jaxnet.classification, label_smoothing=0.1)`.
        strengths: output -> factor of its loss, at least 0, 1 where it is left out; may be traced.

    Returns:
        An objective on batches whose `y` is a dict, task -> targets. `weight` is one array for all
        tasks; or a dict, task -> array, where a target is known for some examples only: then the
        loss of a task is the mean over those whose weight for it is not 0. Metrics: `loss` and the
        metrics of each task, called `digit_loss`, `digit_accuracy` for a task `digit`. It is
        stateful where the network is.

    Raises:
        TypeError: what is not a network, a strength that is not a number.
        ValueError: no task, a strength without a task, or one out of range; (of the objective)
            outputs, targets or weights that are not a dict with an entry for each task.

    >>> import jaxnet as jn
    >>> network = jn.nn.heads(jn.dense(2, 4), {"digit": jn.dense(4, 3), "angle": jn.dense(4, 1)})
    >>> tasks = {"digit": jn.classification, "angle": jn.regression}
    >>> objective = multitask(network, tasks, strengths={"angle": 0.5})
    >>> batch = {"x": jnp.zeros((6, 2)), "y": {"digit": jnp.zeros(6, int), "angle": jnp.ones(6)}}
    >>> loss, metrics = objective(network.init(jax.random.key(0)), batch, None)
    >>> round(float(loss - jnp.log(3)), 5), sorted(metrics)
    (0.5, ['angle_loss', 'angle_mean_squared_error', 'digit_accuracy', 'digit_loss'])
    """
    require_network("multitask", network, stateful=True)
    strengths = dict(strengths or {})
    if not tasks or not set(strengths) <= set(tasks):
        raise ValueError(
            f"multitask: tasks are {list(tasks)}, expected at least one, and one for each of the "
            f"strengths {list(strengths)}"
        )
    require_not_negative("multitask", **{f"strengths[{t!r}]": s for t, s in strengths.items()})
    objectives = {task: objective(_IDENTITY) for task, objective in tasks.items()}

    def losses(outputs: Any, batch: Batch) -> tuple[Array, Metrics]:
        metrics: Metrics = {}
        total: Any = 0
        for task, objective in objectives.items():
            parts = {"x": _entry("outputs", outputs, task), "y": _entry("y", batch["y"], task)}
            weight = batch.get("weight")
            if isinstance(weight, Mapping):
                weight = _entry("weight", weight, task)
            parts |= {} if weight is None else {"weight": weight}
            loss, values = objective({}, parts, None)
            total = total + strengths.get(task, 1) * loss
            metrics |= {f"{task}_{name}": value for name, value in {**values, "loss": loss}.items()}
        return total, metrics

    if isinstance(network, StatefulNetwork):

        def apply(params: Params, extra: PyTree[Any], batch: Batch, key: Array | None) -> Any:
            outputs, extra = network.apply(params, extra, _inputs(batch), key=key)
            total, metrics = losses(outputs, batch)
            return total, (extra, metrics)

        return StatefulObjective(network.init_extra, apply)

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        return losses(network.apply(params, _inputs(batch), key=key), batch)

    return objective


def _identity(params: Params, x: Any, /, *, key: Array | None = None) -> Any:
    return x


# What the objective of a task is a function of: the outputs stand in the place of the inputs.
_IDENTITY = Network(lambda key: {}, _identity, "output")


def _inputs(batch: Batch) -> Any:
    """The inputs, with zeros for examples that no task counts."""
    x = require_entry("multitask", batch, "x", remedy="it holds the inputs")
    require_entry("multitask", batch, "y", remedy="it holds the targets of each task")
    weight = batch.get("weight")
    if isinstance(weight, Mapping):
        rows = [
            jnp.reshape(jnp.asarray(leaf) > 0, (len(leaf), -1)).any(axis=1)
            for leaf in jax.tree.leaves(dict(weight))
        ]
        return masked_rows(x, jnp.stack(rows).any(axis=0))
    return masked({"x": x} if weight is None else {"x": x, "weight": weight})["x"]


def _entry(name: str, values: Any, task: str) -> Any:
    if not isinstance(values, Mapping) or task not in values:
        found = sorted(values) if isinstance(values, Mapping) else f"a {type(values).__name__}"
        raise ValueError(
            f"multitask: {name} must be a dict with an entry for each task, found {found} without "
            f"{task!r}"
        )
    return values[task]
