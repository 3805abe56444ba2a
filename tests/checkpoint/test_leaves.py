"""Descriptions and hashes of leaves, compared with hashlib and with values by hand."""

import hashlib
import json
from collections import OrderedDict, namedtuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet.checkpoint import params_sha256
from jaxnet.checkpoint.leaves import (
    containers,
    describe,
    differences,
    from_numpy,
    numpy_dtype,
    to_numpy,
)

Pair = namedtuple("Pair", "a b")


def test_params_sha256_is_the_documented_hash():
    params = {"b": np.arange(3, dtype=np.int16), "a": jnp.ones((2, 1), jnp.bfloat16)}
    parts = [
        ["['a']", "bfloat16", [2, 1], bytes.fromhex("803f803f")],
        ["['b']", "int16", [3], bytes.fromhex("000001000200")],
    ]
    expected = hashlib.sha256()
    for path, dtype, shape, content in parts:
        text = json.dumps([path, dtype, shape]).encode() + content
        expected.update(hashlib.sha256(text).hexdigest().encode())
    assert params_sha256(params) == expected.hexdigest()


def test_params_sha256_differs_where_parameters_differ(key):
    trees = [
        {"a": np.zeros(2, np.float32)},
        {"b": np.zeros(2, np.float32)},
        {"a": np.zeros((1, 2), np.float32)},
        {"a": np.zeros(2, np.int32)},
        {"a": np.array([0.0, -0.0], np.float32)},
        {"a": np.zeros(1, np.float32), "b": np.zeros(1, np.float32)},
        {"a": key},
        {"a": jax.random.key_data(key)},
        {"a": jax.random.split(key)},
        {"a": jax.random.wrap_key_data(jnp.zeros(4, jnp.uint32), impl="rbg")},
        {"a": jax.random.wrap_key_data(jnp.zeros(4, jnp.uint32), impl="unsafe_rbg")},
        {},
    ]
    assert len({params_sha256(tree) for tree in trees}) == len(trees)
    assert params_sha256({"a": jnp.zeros(2)}) == params_sha256(trees[0])
    view = np.arange(12, dtype=np.float32).reshape(3, 4).T
    assert params_sha256(view) == params_sha256(view.copy())


@pytest.mark.parametrize(
    "leaf",
    [
        1.0,
        "text",
        np.array(["text"]),
        np.array([{}]),
        np.zeros(2, ">f4"),
        np.zeros(2, "M8[s]"),
        np.zeros(2, np.longdouble),
        np.zeros(2, [("a", "f4")]),
        np.ma.masked_array(np.zeros(2), [True, False]),
    ],
    ids=str,
)
def test_a_leaf_that_is_not_an_array_of_numbers_is_named(leaf):
    with pytest.raises(TypeError, match=r"leaf \['layer'\]\['bad'\] is .*expected an array of num"):
        describe({"layer": {"bad": leaf, "good": np.zeros(2)}})


def test_containers_of_different_kinds_differ():
    trees = [{"x": node} for node in (None, (), [], {}, OrderedDict(), Pair(None, 1), (None, 1))]
    kinds = [containers(tree)[1].kind for tree in trees]
    assert kinds == ["NoneType", "tuple", "list", "dict", "OrderedDict", "Pair", "tuple"]
    for tree in trees:
        for other in trees:
            assert bool(differences(containers(tree), containers(other))) == (tree is not other)


def test_differences_name_both_sides():
    old = {"a": np.zeros(2), "b": None, "c": np.zeros(1, np.int8)}
    new = {"a": np.zeros(3), "b": np.zeros(1), "d": np.zeros(1, np.int8)}
    found = differences([*describe(old), *containers(old)], [*describe(new), *containers(new)])
    assert found == [
        "leaf ['a']: expected float64 (2,), found float64 (3,)",
        "leaf ['b']: expected NoneType, found float64 (1,)",
        "leaf ['c']: expected int8 (1,), found none",
        "leaf ['d']: expected none, found int8 (1,)",
    ]


@pytest.mark.parametrize("value", [2, 2.5, 2.5 + 1j])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_weak_types_are_restored(value, shape):
    array = jnp.full(shape, value)
    assert array.weak_type
    restored = from_numpy(to_numpy(array), array, weak_type=True)
    assert restored.weak_type
    assert (restored.dtype, restored.shape) == (array.dtype, shape)
    np.testing.assert_array_equal(restored, array)


def test_types_are_found_by_their_names():
    for name in ("bool", "int8", "uint64", "float16", "complex128", "bfloat16", "float8_e3m4"):
        dtype = numpy_dtype(name)
        assert (dtype.name, dtype) == (name, jnp.dtype(name))
    for name in ("object", "str", "<f4", "float128", "datetime64[s]", "finfo", "generic", ""):
        with pytest.raises(ValueError, match="is not a type of numbers"):
            numpy_dtype(name)
