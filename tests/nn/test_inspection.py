"""Tables and representations of networks."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen

import jaxnet as jn
from jaxnet.nn.flax import from_linen


def table(text):
    """Name, output and number of parameters of each row; the last line is the total."""
    *lines, total = text.splitlines()[1:]
    rows = [line.rsplit("  ", 1) for line in lines]
    return {left.split("  (")[0].strip(): count.strip() for left, count in rows}, total


def test_counts_and_shapes_are_those_of_the_parameters():
    network = jn.cnn((8, 8, 1), [4, 6], [5, 3], dropout=0.1)
    rows, total = table(jn.summary(network, (8, 8, 1)))
    params = network.init(jax.random.key(0))
    sizes = {name: sum(leaf.size for leaf in leaves.values()) for name, leaves in params.items()}
    for name, size in sizes.items():
        (row,) = [text for text in rows if text.startswith(f"{name}:")]
        assert rows[row] == f"{size:,}"
    assert total == f"{sum(sizes.values()):,} parameters"
    assert len(rows) == len(network) + 1
    assert "(4, 4, 4)" in jn.summary(network, (8, 8, 1))


def test_parts_of_parts_are_listed_below_them():
    network = jn.chain(jn.parallel(jn.dense(3, 4), jn.mlp([3, 2, 2])), jn.dense(6, 2))
    assert repr(network).splitlines() == [
        "chain(",
        "  parallel_0: parallel(",
        "    dense_0: dense(3, 4)",
        "    chain_0: chain(",
        "      dense_0: dense(3, 2)",
        "      activation_0: activation(relu)",
        "      dense_1: dense(2, 2)",
        "    )",
        "  )",
        "  dense_0: dense(6, 2)",
        ")",
    ]
    lines = jn.summary(network, (3,)).splitlines()
    assert [line.split("  (")[0].rstrip() for line in lines[1:-1]] == [
        "chain",
        "  parallel_0",
        "    dense_0: dense(3, 4)",
        "    chain_0",
        "      dense_0: dense(3, 2)",
        "      activation_0: activation(relu)",
        "      dense_1: dense(2, 2)",
        "  dense_0: dense(6, 2)",
    ]


def test_tied_parameters_are_counted_once():
    network = jn.autoencoders.mlp_autoencoder([6, 4, 2], tied=True)
    assert jn.summary(network, (6,)).splitlines()[-1] == "48 parameters"
    assert repr(network).startswith("autoencoder(\n  encoder: chain(")


def test_several_inputs_outputs_and_state():
    class Module(linen.Module):
        @linen.compact
        def __call__(self, tokens, table, train: bool):
            x = linen.Embed(5, 3)(tokens).mean(axis=-2) + linen.Dense(3)(table)
            return {"out": linen.BatchNorm(use_running_average=not train)(x)}

    network = from_linen(Module(), (jnp.zeros((1, 4), int), jnp.zeros((1, 2))))
    shapes = (jax.ShapeDtypeStruct((4,), jnp.int32), jax.ShapeDtypeStruct((2,), jnp.float32))
    text = jn.summary(network, shapes)
    assert "{out: (3,)}" in text
    assert text.splitlines()[-1] == "30 parameters, 6 numbers in the state"


def test_a_wrong_input_names_the_part():
    with pytest.raises(Exception) as error:
        jn.summary(jn.mlp([4, 8, 3]), (5,))
    assert any("in part 'dense_0'" in note for note in error.value.__notes__)


def test_a_traced_rate_is_not_shown():
    texts = []
    jax.eval_shape(lambda rate: texts.append(repr(jn.dropout(rate))), 0.5)
    assert texts == ["dropout(traced)"]
