"""Every main program lowers for GPUs and TPUs on a machine that has neither.

`jax.export` runs all of JAX but the compiler of the platform: primitives that a platform lacks and
branches of `platform_dependent` that it would take are found here. Nothing is promoted
implicitly where nothing but this package decides.
"""

import functools

import jax
import jax.numpy as jnp
import optax
import pytest
from jax import export

import jaxnet as jn
from tests.contracts.generator import quick_key
from tests.contracts.registry import DIM, LEARNERS, OBJECTIVES, N
from tests.contracts.registry_over_time import OVER_TIME

PLATFORMS = ("cuda", "tpu", "cpu")
KEY = jax.eval_shape(lambda: jax.random.key(0))
# The generator of JAX takes most of the time of lowering; the other programs have it.
QUICK_KEY = jax.eval_shape(lambda: quick_key(0))
X = jax.ShapeDtypeStruct((2 * N, DIM), jnp.float32)


# A permutation is lowered longer than a step; one program has it.
IN_ORDER = jn.training.in_order(4)


def _fit(learner, hooks, key, data, batches=IN_ORDER):
    return jn.fit(learner, key, data, batches=batches, num_epochs=2, hooks=hooks)


def _cnn():
    network = jn.cnn((8, 8, 1), [4], [5, 3], dropout=0.3)
    objective = jn.with_augmentation(
        jn.with_l2(jn.classification(network), 1e-4), jn.random_affine((8, 8, 1), max_shift=1.0)
    )
    return jn.gradient_learner(network.init, objective, optax.adam(1e-3))


def _features(values, length, key):
    bank = jn.audio.mel_filter_bank(8, 64, 8000)
    power = jn.audio.power_spectrogram(jn.Sequences(values, length), 64, 32)
    coefficients = jn.audio.deltas(jn.audio.mfcc(jn.audio.log_mel(power, bank), 6))
    normalized = jn.audio.normalize_over_time(coefficients)
    return jn.audio.spec_augment().apply({}, normalized, key=key)


def _classifier(network):
    return jn.gradient_learner(network.init, jn.classification(network), optax.adam(1e-3))


def _programs():
    programs = {
        name: (functools.partial(_fit, learner, hooks), QUICK_KEY, data)
        for name, (learner, data, hooks) in LEARNERS.items()
    }
    for name in ("reconstruction", "probed_contraction", "negative_elbo", "contrastive_divergence"):
        case = OBJECTIVES[name]
        learner = jn.gradient_learner(case.init, case.objective, optax.adam(1e-3))
        programs[name] = (functools.partial(_fit, learner, ()), KEY, case.batch)
    images = {
        "x": jax.ShapeDtypeStruct((N, 8, 8, 1), jnp.float32),
        "y": jax.ShapeDtypeStruct((N,), jnp.int32),
    }
    recordings = (
        jax.ShapeDtypeStruct((N, 400), jnp.float32),
        jax.ShapeDtypeStruct((N,), jnp.int32),
    )
    length = jax.ShapeDtypeStruct((N,), jnp.int32)
    series, texts = (
        {"x": jn.Sequences(values, length), "y": length}
        for values in (
            jax.ShapeDtypeStruct((N, 5, 3), jnp.float32),
            jax.ShapeDtypeStruct((N, 5), jnp.int32),
        )
    )
    learner, data, _ = LEARNERS["gradient_learner"]
    return programs | {
        "shuffled": (
            functools.partial(_fit, learner, (), batches=jn.training.shuffled(4)),
            KEY,
            data,
        ),
        "recordings": (_features, *recordings, KEY),
        "rnn": (functools.partial(_fit, _classifier(OVER_TIME["rnn"].network), ()), KEY, series),
        "bag_of_embeddings": (
            functools.partial(_fit, _classifier(OVER_TIME["bag_of_embeddings"].network), ()),
            KEY,
            texts,
        ),
        "cnn": (functools.partial(_fit, _cnn(), ()), KEY, images),
        "fit_kmeans": (lambda key, x: jn.clustering.fit_kmeans(key, x, 3, num_restarts=2), KEY, X),
        "fit_gaussian_mixture": (
            lambda key, x: jn.clustering.fit_gaussian_mixture(key, x, 3),
            KEY,
            X,
        ),
        "row_sparse_learner": (
            functools.partial(
                _fit,
                jn.recommendation.row_sparse_learner(
                    jn.gradient_learner(
                        OBJECTIVES["factorization"].init,
                        OBJECTIVES["factorization"].objective,
                        optax.adam(1e-3),
                    ),
                    ("user", "item"),
                ),
                (),
            ),
            KEY,
            OBJECTIVES["factorization"].batch,
        ),
        "fit_ease": (lambda x: jn.recommendation.fit_ease(x, 2.0), X),
        "fit_pca": (lambda x: jn.autoencoders.fit_pca(x, 2), X),
        "nearest_neighbors": (lambda x: jn.neighbors.nearest_neighbors(x, x, 3), X),
    }


PROGRAMS = _programs()


# Optax's Adam raises a float to the power of an integer count.
NOT_STRICT = (
    *("reconstruction", "probed_contraction", "negative_elbo", "contrastive_divergence"),
    *("rnn", "bag_of_embeddings", "cnn", "row_sparse_learner"),
)


@pytest.mark.parametrize("name", PROGRAMS)
def test_lowers_for_every_platform(name, request):
    if name not in NOT_STRICT:
        request.getfixturevalue("strict")
    function, *arguments = PROGRAMS[name]
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    assert exported.platforms == PLATFORMS


def test_what_a_platform_lacks_is_found():
    with pytest.raises(NotImplementedError, match="tpu"):
        export.export(jax.jit(jnp.linalg.eig), platforms=PLATFORMS)(
            jax.ShapeDtypeStruct((3, 3), jnp.float32)
        )
