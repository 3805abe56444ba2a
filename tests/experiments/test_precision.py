"""`--precision`: every network computes in it, and all else is in float32."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import polars
import pytest

import jaxnet as jn
from experiments import predict
from experiments.anomaly import config as anomaly
from experiments.anomaly import experiment as anomaly_experiment
from experiments.classification import config as classes
from experiments.classification import network as classification
from experiments.clustering import config as clusters
from experiments.clustering import experiment as clustering
from experiments.clustering.methods import build_method
from experiments.logs import models as logs
from experiments.logs.config import Config as Logs
from experiments.precision import scaled
from experiments.reconstruction import config as codes
from experiments.reconstruction import experiment as reconstruction
from experiments.reconstruction.models import build_model
from experiments.regression import config as numbers
from experiments.regression import experiment as regression
from jaxnet.objectives import LossScaled

KEY = jax.eval_shape(lambda: jax.random.key(0))
SERIES = jn.Sequences(jnp.ones((4, 9, 3)), jnp.array([9, 3, 5, 9]))
IMAGES = jnp.ones((4, 8, 8, 1))
TEXTS = jn.Sequences(jnp.ones((4, 5), jnp.int32), jnp.array([5, 3, 1, 5]))
ROWS = jnp.ones((4, 6))


def types(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


def products(function, *arguments):
    """Types of the operands of all products of matrices in a program."""
    found = set()

    def visit(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name in ("dot_general", "conv_general_dilated"):
                found.update(variable.aval.dtype for variable in equation.invars)
            for value in jax.tree.leaves(
                equation.params, is_leaf=lambda leaf: hasattr(leaf, "eqns")
            ):
                value = getattr(value, "jaxpr", value)
                if hasattr(value, "eqns"):
                    visit(value)

    visit(jax.make_jaxpr(function)(*arguments).jaxpr)
    return found


CLASSIFIERS = {
    "linear": (classes.Linear(), (6,), ROWS),
    "mlp": (classes.Mlp(hidden_dims=(5,)), (6,), ROWS),
    "cnn": (classes.Cnn(channels=(2,), hidden_dims=(3,)), (8, 8, 1), IMAGES),
    "rnn": (classes.Rnn(hidden_dims=(4,), bidirectional=True), (3,), SERIES),
    "conv1d": (classes.Conv1d(channels=(4,), kernel_sizes=(3,)), (3,), SERIES),
    "word_recognizer": (classes.WordRecognizer(num_steps=8, channels=(4,)), (3,), SERIES),
    "bag_of_embeddings": (classes.BagOfEmbeddings(embedding_dim=4), (7,), TEXTS),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_networks_of_classification(name):
    model, in_shape, x = CLASSIFIERS[name]
    plain, half = (
        classification.build_network(classes.Config(model=model, precision=precision), in_shape, 3)
        for precision in ("float32", "bfloat16")
    )
    params = jax.eval_shape(plain.init, KEY)
    assert types(params) == types(jax.eval_shape(half.init, KEY))
    assert plain.names == half.names
    outputs = jax.eval_shape(half.apply, params, x)
    assert (outputs.shape, outputs.dtype) == ((4, 3), jnp.float32)
    assert products(half.apply, params, x) == {jnp.dtype("bfloat16")}
    assert products(plain.apply, params, x) == {jnp.dtype("float32")}


MODELS = {
    "autoencoder": codes.Autoencoder(code_dim=2, hidden_dims=(5,)),
    "untied": codes.Denoising(code_dim=2, hidden_dims=(5,), tied=False),
    "convolutional": codes.Sparse(code_dim=2, hidden_dims=(), channels=(2,), tied=False),
    "vae": codes.Vae(code_dim=2, hidden_dims=(5,)),
    "deep_belief": codes.DeepBelief(code_dim=2, hidden_dims=(5, 4)),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_of_reconstruction(name):
    plain, half = (
        build_model(codes.Config(model=MODELS[name], precision=precision), x, (8, 8, 1))
        for precision, x in (("float32", jnp.ones((4, 64))), ("float16", jnp.ones((4, 64))))
    )
    params = jax.eval_shape(plain.init, KEY)
    assert types(params) == types(jax.eval_shape(half.init, KEY))
    x = jnp.ones((4, 64))
    for method in (half.encode, half.reconstruct):
        assert jax.eval_shape(method, params, x).dtype == jnp.float32
        assert products(method, params, x) == {jnp.dtype("float16")}
    learner = half.learner(optax.adam(1e-3), half.init)
    state = jax.eval_shape(learner.init, KEY)
    assert isinstance(state.extra, LossScaled)
    new, metrics = jax.eval_shape(learner.step, state, {"x": x})
    assert types(new) == types(state)
    assert {leaf.dtype for leaf in metrics.values()} == {jnp.dtype("float32")}


METHODS = {
    "dec": clusters.Dec,
    "idec": clusters.Idec,
    "dcn": clusters.Dcn,
    "vade": clusters.Vade,
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_clustering(name):
    options = METHODS[name](hidden_dims=(5,), code_dim=2, num_restarts=1)
    config = clusters.Config(method=options, num_clusters=3, precision="float16")
    method = build_method(config, (6,))
    assert method.pretrain is not None and method.learner is not None
    x = jnp.ones((8, 6))
    params = jax.eval_shape(method.start, KEY, jax.eval_shape(method.network.init, KEY), x)
    assert jax.eval_shape(method.codes, params, x).dtype == jnp.float32
    assert products(method.network.apply, params["autoencoder"], x) == {jnp.dtype("float16")}

    def start(key):
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), params)

    for learner in (method.pretrain(optax.adam(1e-3)), method.learner(optax.adam(1e-3), 8, start)):
        state = jax.eval_shape(learner.init, KEY)
        assert isinstance(state.extra, LossScaled)
        new, metrics = jax.eval_shape(learner.step, state, {"x": x, "index": jnp.arange(8)})
        assert types(new) == types(state)
        assert {leaf.dtype for leaf in metrics.values()} == {jnp.dtype("float32")}
    for _, hook, *_ in method.hooks(8):
        assert types(jax.eval_shape(hook, state, {"x": x})) == types(state)


def test_networks_of_other_experiments():
    network = logs.build_network(Logs(hidden_dims=(5,), precision="bfloat16"), 7, 3)
    params = jax.eval_shape(network.init, KEY)
    tokens = jnp.zeros((4, 300), jnp.int32)
    # Counts above 256 are exact in float32 alone.
    assert jax.eval_shape(network[:2].apply, params, tokens).dtype == jnp.float32
    assert products(network.apply, params, tokens) >= {jnp.dtype("bfloat16")}
    for model in (numbers.Linear(), numbers.Mlp()):
        network = regression.build_network(numbers.Config(model=model, precision="bfloat16"), (6,))
        params = jax.eval_shape(network.init, KEY)
        assert products(network.apply, params, ROWS) == {jnp.dtype("bfloat16")}
        assert jax.eval_shape(network.apply, params, ROWS).dtype == jnp.float32
    objective = jn.classification(network)
    assert scaled(numbers.Config(precision="bfloat16"), objective) is objective


def test_what_trains_no_network_is_rejected():
    digits = clustering.load_data(clusters.Config())
    with pytest.raises(
        ValueError, match="precision is for networks, and method kmeans trains none"
    ):
        clustering.check(clusters.Config(method=clusters.KMeans(), precision="bfloat16"), digits)
    with pytest.raises(ValueError, match="precision is for networks, and model rbm trains none"):
        reconstruction.check(codes.Config(model=codes.Rbm(), precision="float16"), digits)
    config = anomaly.Config(method=anomaly.Level(), num_seeds=1, precision="float16")
    with pytest.raises(ValueError, match="precision is for networks, and method level"):
        anomaly_experiment.check(config, None)


def test_a_run_in_float16_predicts_in_float16(call, tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(90, 2))
    table = polars.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": np.where(x[:, 0] > 0, "u", "v")})
    table.write_csv(tmp_path / "rows.csv")
    out = tmp_path / "run"
    options = ["--num-epochs", "20", "--num-seeds", "2", "--hidden-dims", "8", "--batch-size", "16"]
    options += ["--dropout", "0", "--learning-rate", "0.02"]
    options += ["--data", tmp_path / "rows.csv", "--label", "c", "--precision", "float16"]
    call("classification", *options, "--out", out)
    assert json.loads((out / "config.json").read_text())["precision"] == "float16"
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["train"]["loss_scale"] == [2.0**15] * 2
    with open(out / "model.safetensors", "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    kernels = {name: entry for name, entry in header.items() if "kernel" in name}
    assert kernels and {entry["dtype"] for entry in kernels.values()} == {"F32"}
    predictions = predict.run(predict.Config(run=out, data=tmp_path / "rows.csv"))
    probabilities = predictions["probability of u"].astype(np.float64)
    assert predictions["probability of u"].dtype == np.float32
    assert np.mean((probabilities > 0.5) == (x[:, 0] > 0)) > 0.8
