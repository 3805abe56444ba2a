"""Reconstruction: inputs reconstructed from short codes, by autoencoders and Boltzmann machines.

    python -m experiments.reconstruction                    # digits, 10 networks in one program
    python -m experiments.reconstruction vae --likelihood-samples 1000
    python -m experiments.reconstruction rbm --ais-betas 14500
    python -m experiments.reconstruction --dataset mnist    # 784-1000-500-250-30
    python -m experiments.reconstruction --data table.csv --export-features codes.npz
    python -m experiments.reconstruction --compare-optimizers adam sgd lbfgs

Every model is compared with the principal components of the training examples, with codes of the
same size. Published: on the MNIST test set 784-1000-500-250-30, pretrained with Boltzmann machines,
has a squared error of 3.00, and 30 principal components 13.87 (Hinton and Salakhutdinov 2006,
"Reducing the dimensionality of data with neural networks"). Measured figures: docs/results.md.

Labels are not used for the training: they color figures, divide the error by class, and a linear
probe learns them from the codes; the split keeps the fraction of each class. Images have values in
[0, 1]; each feature of a table is scaled to [0, 1] by the range of its training examples.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.baselines import reconstruction_baseline
from experiments.command import finish, stopwatch
from experiments.data import Dataset, Standardization, fit_unit_interval, standardize
from experiments.memory import check_memory
from experiments.model import SavedModel, save_model
from experiments.placement import Placement, place
from experiments.precision import require_float32
from experiments.prepare import load_unlabelled, prepare, require_vectors
from experiments.reconstruction import evaluation, outputs
from experiments.reconstruction.config import (
    Autoencoder,
    AutoencoderOptions,
    Config,
    DeepBelief,
    Rbm,
)
from experiments.reconstruction.deep_belief import pretrain
from experiments.reconstruction.models import Model, build_model
from experiments.reconstruction.optimizer_comparison import compare
from experiments.reconstruction.recipes import recipe
from experiments.summary import describe, summarize_split
from experiments.training import (
    batch_size,
    config_optimizer,
    open_directory,
    seed_keys,
    train_options,
)
from jaxnet import hosts, runs

__all__ = [
    "Config",
    "build_network",
    "check",
    "fit_inputs",
    "load_data",
    "predict",
    "prediction_suffix",
    "recipe",
    "run",
    "scale_inputs",
]


def load_data(config: Config) -> Dataset:
    """The data set of a config, whose labels are not used for the training.

    Raises:
        ValueError: there is no such data set, or its data cannot be used.
    """
    return load_unlabelled(config)


def run(config: Config) -> dict[str, Any]:
    """Train networks on one split and test them, or compare optimizers.

    Args:
        config: the options.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: a training that diverges.
    """
    _check_export(config)
    prepared = prepare(config, load=load_data, check=check, fit=fit_inputs, scale=scale_inputs)
    config, dataset, parts, inputs, x = prepared
    train, test = jax.device_put(x[parts.train]), x[parts.test]
    model = build_model(config, train, dataset.x.shape[1:])
    if model.network is not None:
        regularized = not isinstance(config.model, Autoencoder)
        jn.autoencoders.check_autoencoder(model.network, x.shape[1:], regularized=regularized)
    optimizer = config_optimizer(config, len(train))
    check_memory(config, model.learner(optimizer, model.init).init)
    config, placement = place(config, config.num_seeds, [batch_size(config, len(train))])
    if config.compare_optimizers:
        return compare(prepared._replace(config=config), model, placement)
    options = train_options(config)
    evaluate = evaluation.on_validation(model, x[parts.validation], config)
    with open_directory(config, dataset.sha256) as directory, placement.context():
        with stopwatch() as seconds:
            states, hashes = _start(config, model, optimizer, train, directory, placement)
            trained = placement.train(
                directory,
                model.learner(optimizer, model.init),
                states,
                {"x": train},
                batches=batch_size(config, len(train)),
                options=options,
                evaluate=lambda params, _: evaluate(params),
            )
            params = trained.params
            tested = evaluation.on_test(model, params, train, test, config)
            metrics = dict(tested.metrics)
            if config.linear_probe or config.export_features is not None:
                codes = evaluation.apply_all(model.encode, params, x)
                if config.linear_probe:
                    keys = seed_keys(config, "probe")
                    metrics["probe_error"] = evaluation.probe_errors(codes, dataset, parts, keys)
                if config.export_features is not None and directory.is_writer:
                    outputs.export_features(config.export_features, codes, dataset.y, parts)
        save_model(directory, SavedModel.of(dataset, inputs, params))
        history = dict(trained.history)
        if model.loss is None:
            # Contrastive divergence stays near zero and shows nothing.
            history.pop("loss")
        captions = outputs.draw(directory, dataset, test, parts.test, history, tested)
        captions |= outputs.draw_codes(directory, dataset, parts.test, tested)
        key = seed_keys(config, "samples")[0]
        captions |= outputs.draw_model(directory, model, params, dataset, key)
        summary = summarize_split(trained, metrics, parts, seconds)
        summary |= describe(
            dataset,
            reconstruction_baseline(x[parts.train], test),
            metrics,
            history=trained.history if model.loss is not None and config.patience is None else None,
            notes=evaluation.note_unused_code(metrics),
        )
        if hashes:
            summary["state_sha256"] = [*hashes, trained.state_sha256]
        published = dataset.published.get(config.experiment)
        return finish(directory, config, summary, captions, published)


def _start(
    config: Config,
    model: Model,
    optimizer: Any,
    x: jax.Array,
    directory: runs.RunDirectory,
    placement: Placement,
) -> tuple[jn.TrainState, list[str]]:
    """The states in which the networks start, stacked, and the hashes of the stages before."""
    keys, options = seed_keys(config), config.model
    if not isinstance(options, DeepBelief):
        return jax.jit(jax.vmap(model.learner(optimizer, model.init).init))(keys), []
    params, hashes = pretrain(
        functools.partial(placement.train_stages, directory),
        model.rbms,
        seed_keys(config, "pretraining"),
        x,
        options=options,
        batch_size=batch_size(config, len(x)),
        watch=runs.TrainOptions(
            num_epochs=options.pretrain_epochs,
            checkpoint_every=config.checkpoint_every,
            tensorboard=config.tensorboard,
        ),
    )
    return runs.start_states(functools.partial(model.learner, optimizer), keys, params), hashes


def fit_inputs(config: Config, dataset: Dataset, rows: np.ndarray) -> Standardization:
    """The range of each feature of a table; images stay as they are."""
    if dataset.is_image:
        return Standardization(np.zeros((), np.float32), np.ones((), np.float32))
    return fit_unit_interval(dataset.x[rows])


def scale_inputs(config: Config, fitted: Standardization, x: np.ndarray) -> np.ndarray:
    """Examples as vectors in [0, 1]; features beyond the range of the training part are clipped."""
    scaled = standardize(fitted, x)
    return scaled.reshape(len(x), -1) if x.ndim == 4 else np.clip(scaled, 0, 1)


def build_network(config: Config, in_shape: Sequence[int], num_classes: int) -> Model:
    """The model of a config; `init(key)` has the structure of the saved parameters."""
    return build_model(config, jnp.zeros((1, int(np.prod(in_shape)))), in_shape)


def prediction_suffix(model: SavedModel) -> str:
    """Predictions are arrays for images, and a table for tables."""
    return ".npz" if model.preprocessing is None else ".csv"


def predict(config: Config, model: SavedModel, x: np.ndarray) -> dict[str, np.ndarray]:
    """Codes and reconstruction errors of new examples, and reconstructions of images.

    Args:
        config: the options of the run.
        model: its networks.
        x: scaled inputs `(n, features)`.

    Returns:
        For images `codes`, `(networks, n, code_dim)`, `reconstruction_errors`, `(networks, n)`, and
        `reconstructions`, `(networks, n, height, width, channels)`, in [0, 1]. For tables
        `reconstruction_error`, the mean over the networks, of several networks the `std` over
        these, and the code by the first network, `(n,)` each. An error is the sum of the squared
        differences of the features, scaled to [0, 1].
    """
    built = build_network(config, model.in_shape, len(model.class_names))
    codes = evaluation.apply_all(built.encode, model.params, x)
    reconstructions = evaluation.apply_all(built.reconstruct, model.params, x)
    errors = ((reconstructions - x) ** 2).sum(axis=-1)
    if model.preprocessing is None:
        return {
            "codes": codes,
            "reconstruction_errors": errors,
            "reconstructions": reconstructions.reshape(*errors.shape, *model.in_shape),
        }
    columns = {"reconstruction_error": errors.mean(axis=0)}
    if len(errors) > 1:
        columns["std"] = errors.std(axis=0, ddof=1)
    return columns | {f"code {index}": values for index, values in enumerate(codes[0].T)}


def check(config: Config, dataset: Dataset) -> None:
    """Check data, and that the options fit them and each other.

    Raises:
        ValueError: they do not.
    """
    require_vectors(dataset, config.experiment)
    x, options = dataset.x.reshape(len(dataset.x), -1), config.model
    if dataset.is_image:
        jn.check_unit_interval(x)
    else:
        jn.check_data(x)
    if isinstance(options, AutoencoderOptions) and options.channels and not dataset.is_image:
        raise ValueError(f"channels need images, and {dataset.name} is a table; leave them out")
    if isinstance(options, Rbm):
        require_float32(config, f"model {options.name}")
    if isinstance(options, Rbm) and 0 < options.ais_betas < 4:
        raise ValueError(
            f"ais_betas must be 0 or at least 4, found {options.ais_betas}; use more temperatures"
        )
    if isinstance(options, Rbm) and config.l2_weight:
        raise ValueError(
            "l2_weight is part of a loss, and model rbm has none; use weight_decay, which is the "
            "same for sgd"
        )
    if isinstance(options, Rbm) and config.compare_optimizers:
        raise ValueError(
            "compare_optimizers needs a loss, and model rbm has none; use another model"
        )
    for name in config.compare_optimizers:
        jn.optim.default_learning_rate(name)
    if config.linear_probe and not dataset.class_names:
        raise ValueError(
            f"linear_probe learns labels, and {dataset.name} has none; name their column with "
            "--label"
        )


def _check_export(config: Config) -> None:
    """Raise where the codes cannot be written in the end."""
    path = config.export_features
    if path is None:
        return
    if path.suffix != ".npz":
        raise ValueError(
            f"export_features must be a file that ends in .npz, found {path}; rename it"
        )
    if not path.absolute().parent.is_dir():
        raise ValueError(
            f"export_features: there is no folder {path.absolute().parent}; make it first"
        )
    if path.exists() and config.resume is None and hosts.current().is_first:
        raise ValueError(f"export_features: {path} exists already; name another file")
