import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnet as jn


def test_chain_is_composition(key):
    first, second = jn.dense(3, 4), jn.dense(4, 2)
    network = jn.chain(first, jn.activation(jnp.tanh), second)
    params = network.init(key)
    x = jax.random.normal(key, (5, 3))
    expected = second.apply(params["dense_1"], jnp.tanh(first.apply(params["dense_0"], x)))
    np.testing.assert_array_equal(network.apply(params, x), expected)


def test_slices_take_the_parameters_of_the_whole_chain(key):
    network = jn.mlp([3, 8, 8, 2])
    params = network.init(key)
    x = jax.random.normal(key, (5, 3))
    for cut in range(len(network) + 1):
        features = network[:cut].apply(params, x)
        np.testing.assert_array_equal(
            network[cut:].apply(params, features), network.apply(params, x)
        )
    np.testing.assert_array_equal(
        network[-1].apply(params, network[:-1].apply(params, x)), network.apply(params, x)
    )
    assert set(network[:2].init(key)) == {"dense_0"}
    # To rounding: the numbers of a chain are drawn together.
    np.testing.assert_allclose(
        network[:2].init(key)["dense_0"]["kernel"], params["dense_0"]["kernel"], rtol=1e-5
    )


def test_a_slice_keeps_its_random_numbers(key):
    network = jn.mlp([3, 64, 2], dropout=0.5)
    params = network.init(key)
    x = jnp.ones((5, 3))
    features = network[:-1].apply(params, x, key=key)
    np.testing.assert_array_equal(
        network[-1].apply(params, features), network.apply(params, x, key=key)
    )


def test_layers_of_one_chain_do_not_share_random_numbers(key):
    network = jn.chain(jn.dropout(0.5), jn.dropout(0.5))
    ones = network.apply({}, jnp.ones(4000), key=key)
    assert abs(float((ones > 0).mean()) - 0.25) < 0.03


def test_chain_errors():
    with pytest.raises(ValueError, match="names must be 2 different names"):
        jn.chain(jn.dense(1, 1), jn.dense(1, 1), names=["a", "a"])
    with pytest.raises(ValueError, match="steps of 1, found step 2"):
        jn.mlp([2, 2, 2])[::2]
    with pytest.raises(IndexError):
        jn.mlp([2, 2])[5]


def test_parallel_concatenates(key):
    network = jn.parallel(jn.dense(3, 4), jn.dense(3, 2), names=["wide", "deep"])
    params = network.init(key)
    assert sorted(params) == ["deep", "wide"]
    y = network.apply(params, jnp.ones((5, 3)))
    np.testing.assert_array_equal(y[:, :4], jn.dense(3, 4).apply(params["wide"], jnp.ones((5, 3))))


def test_what_is_not_a_network_raises(as_users_run):
    layer, state = jn.dense(2, 3), jn.nn.StatefulNetwork(jnp.zeros, jnp.zeros, jnp.zeros)
    for build, message in (
        (lambda: jn.chain(layer, jax.nn.relu), r"chain: part 1 is a .*jaxnet.activation"),
        (lambda: jn.chain([layer]), r"chain: part 0 is a list.* chain\(\*networks\)"),
        (lambda: jn.parallel(layer, None), "parallel: part 1 is a NoneType, expected a Network"),
        (lambda: jn.chain(layer, state), "part 1 is a StatefulNetwork.* trained whole"),
    ):
        with pytest.raises(TypeError, match=message):
            build()
