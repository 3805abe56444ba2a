"""Parameters of PyTorch give the outputs of PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

import jaxnet as jn
from jaxnet.nn import channels_last, from_state_dict

HEIGHT, WIDTH = 4, 6
NETWORK = jn.chain(
    jn.conv(2, 3),
    jn.activation(jax.nn.relu),
    jn.max_pool(),
    jn.flatten(),
    jn.dense(18, 4),
    jn.layer_norm(4, epsilon=1e-5),
    jn.dense(4, 2),
)
NAMES = {
    "conv_0": "features.0",
    "dense_0": "head.fc",
    "dense_0.kernel": ("head.fc.weight", channels_last((2, 3, 3))),
    "layer_norm_0": "head.norm",
    "dense_1": "head.out",
}
SHAPES = {
    "features.0.weight": (3, 2, 3, 3),
    "features.0.bias": (3,),
    "head.fc.weight": (4, 18),
    "head.fc.bias": (4,),
    "head.norm.weight": (4,),
    "head.norm.bias": (4,),
    "head.out.weight": (2, 4),
    "head.out.bias": (2,),
}
# Outputs of PyTorch 2.14 for `state_dict()` and `images()`, from the model of `torch_outputs`.
EXPECTED = [[0.13377404, 0.81725985], [0.11374438, 0.84692782]]


def numbers(shape, start):
    return np.sin(np.arange(start, start + np.prod(shape)), dtype=np.float32).reshape(shape)


def state_dict():
    return {name: numbers(shape, 10 * i) for i, (name, shape) in enumerate(SHAPES.items())}


def images():
    """Two images with channels last."""
    return numbers((2, HEIGHT, WIDTH, 2), 3)


def torch_outputs():
    torch = pytest.importorskip("torch")
    model = torch.nn.ModuleDict(
        {
            "features": torch.nn.Sequential(
                torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2)
            ),
            "head": torch.nn.ModuleDict(
                {
                    "fc": torch.nn.Linear(18, 4),
                    "norm": torch.nn.LayerNorm(4),
                    "out": torch.nn.Linear(4, 2),
                }
            ),
        }
    )
    model.load_state_dict({name: torch.tensor(array) for name, array in state_dict().items()})
    head = model["head"]
    with torch.no_grad():
        x = model["features"](torch.tensor(images().transpose(0, 3, 1, 2).copy()))
        outputs = head["out"](head["norm"](head["fc"](x.flatten(1)))).numpy()
    return model.state_dict(), outputs


LIKE = jax.eval_shape(NETWORK.init, jax.random.key(0))


def test_outputs_are_those_of_pytorch():
    params = from_state_dict(state_dict(), LIKE, NAMES)
    np.testing.assert_allclose(
        NETWORK.apply(params, jnp.asarray(images())), EXPECTED, rtol=1e-4, atol=1e-5
    )


def test_tensors_of_pytorch_are_arrays():
    tensors, outputs = torch_outputs()
    np.testing.assert_allclose(outputs, EXPECTED, rtol=1e-5)
    params = from_state_dict(tensors, LIKE, NAMES)
    np.testing.assert_allclose(
        NETWORK.apply(params, jnp.asarray(images())), outputs, rtol=1e-4, atol=1e-5
    )


def test_a_file_of_either_side(tmp_path, key):
    save_file(state_dict(), tmp_path / "torch.safetensors")
    params = from_state_dict(tmp_path / "torch.safetensors", LIKE, NAMES)
    np.testing.assert_allclose(
        NETWORK.apply(params, jnp.asarray(images())), EXPECTED, rtol=1e-4, atol=1e-5
    )
    # Kernels of jaxnet keep their axes, also where they are square, and parts may be renamed.
    square = jn.chain(jn.dense(3, 3), names=["first"]).init(key)
    jn.checkpoint.export_params(tmp_path / "own.safetensors", square)
    found = from_state_dict(
        tmp_path / "own.safetensors", {"layer": square["first"]}, {"layer": "first"}
    )
    np.testing.assert_array_equal(found["layer"]["kernel"], square["first"]["kernel"])
    with pytest.raises(FileNotFoundError, match="there is no file"):
        from_state_dict(tmp_path / "missing", LIKE)
    (tmp_path / "short").write_bytes(b"12345678")
    with pytest.raises(ValueError, match="not a complete safetensors file"):
        from_state_dict(tmp_path / "short", LIKE)


def test_a_square_weight_is_transposed():
    weight = np.arange(4.0, dtype="float32").reshape(2, 2)
    like = {"kernel": jnp.zeros((2, 2))}
    np.testing.assert_array_equal(from_state_dict({"weight": weight}, like)["kernel"], weight.T)


def test_batch_statistics():
    torch_names = {
        "bn.weight": np.full(3, 2.0),
        "bn.bias": np.full(3, 3.0),
        "bn.running_mean": np.full(3, 4.0),
        "bn.running_var": np.full(3, 5.0),
        "bn.num_batches_tracked": np.array(7),
    }
    zeros = jnp.zeros(3)
    like = ({"bn": {"scale": zeros, "bias": zeros}}, {"stats": {"mean": zeros, "var": zeros}})
    params, extra = from_state_dict(torch_names, like, {"0.bn": "bn", "1.stats": "bn"})
    values = [params["bn"]["scale"], params["bn"]["bias"], *extra["stats"].values()]
    assert [float(value[0]) for value in values] == [2, 3, 4, 5]


def test_some_parameters(key):
    """A trained trunk, with a head of another size that keeps its first values."""
    network = jn.mlp([3, 4, 7])
    params = network.init(key)
    arrays = {
        "fc1.weight": numbers((4, 3), 0),
        "fc1.bias": numbers((4,), 0),
        "fc2.weight": numbers((2, 4), 0),
        "fc2.bias": numbers((2,), 0),
    }
    found = from_state_dict(arrays, params, {"dense_0": "fc1"}, partial=True)
    np.testing.assert_array_equal(found["dense_0"]["kernel"], arrays["fc1.weight"].T)
    np.testing.assert_array_equal(found["dense_1"]["kernel"], params["dense_1"]["kernel"])
    with pytest.raises(ValueError) as error:
        from_state_dict(arrays, params, {"dense_0": "fc1"})
    assert "dense_1.kernel (4, 7) has no array" in str(error.value)
    assert "fc2.weight (2, 4) has no parameter" in str(error.value)
    # What stays is named, and all other leftovers are still found.
    with pytest.raises(ValueError, match=r"fc2.bias .* has no parameter") as error:
        from_state_dict(arrays, params, {"dense_0": "fc1", "dense_1": None})
    assert "has no array" not in str(error.value)
    # Shapes are checked in a partial import too.
    with pytest.raises(
        ValueError, match=r"dense_1.kernel has shape \(4, 7\), and fc2.weight \(2, 4\)"
    ):
        from_state_dict(arrays, params, {"dense_0": "fc1", "dense_1": "fc2"}, partial=True)


def test_mistakes_are_named(key):
    arrays, params = {"fc.weight": np.ones((2, 3)), "fc.bias": np.ones(2)}, jn.dense(3, 2).init(key)
    for names, message in (
        ({"": "fx"}, "names has 'fx', which state_dict does not have; it has fc.weight"),
        ({"kernl": "fc.weight"}, "names has 'kernl', which like does not have; it has bias"),
    ):
        with pytest.raises(ValueError, match=message):
            from_state_dict(arrays, params, names, partial=True)
    with pytest.raises(ValueError, match=r"no parameter has an array; the names are fc.weight"):
        from_state_dict(arrays, params, partial=True)
    with pytest.raises(ValueError, match="kernel would keep its value"):
        shapes = jax.eval_shape(lambda: params)
        from_state_dict({"bias": np.ones(2)}, shapes, partial=True)
    with pytest.raises(ValueError, match=r"bias is int32, and bias float64"):
        from_state_dict({"bias": np.ones(2)}, {"bias": jnp.zeros(2, jnp.int32)})
    with pytest.raises(ValueError, match=r"expected \(out, 18\)"):
        channels_last((2, 3, 3))(np.zeros((4, 17)))
