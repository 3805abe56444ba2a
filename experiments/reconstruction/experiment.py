"""Reconstruction: pictures rebuilt from short codes, by autoencoders and Boltzmann machines.

    python -m experiments.reconstruction                    # digits, 10 networks in one program
    python -m experiments.reconstruction --model vae --likelihood-samples 1000
    python -m experiments.reconstruction --model rbm --ais-betas 14500
    python -m experiments.reconstruction --dataset mnist    # 784-1000-500-250-30
    python -m experiments.reconstruction --data table.csv --export-features codes.npz
    python -m experiments.reconstruction --compare-optimizers adam sgd lbfgs

Every model is held against the principal components of the training examples, with as many numbers
in a code. Published: on the MNIST test set 784-1000-500-250-30, pretrained with Boltzmann machines,
has a squared error of 3.00, and 30 principal components 13.87 (Hinton and Salakhutdinov 2006,
"Reducing the dimensionality of data with neural networks"). Measured figures: docs/results.md.

Labels do not take part in the training: they color figures, divide the error by class and are what
a linear probe learns from the codes, and the split keeps the share of each class. Pictures have
values in [0, 1]; each feature of a table is put there by the range of its training examples.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.command import finish, stopwatch
from experiments.data import Dataset, Standardization, fit_unit_interval, split, standardize
from experiments.model import SavedModel, save_model
from experiments.options import (
    TrainingConfig,
    load_unsupervised,
    refuse_meaningless,
    require_positive,
    require_rate,
    resolve,
    seed_keys,
    training_optimizer,
)
from experiments.recipes import reconstruction_recipe
from experiments.reconstruction.linear_probe import probe_errors
from experiments.reconstruction.models import Model, build_model
from experiments.reconstruction.optimizer_comparison import compare
from experiments.reconstruction.outputs import draw, draw_codes, draw_model, export_features
from experiments.summary import summarize_split
from jaxnet.checkpoint import Checkpoints
from jaxnet.runs.directory import RunDirectory
from jaxnet.runs.training import start_from, train

_AUTOENCODERS = ("autoencoder", "denoising", "sparse", "contractive")
_NETWORKS = (*_AUTOENCODERS, "vae", "deep_belief")
# The models that each option is for, where it is not for all.
_MODELS = {
    "hidden_dims": _NETWORKS,
    "channels": _AUTOENCODERS,
    "activation": (*_AUTOENCODERS, "vae"),
    "loss": (*_AUTOENCODERS, "deep_belief"),
    "tied": _AUTOENCODERS,
    "noise": ("denoising",),
    "noise_kind": ("denoising",),
    "sparsity": ("sparse",),
    "sparsity_penalty": ("sparse",),
    "sparsity_target": ("sparse",),
    "contraction": ("contractive",),
    "binarize": ("vae", "rbm"),
    "likelihood_samples": ("vae",),
    "gibbs_steps": ("rbm",),
    "persistent_chains": ("rbm",),
    "ais_betas": ("rbm",),
    "pretrain_epochs": ("deep_belief",),
    "pretrain_rate": ("deep_belief",),
    "compare_optimizers": _NETWORKS,
}
# Examples that are judged by sampling, which costs hundreds of evaluations of each.
_MAX_SAMPLED = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Train networks to rebuild their input. Options left out take the values of a recipe."""

    experiment: ClassVar[str] = "reconstruction"

    dataset: str = "digits"
    """digits, mnist, fashion_mnist, olivetti_faces, or a table: breast_cancer, wine, iris."""
    data_dir: Path | None = None
    """Folder that holds mnist/, fashion-mnist/, olivetti-faces/; by default JAXNET_DATA, then a
    download."""
    model: Literal[
        "autoencoder", "denoising", "sparse", "contractive", "vae", "rbm", "deep_belief"
    ] = "autoencoder"
    """The model; for an rbm, early stopping watches the squared error, since it has no loss."""
    code_dim: int | None = None
    """Numbers in a code: the hidden units of an rbm."""
    hidden_dims: tuple[int, ...] | None = None
    """Sizes of the hidden layers of the encoder; the decoder has them backwards."""
    channels: tuple[int, ...] = ()
    """Channels of each stage of a convolutional encoder, for pictures, before the hidden layers."""
    activation: Literal["relu", "silu", "sigmoid"] | None = None
    """Of the hidden layers; those of a deep belief network are logistic."""
    loss: Literal["squared", "bernoulli"] | None = None
    """Squared error, or the cross-entropy of pixels as probabilities."""
    tied: bool | None = None
    """Whether the decoder has the transposed kernels of the encoder."""
    noise: float | None = None
    """For denoising: probability that a pixel is replaced, or the deviation of Gaussian noise."""
    noise_kind: Literal["masking", "gaussian", "salt_and_pepper"] | None = None
    """For denoising: pixels set to 0, noise added to them, or pixels set to 0 or 1."""
    sparsity: float | None = None
    """For sparse: strength of the penalty on the activity of the units of the code."""
    sparsity_penalty: Literal["kl", "l1"] | None = None
    """For sparse: the divergence of each unit's mean activity from a target, or the sum of all."""
    sparsity_target: float | None = None
    """For sparse, kl: the mean activity that is wanted."""
    contraction: float | None = None
    """For contractive: strength of the penalty on the Jacobian of the encoder."""
    binarize: bool | None = None
    """For vae and rbm: learn from pixels drawn as 0 or 1, anew at each step, with their values as
    probabilities; log-probabilities are then of test pictures that were drawn once."""
    likelihood_samples: int = 0
    """For vae: codes drawn for each of up to 1000 test examples to estimate log p(x)."""
    gibbs_steps: int | None = None
    """For rbm: Gibbs steps for each update, the k of CD-k."""
    persistent_chains: int = 0
    """For rbm: number of chains that go on from update to update (PCD); 0 starts them at data."""
    ais_betas: int = 0
    """For rbm: temperatures of annealed importance sampling, to estimate log p(x) of up to 1000."""
    pretrain_epochs: int | None = None
    """For deep_belief: passes over the data for each machine, before the whole is fine-tuned."""
    pretrain_rate: float | None = None
    """For deep_belief: learning rate of machines of Bernoulli units."""
    linear_probe: bool = False
    """Also report the test error of a logistic regression on the codes."""
    export_features: Path | None = None
    """New NPZ file: codes (networks, n, code_dim), labels (n,) and split (n,) of all examples."""
    compare_optimizers: tuple[str, ...] = ()
    """Instead of one training: the same networks under each of these optimizers, over a grid of
    learning rates in one program for each, with loss against steps and seconds."""


def load_data(config: Config) -> Dataset:
    """The data set of a config, whose labels take no part in the training.

    Raises:
        ValueError: no such data set, or data that cannot be used.
    """
    return load_unsupervised(config, data_dir=config.data_dir)


def run(config: Config) -> dict[str, Any]:
    """Run the experiment.

    Args:
        config: the options; what is None is taken from the recipe of data set and model.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: a training that diverges.
    """
    RunDirectory.check(config)
    _check(config)
    dataset = load_data(config)
    _check_data(config, dataset)
    recipe = reconstruction_recipe(dataset, config)
    config = resolve(dataclasses.replace(config, dataset=dataset.name), recipe)
    require_positive(config, "code_dim", "gibbs_steps", "pretrain_epochs")
    parts = split(dataset, seed=config.seed)
    x, inputs = _unit_interval(dataset, parts.train)
    optimizer = training_optimizer(config, len(parts.train))
    model = build_model(config, jnp.asarray(x[parts.train]), dataset.x.shape[1:])
    if model.network is not None:
        regularized = config.model != "autoencoder"
        jn.autoencoders.check_autoencoder(model.network, x.shape[1:], regularized=regularized)
    if config.compare_optimizers:
        return compare(config, model, x, parts, dataset)
    learner = model.learner(optimizer)
    with RunDirectory.open(config, dataset.sha256) as directory:
        with stopwatch() as seconds:
            trained = train(
                learner,
                _initial_states(model, optimizer, config, directory),
                {"x": x[parts.train]},
                _watch(model, x[parts.validation], config),
                config,
                directory,
            )
            params = trained.params
            rebuilt = _outputs(model.rebuild, params, x[parts.test])
            linear = jn.autoencoders.fit_pca(
                jnp.asarray(x[parts.train]), min(config.code_dim or 1, x.shape[1])
            )
            by_pca = np.asarray(linear.reconstruct(linear.project(jnp.asarray(x[parts.test]))))
            errors = ((rebuilt - x[parts.test]) ** 2).sum(axis=-1)
            pca_errors = ((by_pca - x[parts.test]) ** 2).sum(axis=-1)
            metrics = _metrics(model, params, x[parts.test], errors, pca_errors, config)
            codes = _outputs(model.encode, params, x[parts.test])
            if config.linear_probe or config.export_features is not None:
                every = _outputs(model.encode, params, x)
                if config.linear_probe:
                    metrics["probe_error"] = probe_errors(
                        every, dataset, parts, seed_keys(config, "probe")
                    )
                if config.export_features is not None:
                    export_features(config.export_features, every, dataset.y, parts)
        save_model(directory, SavedModel.of(dataset, inputs, params))
        history = dict(trained.history)
        if model.loss is None:
            # Contrastive divergence is near zero from beginning to end and shows nothing.
            history.pop("loss")
        captions = draw(directory, dataset, x[parts.test], parts.test, history, rebuilt, by_pca)
        captions |= draw_codes(directory, dataset, parts.test, codes[0], errors, pca_errors)
        key = seed_keys(config, "samples")[0]
        captions |= draw_model(directory, model, params, dataset, key)
        summary = summarize_split(trained, metrics, parts, seconds)
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)


def _check_data(config: Config, dataset: Dataset) -> None:
    """Refuse options that do not fit the data."""
    if config.channels and not dataset.is_image:
        raise ValueError(f"channels need pictures, and {dataset.name} is a table; leave them out")
    if config.linear_probe and not dataset.class_names:
        raise ValueError("linear_probe learns from labels; name their column with --label")


def _unit_interval(dataset: Dataset, train: np.ndarray) -> tuple[np.ndarray, Standardization]:
    """Examples as vectors in [0, 1], and what put them there."""
    x = dataset.x.reshape(len(dataset.x), -1)
    if dataset.is_image:
        jn.check_unit_interval(x)
        return x, Standardization(np.zeros((), np.float32), np.ones((), np.float32))
    jn.check_data(x)
    inputs = fit_unit_interval(x[train])
    # Examples that were not fitted may lie beyond the range.
    return np.clip(standardize(inputs, x), 0, 1), inputs


def _initial_states(
    model: Model, optimizer: Any, config: Config, directory: RunDirectory
) -> jn.TrainState:
    """Where the networks start, stacked."""
    keys = seed_keys(config)
    if model.pretrain is None or Checkpoints(directory.path / "checkpoints").steps():
        # What is resumed takes but the shapes from here, so nothing is pretrained again.
        return jax.jit(jax.vmap(model.learner(optimizer).init))(keys)
    return start_from(
        functools.partial(model.learner, optimizer),
        keys,
        model.pretrain(seed_keys(config, "pretraining")),
    )


def _check(config: Config) -> None:
    """Refuse options that do not fit the model, and a file that cannot be written."""
    refuse_meaningless(config, _MODELS, "model", config.model)
    if config.likelihood_samples < 0:
        raise ValueError(
            f"likelihood_samples must not be negative, found {config.likelihood_samples}"
        )
    if config.ais_betas != 0 and config.ais_betas < 4:
        raise ValueError(f"ais_betas must be 0 or at least 4, found {config.ais_betas}")
    require_rate(config, "pretrain_rate")
    path = config.export_features
    if path is None:
        return
    if path.suffix != ".npz":
        raise ValueError(f"export_features must be a file that ends in .npz, found {path}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"export_features: there is no folder {path.absolute().parent}")
    if path.exists() and config.resume is None:
        raise ValueError(f"export_features: {path} exists already; name another file")


def _watch(model: Model, x: np.ndarray, config: Config) -> Any:
    """What is learned, on validation data and with the same random numbers after each epoch."""
    batch, key = {"x": jnp.asarray(x)}, seed_keys(config, "validation")[0]

    def watched(params: Any) -> dict[str, jax.Array]:
        squared = ((model.rebuild(params, batch["x"]) - batch["x"]) ** 2).sum(axis=-1).mean()
        loss = squared if model.loss is None else model.loss(params, batch, key)[0]
        return {"loss": loss, "squared_error": squared}

    return jax.jit(jax.vmap(watched))


def _outputs(apply: Any, params: Any, x: np.ndarray) -> np.ndarray:
    """Outputs of all networks, `(networks, n, ...)`."""
    outputs = jax.jit(jax.vmap(lambda params, x: jn.predict(apply, params, x), (0, None)))
    return np.asarray(outputs(params, jnp.asarray(x)))


def _metrics(
    model: Model,
    params: Any,
    x: np.ndarray,
    errors: np.ndarray,
    pca_errors: np.ndarray,
    config: Config,
) -> dict[str, np.ndarray]:
    squared, by_pca = errors.mean(axis=-1), pca_errors.mean()
    metrics = {"squared_error": squared, "pca_squared_error": np.full(len(squared), by_pca)}
    if (config.code_dim or 1) < x.shape[1]:
        # As many components as features leave no error but that of rounding.
        metrics["relative_to_pca"] = squared / by_pca
    # Networks take turns, so that the memory is that of one.
    keys = seed_keys(config, "evaluation")
    if config.binarize:
        # The same pictures for all networks.
        key = seed_keys(config, "test_data")[0]
        x = np.asarray(jax.random.bernoulli(key, x), np.float32)
    order = np.random.default_rng(config.seed).permutation(len(x))[:_MAX_SAMPLED]
    for judge, own in ((model.judge, x), (model.judge_by_sampling, x[np.sort(order)])):
        if judge is not None:
            one = jax.jit(judge)
            rows = [
                one(jax.tree.map(lambda leaf, i=i: leaf[i], params), jnp.asarray(own), key)
                for i, key in enumerate(keys)
            ]
            metrics |= {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return metrics
