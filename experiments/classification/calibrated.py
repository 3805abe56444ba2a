"""Calibrated probabilities and prediction sets of the networks of a classification."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from experiments.calibration import Calibration, Holdout, expected_coverage
from experiments.classification import evaluation
from experiments.classification.config import Config
from experiments.classification.probabilities import class_logits, class_probabilities
from experiments.report import figures
from experiments.report.drawing import draw_figure
from experiments.training import network_keys
from jaxnet import calibration, metrics
from jaxnet.calibration import VectorScaling
from jaxnet.runs.directory import RunDirectory

_FITS = {"temperature": calibration.fit_temperature, "vector": calibration.fit_vector_scaling}
# One more example, labeled by the unscaled probabilities, where all others are right.
_PSEUDOCOUNT = 1.0

# Outputs `(networks, n, outputs)` and labels `(n,)`.
Examples = tuple[Any, Any]


class Calibrated(NamedTuple):
    """What calibration makes of the outputs of all networks.

    Attributes:
        scaling: of each network, or None.
        metrics: name -> one value for each network; those of the ensemble have one.
        saved: the calibration of the ensemble.
        diagrams: reliability of the ensemble before and after, by name.
        sets: of the ensemble for the test examples, `(n, classes)`, or None.
        table: rows of text.
    """

    scaling: Any
    metrics: dict[str, Any]
    saved: Calibration
    diagrams: dict[str, Any]
    sets: np.ndarray | None
    table: list[tuple[str, ...]]


def is_calibrated(config: Config) -> bool:
    """Whether a config asks for calibrated probabilities or for sets."""
    return config.calibrate != "none" or config.coverage is not None


def rescale(outputs: Float[Array, "networks n outputs"], scaling: Any) -> Array:
    """Outputs of each network, scaled by what was fitted for it; None leaves them as they are."""
    if scaling is None:
        return jnp.asarray(outputs)
    logits = jax.vmap(calibration.scale_logits)(class_logits(jnp.asarray(outputs)), scaling)
    return logits if outputs.shape[-1] > 1 else logits[..., 1:] - logits[..., :1]


def calibrate(
    config: Config, scaling: Examples | None, conformal: Examples | None, tested: Examples
) -> Calibrated:
    """Scale probabilities, choose the size of sets, and evaluate both on the test examples.

    Each network is calibrated by itself, for metrics with a spread over the networks, and so is
    their ensemble, the mean of the probabilities, by which new examples are predicted.

    Args:
        config: the options.
        scaling: outputs and labels that fit the scaling; None with `calibrate` none.
        conformal: outputs and labels whose scores decide sets; None without `coverage`.
        tested: outputs and labels of the test examples.

    Returns:
        Metrics, what is saved, and what is shown.
    """
    fitted = None
    if scaling is not None:
        fitted = jax.jit(jax.vmap(_fit(config), (0, None)))(class_logits(scaling[0]), scaling[1])
    keys = network_keys(config.seed, len(tested[0]), "calibration floor")
    before = class_logits(jnp.asarray(tested[0]))
    after = class_logits(rescale(tested[0], fitted))
    found = dict(jax.jit(jax.vmap(_scores, (0, None, 0)))(after, tested[1], keys))
    if fitted is not None:
        evaluate = jax.jit(jax.vmap(evaluation.final_metrics, (0, None)))
        plain = evaluate(before, tested[1])
        for name in ("log_loss", "calibration_error"):
            found[f"{name}_before_scaling"] = plain[name]
        if config.calibrate == "temperature":
            found["temperature"] = fitted
    if conformal is not None:
        _, covered = jax.jit(jax.vmap(_sets_of(config), (0, None, 0, None)))(
            class_logits(rescale(conformal[0], fitted)), conformal[1], after, tested[1]
        )
        found |= covered
    ensemble = _calibrate_ensemble(config, scaling, conformal, tested)
    return Calibrated(fitted, found | ensemble.metrics, *ensemble[2:])


def _calibrate_ensemble(
    config: Config, scaling: Examples | None, conformal: Examples | None, tested: Examples
) -> Calibrated:
    plain, labels = _pooled(tested[0]), tested[1]
    fitted = None
    if scaling is not None:
        fitted = jax.jit(_fit(config))(_pooled(scaling[0]), scaling[1])
    logits = plain if fitted is None else calibration.scale_logits(plain, fitted)
    diagram = jax.jit(lambda logits: metrics.reliability_diagram(jax.nn.softmax(logits), labels))
    diagrams = {"before": diagram(plain)} | ({} if fitted is None else {"after": diagram(logits)})
    final = jax.jit(evaluation.final_metrics)(logits, labels)
    found = {
        f"ensemble_{name}": final[name][None]
        for name in ("accuracy", "log_loss", "calibration_error")
    }
    rows: list[tuple[str, ...]] = [("of all networks together", "value")]
    options: dict[str, Any] = {}
    if isinstance(fitted, VectorScaling):
        options = {name: tuple(map(float, part)) for name, part in fitted._asdict().items()}
    elif fitted is not None:
        options = {"temperature": float(fitted)}
        rows.append(("temperature", f"{float(fitted):.4f}"))
    sets = None
    if conformal is not None and config.coverage is not None:
        known = _pooled(conformal[0])
        known = known if fitted is None else calibration.scale_logits(known, fitted)
        (quantile, sets), covered = jax.jit(_sets_of(config))(known, conformal[1], logits, labels)
        found |= {f"ensemble_{name}": value[None] for name, value in covered.items()}
        options |= {"coverage": config.coverage, "quantile": float(quantile)}
        low, high = expected_coverage(len(conformal[1]), len(labels), config.coverage)
        rows += [
            ("coverage asked for", f"{config.coverage:g}"),
            ("coverage of the test examples", f"{float(covered['coverage']):.4f}"),
            ("expected in 95 % of splits if no scores are equal", f"{low:.4f} to {high:.4f}"),
            ("mean number of classes in a set", f"{float(covered['set_size']):.3f}"),
        ]
        sets = np.asarray(sets)
    return Calibrated(None, found, Calibration(**options), diagrams, sets, rows)


@jax.jit
def _pooled(outputs: Float[Array, "networks n outputs"]) -> Float[Array, "n classes"]:
    return calibration.ensemble_logits(class_logits(outputs))


@jax.jit
def _softmax(logits: Float[Array, "n classes"]) -> Float[Array, "n classes"]:
    return jax.nn.softmax(logits)


@jax.jit
def _sets(probabilities: Float[Array, "n classes"], quantile: Array) -> Bool[Array, "n classes"]:
    return calibration.prediction_sets(calibration.adaptive_scores(probabilities), quantile)


def _fit(config: Config) -> Any:
    def fit(logits: Array, labels: Array) -> Any:
        return _FITS[config.calibrate](logits, labels, pseudocount=_PSEUDOCOUNT)

    return fit


def _scores(
    logits: Float[Array, "n classes"], labels: Int[Array, " n"], key: Array
) -> dict[str, Array]:
    """Scores of calibration that need no threshold, beside those of every run."""
    probabilities = jax.nn.softmax(logits)
    return {
        "brier_score": metrics.brier_score(probabilities, labels),
        "debiased_calibration_error": metrics.debiased_calibration_error(probabilities, labels),
        "calibration_error_floor": metrics.calibration_error_floor(probabilities, key),
    }


def _sets_of(config: Config) -> Any:
    assert config.coverage is not None
    coverage = config.coverage

    def sets_of(known: Array, known_labels: Array, new: Array, labels: Array) -> Any:
        scores = calibration.adaptive_scores(jax.nn.softmax(known))
        true = calibration.true_class_scores(scores, known_labels)
        quantile = calibration.conformal_quantile(true, coverage=coverage)
        new_scores = calibration.adaptive_scores(jax.nn.softmax(new))
        sets = calibration.prediction_sets(new_scores, quantile)
        sizes = jnp.mean(jnp.sum(sets, axis=1).astype(jnp.float32))
        return (quantile, sets), {
            "coverage": metrics.set_coverage(sets, labels),
            "set_size": sizes,
        }

    return sets_of


def ensemble_probabilities(
    saved: Calibration | None, outputs: Float[Array, "networks n outputs"]
) -> Float[Array, "n classes"]:
    """Calibrated mean probabilities of all networks.

    >>> ensemble_probabilities(Calibration(temperature=2.0), jnp.array([[[0.0]]])).tolist()
    [[0.5, 0.5]]
    """
    if saved is None or (saved.temperature is None and not saved.scale):
        return class_probabilities(outputs)
    if saved.temperature is not None:
        scaling = jnp.float32(saved.temperature)
    else:
        parts = (jnp.array(part, jnp.float32) for part in (saved.scale, saved.bias))
        scaling = VectorScaling(*parts)
    return _softmax(calibration.scale_logits(_pooled(outputs), scaling))


def set_columns(
    saved: Calibration, probabilities: Float[Array, "n classes"], names: np.ndarray
) -> dict[str, np.ndarray]:
    """The columns of predictions that hold the set of each example, and its size.

    >>> columns = set_columns(
    ...     Calibration(coverage=0.9, quantile=0.6),
    ...     jnp.array([[0.5, 0.4, 0.1]]),
    ...     np.array(["a", "b", "c"]),
    ... )
    >>> columns["set"].tolist(), columns["set size"].tolist()
    (['a; b'], [2])
    """
    assert saved.quantile is not None
    sets = np.asarray(_sets(probabilities, np.float32(saved.quantile)))
    # The most probable class first.
    orders = np.argsort(-np.asarray(probabilities), axis=1, kind="stable")
    texts = [
        "; ".join(str(names[label]) for label in order if row[label])
        for order, row in zip(orders, sets, strict=True)
    ]
    return {"set": np.array(texts, dtype=str), "set size": sets.sum(axis=1)}


def draw(
    directory: RunDirectory, found: Calibrated, labels: np.ndarray, held: Holdout
) -> dict[str, str]:
    """Save the figures of a calibration: reliability, and sizes of the sets.

    Args:
        directory: the run directory.
        found: of `calibrate`.
        labels: of the test examples.
        held: the examples that calibrated.

    Returns:
        Name of each figure -> its caption.
    """
    scaled = f", before and after scaling to {len(held.scaling)} validation examples"
    captions = draw_figure(
        directory,
        "reliability",
        "Reliability of the mean probability of all networks on the test set"
        f"{scaled if len(found.diagrams) > 1 else ''}. Bars are 95 % intervals of the accuracy; "
        "the size of a point is the number of examples.",
        lambda: figures.reliability_curves(
            {name: jax.tree.map(np.asarray, each) for name, each in found.diagrams.items()}
        ),
    )
    sets = found.sets
    if sets is None:
        return captions
    covered = sets[np.arange(len(labels)), labels]
    return captions | draw_figure(
        directory,
        "set_sizes",
        "Number of classes in the prediction sets of the test examples, by the mean probability of "
        f"all networks; {len(held.conformal)} validation examples decided their size. Of every set "
        "the most probable class is a member, so that more may be covered than was asked for.",
        lambda: figures.set_sizes(sets.sum(axis=1), covered),
    )
