"""The reconstruction command: the files of a run, predictions, mistakes, comparison with PCA."""

import contextlib
import dataclasses
import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.decomposition import PCA

from experiments import predict
from experiments.command import main
from experiments.data import load, split
from experiments.protocol import configure
from experiments.reconstruction import experiment as reconstruction
from experiments.reconstruction.experiment import run
from experiments.reconstruction.models import build_model
from jaxnet.checkpoint import Checkpoints
from jaxnet.runs import verify_run

QUICK = {"num_epochs": 2, "num_seeds": 2, "code_dim": 4}
MODELS = {
    "autoencoder": {"hidden_dims": (16,), "loss": "bernoulli", "tied": False},
    "denoising": {
        "hidden_dims": (),
        "channels": (4,),
        "noise_kind": "gaussian",
        "tied": False,
    },
    "sparse": {"hidden_dims": (), "sparsity_penalty": "l1", "linear_probe": True},
    "contractive": {"hidden_dims": (16,)},
    "vae": {"hidden_dims": (16,), "binarize": True, "likelihood_samples": 20},
    "rbm": {"ais_betas": 50, "binarize": True, "gibbs_steps": 2, "persistent_chains": 5},
    "deep_belief": {"hidden_dims": (16,), "pretrain_epochs": 1},
}
FIGURES = ["learning_curves", "reconstructions", "codes", "class_errors", "filters"]
MORE_METRICS = {
    "sparse": {"probe_error"},
    "vae": {"elbo", "kl", "log_likelihood"},
    "rbm": {"log_probability", "log_partition_standard_error"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, rendered_figures):
    """Each model, run once: the directory, its summary and the exported codes."""
    folder, finished = tmp_path_factory.mktemp("reconstruction"), {}

    def finish(model):
        if model not in finished:
            out, file = folder / model, folder / f"{model}.npz"
            options = QUICK | MODELS[model] | {"export_features": file}
            # The figures of the others are among those of a VAE.
            with rendered_figures() if model == "vae" else contextlib.nullcontext():
                summary = run(configure(reconstruction, model, out=out, **options))
            with np.load(file) as arrays:
                finished[model] = out, summary, dict(arrays)
        return finished[model]

    return finish


# Of those left out here, `tests/contracts` and `tests/autoencoders` test the objective.
SLOW = {"sparse", "contractive"}
every_model = pytest.mark.parametrize(
    "model", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in MODELS]
)


@every_model
def test_the_run_directory_keeps_the_contract(model, runs):
    out, summary, _ = runs(model)
    assert verify_run(out) == json.loads(json.dumps(summary))
    assert (summary["experiment"], summary["dataset"]) == ("reconstruction", "digits")
    assert len(set(summary["params_sha256"])) == summary["num_seeds"] == 2
    metrics = summary["metrics"]
    common = {"squared_error", "pca_squared_error", "relative_to_pca"}
    assert set(metrics) == common | MORE_METRICS.get(model, set())
    assert all(np.isfinite(metric["values"]).all() for metric in metrics.values())
    assert len(set(metrics["squared_error"]["values"])) == 2
    config = json.loads((out / "config.json").read_text())
    assert config["learning_rate"] > 0, "what the recipe filled in is recorded"
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    for part in ("train", "validation"):
        first, last = (np.array(line[part]["squared_error"]) for line in lines)
        assert first.shape == (2,)
        assert model == "rbm" or (last < first).all(), "it learns in two epochs"
    figures = FIGURES + (["samples"] if model in ("vae", "rbm") else [])
    assert {path.stem for path in (out / "figures").iterdir()} == set(figures)
    assert (out / "model.safetensors").exists()
    assert len(re.findall('src="data:image/png;base64,', (out / "report.html").read_text())) == len(
        figures
    )


@every_model
def test_codes_of_all_images_are_exported_and_predicted(model, runs, tmp_path):
    out, _, arrays = runs(model)
    digits = load("digits")
    assert arrays["codes"].shape == (2, 1797, 4)
    assert np.isfinite(arrays["codes"]).all()
    assert arrays["codes"].std(axis=1).min() > 0
    np.testing.assert_array_equal(arrays["labels"], digits.y)
    for name, part in split(digits, seed=0)._asdict().items():
        np.testing.assert_array_equal(np.flatnonzero(arrays["split"] == name), part)
    x = digits.x[100:160]
    np.savez(tmp_path / "new.npz", x=x)
    predict.run(predict.Config(run=out, data=tmp_path / "new.npz"))
    with np.load(tmp_path / "new.predictions.npz") as written:
        predicted = dict(written)
    assert {*predicted} == {"codes", "reconstruction_errors", "reconstructions"}
    np.testing.assert_allclose(predicted["codes"], arrays["codes"][:, 100:160], atol=1e-5)
    assert predicted["reconstructions"].shape == (2, 60, 8, 8, 1)
    errors = ((predicted["reconstructions"] - x) ** 2).sum(axis=(2, 3, 4))
    np.testing.assert_allclose(predicted["reconstruction_errors"], errors, rtol=1e-4)


def test_pca_beside_it_is_that_of_scikit_learn(runs):
    _, summary, _ = runs("autoencoder")
    digits = load("digits")
    x, parts = digits.x.reshape(1797, -1).astype(np.float64), split(digits, seed=0)
    pca = PCA(n_components=4, svd_solver="full").fit(x[parts.train])
    test = x[parts.test]
    expected = ((test - pca.inverse_transform(pca.transform(test))) ** 2).sum(axis=1).mean()
    metrics = summary["metrics"]
    assert metrics["pca_squared_error"]["values"] == pytest.approx([expected] * 2, rel=1e-5)
    ratios = np.array(metrics["squared_error"]["values"]) / expected
    assert metrics["relative_to_pca"]["values"] == pytest.approx(ratios, rel=1e-5)


def test_a_bound_lies_below_the_likelihood(runs):
    _, summary, _ = runs("vae")
    metrics = summary["metrics"]
    for bound, likelihood in zip(
        metrics["elbo"]["values"], metrics["log_likelihood"]["values"], strict=True
    ):
        assert bound < likelihood < 0


@pytest.mark.slow
def test_the_default_recipe_halves_the_error_of_pca(tmp_path):
    summary = run(configure(reconstruction, num_seeds=1, out=tmp_path / "run"))
    assert summary["metrics"]["relative_to_pca"]["mean"] < 0.5


@pytest.mark.crash
def test_an_interrupted_run_ends_with_the_same_bits_and_replays(call, tmp_path):
    options = ["--hidden-dims", 16, "--num-seeds", 2, "--num-epochs", 4, "--patience", 100]
    whole, other, file = tmp_path / "whole", tmp_path / "other", tmp_path / "codes.npz"
    options += ["--out", whole, "--export-features", file, "--checkpoint-every", 5]
    call("reconstruction", *options)
    # As if killed in the middle of an epoch, after it had written a checkpoint.
    shutil.copytree(whole, other)
    (other / "summary.json").unlink()
    checkpoints = Checkpoints(other / "checkpoints")
    assert len(checkpoints.steps()) > 1
    newest = max((other / "checkpoints").iterdir(), key=lambda path: int(path.name))
    for path in sorted(newest.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    newest.rmdir()
    output = call("reconstruction", "--resume", other)
    assert re.search(r"resuming at step [1-9]", output)
    first, second = (json.loads((out / "summary.json").read_text()) for out in (whole, other))
    for name in ("params_sha256", "state_sha256", "metrics"):
        assert first[name] == second[name]
    before = file.read_bytes()
    assert "identical: parameters, state and metrics" in call("replay", whole)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "digit"], "unknown data set 'digit'.*digits"),
        (["--dataset", "wine", "--channels", "4"], "channels need images, and wine is a table"),
        (["--channels", "4", "--tied"], "tied is for dense layers, found channels too"),
        (["vae", "--channels", "4"], "channels is not an option of method vae"),
        (["--noise-kind", "gaussian"], "unrecognized options: --noise-kind, gaussian"),
        (["--sparsity-penalty", "l1"], "unrecognized options: --sparsity-penalty, l1"),
        (["--binarize"], "unrecognized options: --binarize"),
        (["rbm", "--gibbs-steps", "0"], "gibbs_steps must be at least 1, found 0"),
        (["rbm", "--persistent-chains", "-1"], "persistent_chains must be at least 0, found -1"),
        (["--pretrain-epochs", "3"], "unrecognized options: --pretrain-epochs, 3"),
        (["deep_belief", "--pretrain-epochs", "0"], "pretrain_epochs must be at least"),
        (["deep_belief", "--pretrain-rate", "0"], "pretrain_rate must be greater than"),
        (
            ["rbm", "--compare-optimizers", "sgd"],
            "compare_optimizers needs a loss, and model rbm has",
        ),
        (["--compare-optimizers", "adma"], "unknown optimizer 'adma'; did you mean adam"),
        (["--data", "no.npz"], "no.npz: there is no such file"),
        (["--dataset", "diabetes"], "diabetes.*regression"),
        (["--code-dim", "0"], "code_dim must be at least 1, found 0"),
        (["--hidden-dims", "0"], "hidden_dims must be a list in which each is at least 1, found 0"),
        (["--batch-size", "100000"], "batch_size must not exceed the 1149 training examples"),
        (["--learning-rate", "0"], "learning_rate must be greater than 0"),
        (["--noise", "0.1"], "unrecognized options: --noise, 0.1"),
        (["denoising", "--noise", "1"], r"rate must lie in \[0, 1\), found 1"),
        (["--sparsity-weight", "1"], "unrecognized options: --sparsity-weight, 1"),
        (["--sparsity-target", "0.1"], "unrecognized options: --sparsity-target, 0.1"),
        (["sparse", "--sparsity-weight", "-1"], "sparsity_weight must be at least 0 .*found -1"),
        (["sparse", "--sparsity-target", "1"], r"must be a number in \(0, 1\), found 1"),
        (["--contraction-weight", "1"], "unrecognized options: --contraction-weight, 1"),
        (["contractive", "--contraction-weight", "-1"], "contraction_weight must be at least 0"),
        (["rbm", "--hidden-dims", "8"], "unrecognized options: --hidden-dims, 8"),
        (["vae", "--loss", "squared"], "unrecognized options: --loss, squared"),
        (["vae", "--tied"], "unrecognized options: --tied"),
        (["--likelihood-samples", "10"], "unrecognized options: --likelihood-samples, 10"),
        (["vae", "--likelihood-samples", "-1"], "likelihood_samples must be at least 0"),
        (["--ais-betas", "10"], "unrecognized options: --ais-betas, 10"),
        (["rbm", "--ais-betas", "3"], "ais_betas must be 0 or at least 4, found 3"),
        (["rbm", "--l2-weight", "1e-4"], "l2_weight is part of a loss, and model rbm has none"),
        (["--export-features", "codes.csv"], r"must be a file that ends in .npz, found codes.csv"),
        (["--export-features", "no/where.npz"], "export_features: there is no folder .*no"),
    ],
)
def test_mistakes_leave_nothing(options, message, capsys, tmp_path):
    out = tmp_path / "run"
    assert main(reconstruction, [*options, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(f"error: .*{message}.*\n", error), error
    assert not out.exists()


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_a_penalty_of_the_kernels_is_part_of_the_loss(name, key):
    x, losses = np.random.default_rng(0).uniform(size=(8, 6)).astype(np.float32), []
    for weight in (0.0, 0.5):
        config = configure(reconstruction, name, l2_weight=weight, hidden_dims=(5,), code_dim=2)
        model = build_model(config, jnp.asarray(x), (6,))
        learner = model.learner(optax.sgd(0.1), model.init)
        state = jax.jit(learner.init)(key)
        losses.append(jax.jit(learner.step)(state, {"x": x})[1]["loss"])
    leaves = jax.tree.leaves_with_path(state.params)
    kernels = [leaf for path, leaf in leaves if "kernel" in jax.tree_util.keystr(path)]
    squares = sum(float((leaf**2).sum()) for leaf in kernels)
    assert squares > 1
    np.testing.assert_allclose(losses[1] - losses[0], 0.5 * squares / 2, rtol=1e-4)


def test_an_exported_file_is_not_overwritten(capsys, tmp_path):
    file, out = tmp_path / "codes.npz", tmp_path / "run"
    file.write_text("mine")
    assert main(reconstruction, ["--export-features", str(file), "--out", str(out)]) == 2
    assert "codes.npz exists already" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert not out.exists()


def test_a_users_images_need_no_labels(tmp_path, capsys, rendered_figures):
    rng, out = np.random.default_rng(0), tmp_path / "run"
    x = rng.uniform(size=(60, 4, 4))
    np.savez(tmp_path / "own.npz", x=x, kind=np.arange(60) % 3, bytes=np.uint8(255 * x))
    options = {"num_epochs": 1, "num_seeds": 1, "code_dim": 18, "hidden_dims": ()}
    options |= {"data": tmp_path / "own.npz", "label": "kind", "linear_probe": True}
    config = configure(reconstruction, out=out, **options)
    # A code as large as the image has no ratio to PCA.
    expected = "the code has 18 numbers and the input 16"
    with rendered_figures(), pytest.warns(UserWarning, match=expected):
        summary = run(config)
    assert set(summary["metrics"]) == {"squared_error", "pca_squared_error", "probe_error"}
    assert summary["metrics"]["pca_squared_error"]["mean"] < 1e-6
    assert (out / "figures" / "class_errors.png").exists()
    rejected = tmp_path / "rejected"
    arguments = ["--data", str(tmp_path / "own.npz"), "--out", str(rejected)]
    for more, message in (
        (["--linear-probe"], "linear_probe learns labels, and own has none"),
        (["--label", "no"], "there is no array `no` of labels"),
        (["--impute", "median"], "impute is for a table"),
    ):
        assert main(reconstruction, [*arguments, *more]) == 2
        assert message in capsys.readouterr().err
        assert not rejected.exists()
    np.savez(tmp_path / "large.npz", x=255 * x)
    arguments = ["--data", str(tmp_path / "large.npz"), "--out", str(rejected)]
    assert main(reconstruction, arguments) == 2
    assert "or bytes from 0 to 255" in capsys.readouterr().err


def test_a_users_table_is_scaled_to_the_unit_interval_and_predicted(tmp_path, rendered_figures):
    table, out = tmp_path / "own.csv", tmp_path / "run"
    rows = [f"{i},{i % 7 * 1000},{'ab'[i % 2]}" for i in range(60)]
    table.write_text("\n".join(["first,second,third", *rows]))
    options = {"num_epochs": 1, "num_seeds": 2, "hidden_dims": (8,), "code_dim": 2}
    with rendered_figures():
        summary = run(configure(reconstruction, data=table, out=out, **options))
    assert summary["metrics"]["squared_error"]["mean"] < 4, "at most 1 for each of 4 features"
    assert {path.stem for path in (out / "figures").iterdir()} == {
        "learning_curves",
        "feature_errors",
        "codes",
    }
    (tmp_path / "new.csv").write_text("first,second,third\n30,2000,a\n30,-900000,a\n")
    columns = predict.run(predict.Config(run=out, data=tmp_path / "new.csv"))
    assert list(columns) == ["reconstruction_error", "std", "code 0", "code 1"]
    assert columns["reconstruction_error"].min() >= 0


def test_optimizers_are_compared_at_their_best_rates(tmp_path, rendered_figures):
    out, names = tmp_path / "run", ("lbfgs", "adam")
    options = {"num_epochs": 2, "num_seeds": 2, "hidden_dims": (), "code_dim": 4}
    config = configure(reconstruction, compare_optimizers=names, out=out, **options)
    with rendered_figures():
        summary = run(config)
    assert list(summary["metrics"]) == [f"{name}_squared_error" for name in names]
    assert summary["rates"]["lbfgs"] is None
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [record["optimizer"] for record in records] == list(names)
    for record in records:
        losses = np.array(record["validation"])
        assert losses.shape == (2, 1 if record["rates"] is None else 6, 2)
        if record["rates"] is not None:
            best = record["rates"][losses[-1].mean(axis=-1).argmin()]
            assert summary["rates"][record["optimizer"]] == pytest.approx(best)
    assert {path.stem for path in (out / "figures").iterdir()} == {"optimizers", "rates"}
    # As if it had been interrupted after the first optimizer.
    (out / "summary.json").unlink()
    log = (out / "metrics.jsonl").read_text().splitlines(keepends=True)
    (out / "metrics.jsonl").write_text(log[0])
    again = run(dataclasses.replace(config, out=None, resume=out))
    assert again["state_sha256"] == summary["state_sha256"]
    assert again["metrics"] == summary["metrics"]
    assert (out / "metrics.jsonl").read_text().startswith(log[0])
