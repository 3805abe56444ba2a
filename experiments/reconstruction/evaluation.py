"""Evaluation of reconstructions: errors beside those of PCA, likelihoods, a linear probe."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Float

import jaxnet as jn
from experiments.data import Dataset, Split
from experiments.reconstruction.config import Config
from experiments.reconstruction.models import Model
from experiments.training import network_at, seed_keys
from jaxnet import metrics

# Log-probabilities cost hundreds of evaluations of each example.
_MAX_SAMPLED = 1000
# Of the linear probe.
_RATE, _NUM_EPOCHS, _BATCH_SIZE, _L2 = 5e-3, 40, 128, 1e-4


class Tested(NamedTuple):
    """Test examples as all networks reconstruct them.

    Attributes:
        codes: `(networks, n, code_dim)`.
        reconstructions: `(networks, n, features)`.
        by_pca: reconstructions by principal components, `(n, features)`.
        errors: squared error of each example, `(networks, n)`.
        pca_errors: the same by principal components, `(n,)`.
        metrics: name -> one value for each network.
    """

    codes: np.ndarray
    reconstructions: np.ndarray
    by_pca: np.ndarray
    errors: np.ndarray
    pca_errors: np.ndarray
    metrics: dict[str, np.ndarray]


def apply_all(apply: Any, params: Any, x: np.ndarray) -> np.ndarray:
    """Outputs of all networks, `(networks, n, ...)`.

    Args:
        apply: `(params, x) -> outputs`.
        params: of all networks, stacked.
        x: examples.
    """
    outputs = jax.jit(jax.vmap(lambda params, x: jn.predict(apply, params, x), (0, None)))
    return np.asarray(outputs(params, jax.device_put(x)))


def on_validation(
    model: Model, x: np.ndarray, config: Config
) -> Callable[[Any], dict[str, jax.Array]]:
    """Loss and error on validation data, with the same random numbers after each epoch.

    Args:
        model: the model.
        x: validation examples.
        config: decides the random numbers.

    Returns:
        From stacked parameters to metrics, `(networks,)` each.
    """
    batch, key = {"x": jax.device_put(x)}, seed_keys(config, "validation")[0]

    def evaluate(params: Any) -> dict[str, jax.Array]:
        squared = ((model.reconstruct(params, batch["x"]) - batch["x"]) ** 2).sum(axis=-1).mean()
        loss = squared if model.loss is None else model.loss(params, batch, key)[0]
        return {"loss": loss, "squared_error": squared}

    return jax.jit(jax.vmap(evaluate))


def on_test(
    model: Model, params: Any, train: jax.Array, test: np.ndarray, config: Config
) -> Tested:
    """Evaluate all networks on test examples, beside principal components with equal codes.

    Args:
        model: the model.
        params: of all networks, stacked.
        train: training examples, on which the components are fitted.
        test: test examples.
        config: the options.
    """
    reconstructions = apply_all(model.reconstruct, params, test)
    code_dim = config.model.code_dim
    linear = jn.autoencoders.fit_pca(train, min(code_dim, test.shape[1]))
    by_pca = np.asarray(jax.jit(lambda x: linear.reconstruct(linear.project(x)))(test))
    errors = ((reconstructions - test) ** 2).sum(axis=-1)
    pca_errors = ((by_pca - test) ** 2).sum(axis=-1)
    squared, of_pca = errors.mean(axis=-1), pca_errors.mean()
    values = {"squared_error": squared, "pca_squared_error": np.full(len(squared), of_pca)}
    if code_dim < test.shape[1]:
        # As many components as features leave no error but that of rounding.
        values["relative_to_pca"] = squared / of_pca
    values |= _likelihoods(model, params, test, config)
    codes = apply_all(model.encode, params, test)
    return Tested(codes, reconstructions, by_pca, errors, pca_errors, values)


def _likelihoods(model: Model, params: Any, x: np.ndarray, config: Config) -> dict[str, np.ndarray]:
    """Bounds and log-probabilities, of one network after the other, to need the memory of one."""
    keys, values = seed_keys(config, "evaluation"), {}
    if getattr(config.model, "binarize", False):
        # The same images for all networks.
        key = seed_keys(config, "test_data")[0]
        x = np.asarray(jax.random.bernoulli(key, x), np.float32)
    order = np.random.default_rng(config.seed).permutation(len(x))[:_MAX_SAMPLED]
    sampled = x[np.sort(order)]
    for evaluate, examples in ((model.evaluate, x), (model.evaluate_by_sampling, sampled)):
        if evaluate is None:
            continue
        compiled = jax.jit(evaluate)
        rows = [
            compiled(network_at(params, i), jax.device_put(examples), key)
            for i, key in enumerate(keys)
        ]
        values |= {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return values


def note_unused_code(values: Mapping[str, Any]) -> list[str]:
    """A note where the code of a variational autoencoder says almost nothing about its input.

    Args:
        values: metrics, with `kl` (in nats) for a variational autoencoder.

    >>> note_unused_code({"kl": np.array([5.0])}), len(note_unused_code({"kl": np.array([0.001])}))
    ([], 1)
    """
    if "kl" not in values:
        return []
    kl = float(np.mean(values["kl"]))
    if kl > 0.1:
        return []
    return [
        f"the code holds {kl:.2g} nats about an example (KL divergence from the prior): it is not "
        "used, and all reconstructions are nearly the same; train longer, with a higher "
        "--learning-rate, or with smaller --hidden-dims"
    ]


def probe_errors(
    codes: Float[np.ndarray, "networks n code"], dataset: Dataset, parts: Split, keys: Array
) -> np.ndarray:
    """Test errors of logistic regressions on the codes, one for each network.

    The classifier learns from the training part, by Adam with a cosine schedule and a small L2
    penalty. The codes of each network are divided by their standard deviation, one number for all.

    Args:
        codes: codes of all examples.
        dataset: its labels.
        parts: training and test part.
        keys: one for each network.

    Returns:
        Fractions of test examples whose predicted class is wrong, `(networks,)`.
    """
    num_train = len(parts.train)
    batch_size = min(_BATCH_SIZE, num_train)
    network = jn.mlp([codes.shape[-1], dataset.num_classes])
    num_steps = num_train // batch_size * _NUM_EPOCHS
    learner = jn.gradient_learner(
        network.init,
        jn.with_l2(jn.classification(network), _L2),
        optax.adam(optax.cosine_decay_schedule(_RATE, num_steps)),
    )

    @jax.jit
    def error(key: Array, train: dict[str, Array], test: dict[str, Array]) -> Array:
        state, _ = jn.fit(learner, key, train, batch_size=batch_size, num_epochs=_NUM_EPOCHS)
        outputs = jn.predict(network.apply, state.params, test["x"])
        return 1 - metrics.accuracy(outputs, test["y"])

    def part(x: np.ndarray, indices: np.ndarray) -> dict[str, Array]:
        return {"x": jax.device_put(x[indices]), "y": jax.device_put(dataset.y[indices])}

    errors = []
    # One network after the other, to need the memory of one.
    for key, of_network in zip(keys, codes, strict=True):
        scale = max(float(of_network[parts.train].std()), np.finfo(np.float32).tiny)
        x = of_network / scale
        errors.append(error(key, part(x, parts.train), part(x, parts.test)))
    return np.array(errors)
