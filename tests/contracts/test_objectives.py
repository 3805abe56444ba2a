"""Laws that every objective obeys, and every transformation of objectives."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn
from tests.contracts.generator import quick_key
from tests.contracts.registry import DIM, OBJECTIVES, N, example_data, example_params

# Their gradient at a batch without weight is that of the penalty.
PENALTIES = {"l1", "l2"}


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("name", OBJECTIVES)
def test_weight_zero_masks_and_randomness_comes_from_the_key(name):
    key = quick_key(20)
    objective, init, shapes = OBJECTIVES[name]
    batch = example_data(shapes)
    batch["weight"][5:] = 0.0
    run = jax.jit(jax.value_and_grad(objective, has_aux=True))
    params = example_params(init)
    expected = run(params, batch, key)
    (loss, metrics), _ = expected
    assert loss.shape == () and np.isfinite(loss)
    assert all(value.shape == () for value in jax.tree.leaves(metrics))
    jax.tree.map(np.testing.assert_array_equal, expected, run(params, batch, key))
    # The masked examples stay where they are, since noise has the shape of the batch.
    for anything in (0.5, jnp.nan):

        def spoil(leaf, anything=anything):
            leaf = leaf.copy()
            if np.issubdtype(leaf.dtype, np.floating):
                leaf[5:] = anything
            return leaf

        changed = jax.tree.map(spoil, batch) | {"weight": batch["weight"]}
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
            expected,
            run(params, batch | changed, key),
        )
    (loss, metrics), gradient = run(params, batch | {"weight": np.zeros_like(batch["weight"])}, key)
    assert all(np.isfinite(leaf) for leaf in (loss, *metrics.values()))
    for leaf in jax.tree.leaves(gradient):
        leaf = np.asarray(leaf)
        assert np.isfinite(leaf).all() and (name in PENALTIES or not leaf.any())


@pytest.fixture
def whole_tracebacks():
    """JAX takes longer to shorten the traceback of an error than an objective to raise it."""
    before = jax.config.jax_traceback_filtering
    jax.config.update("jax_traceback_filtering", "off")
    yield
    jax.config.update("jax_traceback_filtering", before)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.usefixtures("as_users_run", "whole_tracebacks")
def test_wrong_batches_raise_before_compilation(name, key):
    objective, init, shapes = OBJECTIVES[name]
    params = jax.eval_shape(init, key)
    for shape in ((), (1,), (N + 1,), (N, 11)):
        batch = shapes | {"weight": jax.ShapeDtypeStruct(shape, jnp.float32)}
        with pytest.raises(ValueError, match=rf"weight has shape \({(shape and shape[0]) or ''}"):
            jax.eval_shape(objective, params, batch, key)
    with pytest.raises(ValueError, match=r"has no entry 'x', found .*'weight'"):
        jax.eval_shape(objective, params, {n: s for n, s in shapes.items() if n != "x"}, key)
    for entry in ("y", "p"):
        if hasattr(shapes.get(entry), "shape"):
            shape = (*shapes[entry].shape, 2)
            wrong = shapes | {entry: jax.ShapeDtypeStruct(shape, shapes[entry].dtype)}
            with pytest.raises(ValueError, match=re.escape(str(shape))):
                jax.eval_shape(objective, params, wrong, key)
    wide = shapes | {"x": jax.ShapeDtypeStruct((N, DIM + 1), jnp.float32)}
    if name not in ("augmentation", "next_event"):  # images of one shape, logs of any length
        with pytest.raises(ValueError, match=rf"\({N}, {DIM + 1}\)"):
            jax.eval_shape(objective, params, wide, key)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_and_metrics_are_float32_whatever_the_outputs_are(name, key):
    objective, init, shapes = OBJECTIVES[name]

    def half(leaf):
        is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
        return jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16 if is_float else leaf.dtype)

    params, batch = jax.tree.map(half, (jax.eval_shape(init, key), shapes))
    for leaf in jax.tree.leaves(jax.eval_shape(objective, params, batch, key)):
        assert leaf.dtype == jnp.float32


@pytest.mark.parametrize("kind", ["objective", "stateful"])
def test_transformations_of_two_kinds_draw_independent_numbers(kind, key):
    """Each keeps half of the inputs, both a quarter; the objective inside draws others again."""

    def kept(params, batch, key):
        own = jax.random.bernoulli(key, 0.5, batch["x"].shape)
        kept = batch["x"] > 0
        return kept.mean(), {"with_own": (kept & own).mean()}

    def stateful(params, extra, batch, key):
        loss, metrics = kept(params, batch, key)
        return loss, (extra + 1, metrics)

    def transform(objective):
        noise = jn.nn.masking_noise(0.5)
        return jn.with_augmentation(jn.with_noise(jn.with_l2(objective, 0.1), noise), noise)

    batch, params = {"x": np.ones((500, 40), np.float32)}, {"kernel": np.zeros((2, 2), np.float32)}
    if kind == "objective":
        loss, metrics = jax.jit(transform(kept))(params, batch, key)
    else:
        objective = transform(jn.typing.StatefulObjective(lambda *_: jnp.zeros(()), stateful))

        @jax.jit
        def first(params, batch, key):
            return objective.apply(params, objective.init(params, key), batch, key)

        loss, (extra, metrics) = first(params, batch, key)
        assert float(extra) == 1
    assert abs(float(loss) - 0.25) < 0.02
    assert abs(float(metrics["with_own"]) - 0.125) < 0.015
