"""Parameters in the safetensors format, compared with the reader and writer of the library."""

import json
import os

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors import numpy as library

import jaxnet as jn
from jaxnet.checkpoint import (
    CheckpointError,
    CorruptCheckpointError,
    export_params,
    import_params,
    params_sha256,
)


@pytest.fixture
def params(key):
    return jn.mlp([3, 4, 2]).init(key)


def test_the_library_reads_exported_files(params, tmp_path):
    export_params(tmp_path / "a.safetensors", params)
    arrays = library.load_file(tmp_path / "a.safetensors")
    assert sorted(arrays) == ["dense_0.bias", "dense_0.kernel", "dense_1.bias", "dense_1.kernel"]
    np.testing.assert_array_equal(arrays["dense_1.kernel"], params["dense_1"]["kernel"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_files_of_other_tools_are_read_in_any_order(params, tmp_path):
    names = {f"{a}.{b}": np.asarray(params[a][b]) for a in params for b in params[a]}
    for number, order in enumerate((sorted(names), sorted(names, reverse=True))):
        path = tmp_path / f"{number}.safetensors"
        # The format orders by size of type, so the header is written by hand.
        header, data = {}, b""
        for name in order:
            end = len(data) + names[name].nbytes
            shape = list(names[name].shape)
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), end]}
            data += names[name].tobytes()
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data)
        imported = import_params(path, like=jax.eval_shape(lambda: params))
        assert params_sha256(imported) == params_sha256(params)
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(imported))


def test_files_are_byte_for_byte_those_of_the_library(tmp_path):
    # Types of one size: the library orders them by a list of its own.
    params = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(3, np.float16)}
    export_params(tmp_path / "a.safetensors", params)
    metadata = {"jaxnet.sha256": params_sha256(params)}
    library.save_file(params, tmp_path / "b.safetensors", metadata)
    contents = [(tmp_path / name).read_bytes() for name in ("a.safetensors", "b.safetensors")]
    assert contents[0] == contents[1]


DTYPES = (
    "bool int8 int16 int32 int64 uint8 "
    "uint16 uint32 uint64 float16 float32 float64 "
    "complex64 bfloat16 float8_e4m3fn float8_e5m2 float8_e8m0fnu"
)


@pytest.mark.parametrize("dtype", DTYPES.split())
def test_every_dtype_is_imported_bitwise(dtype, tmp_path):
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    content = np.random.default_rng(0).bytes(12 * dtype.itemsize)
    values = np.frombuffer(content, dtype) if dtype.kind != "b" else np.arange(12) % 3 == 0
    params = {"a": values.reshape(3, 4).T, "b": [values[0], np.zeros((0, 2), dtype)]}
    with jax.enable_x64(True):
        params["c"] = jnp.asarray(values)
        export_params(tmp_path / "a.safetensors", params)
        imported = import_params(tmp_path / "a.safetensors", like=params)
    assert jax.tree.structure(imported) == jax.tree.structure(params)
    for leaf, other in zip(jax.tree.leaves(imported), jax.tree.leaves(params), strict=True):
        assert (type(leaf), leaf.dtype, leaf.shape) == (type(other), other.dtype, other.shape)
        assert np.asarray(leaf).tobytes() == np.asarray(other).tobytes()


def test_a_type_or_name_that_the_format_lacks_is_named(key, tmp_path):
    path = tmp_path / "a.safetensors"
    for values in (key, np.zeros(2, np.complex128), np.zeros(2, ml_dtypes.int4)):
        with pytest.raises(ValueError, match=r"params: leaf a\.b is .*, which safetensors lacks"):
            export_params(path, {"a": {"b": values}})
    with pytest.raises(ValueError, match=r"two leaves would be named a\.b"):
        export_params(path, {"a": {"b": np.zeros(1)}, "a.b": np.zeros(1)})
    with pytest.raises(ValueError, match="reserves the name __metadata__"):
        export_params(path, {"__metadata__": np.zeros(1)})
    with pytest.raises(TypeError, match=r"leaf \['a'\] is float"):
        export_params(path, {"a": 1.0})
    with pytest.raises(FileNotFoundError, match="there is no file"):
        import_params(path, like={})
    assert not list(tmp_path.iterdir())


def test_other_parameters_are_rejected(params, tmp_path):
    path = tmp_path / "a.safetensors"
    export_params(path, params)
    likes = {
        r"leaf dense_0\.bias: expected float32 \(5,\), found float32 \(4,\)": jn.mlp([3, 5, 2]),
        r"leaf dense_2\.bias: expected float32 \(2,\), found none": jn.mlp([3, 4, 2, 2]),
        r"leaf dense_1\.bias: expected none, found float32 \(2,\)": jn.mlp([3, 4]),
    }
    for message, network in likes.items():
        with pytest.raises(CheckpointError, match=message):
            import_params(path, like=network.init(jax.random.key(0)))
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    with pytest.raises(CheckpointError, match=r"expected bfloat16 \(4,\), found float32 \(4,\)"):
        import_params(path, like=half)
    export_params(path, {"a": np.ones(1)})
    with pytest.raises(CheckpointError, match="float64, which JAX would cast to float32"):
        import_params(path, like={"a": jax.ShapeDtypeStruct((1,), np.float64)})


def test_no_flipped_bit_changes_parameters(params, tmp_path):
    path = tmp_path / "a.safetensors"
    export_params(path, params)
    good, generator, num_rejected = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(200):
        content = bytearray(good)
        content[generator.integers(len(content))] ^= 1 << generator.integers(8)
        path.write_bytes(content)
        try:
            imported = import_params(path, like=params)
        except CheckpointError:
            num_rejected += 1
        else:
            # A flip in the name of the metadata does not change the parameters.
            assert params_sha256(imported) == params_sha256(params)
    assert num_rejected > 180


@pytest.mark.parametrize("size", [0, 7, 8, 100, -1])
def test_a_truncated_file_is_corrupt(size, params, tmp_path):
    path = tmp_path / "a.safetensors"
    export_params(path, params)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CorruptCheckpointError, match="is not a complete safetensors file"):
        import_params(path, like=params)


def test_a_file_is_replaced_atomically(params, tmp_path):
    path = tmp_path / "내 것.safetensors"
    leftover = tmp_path / f".내 것.safetensors.jaxnet-tmp-{os.getpid()}-0123abcd"
    leftover.write_bytes(b"half")
    for factor in (1.0, 2.0):
        scaled = jax.tree.map(lambda leaf, factor=factor: leaf * factor, params)
        export_params(path, scaled)
        assert params_sha256(import_params(path, like=params)) == params_sha256(scaled)
    assert list(tmp_path.iterdir()) == [path]
