"""Calls as functions of one of their arguments, on the smallest things that they take."""

import jax
import jax.numpy as jnp
import optax

import jaxnet as jn
from jaxnet import autoencoders, boltzmann, clustering, training

AUTOENCODER = autoencoders.mlp_autoencoder([4, 3, 2])
VARIATIONAL = autoencoders.mlp_variational_autoencoder([4, 2])
KEY, X = jax.random.key(0), jnp.ones((3, 2))
NETWORK = jn.dense(4, 3)
LEARNER = jn.gradient_learner(NETWORK.init, jn.regression(NETWORK), optax.sgd(0.1))
IMAGES = jnp.ones((2, 4, 4, 1))


def zero(params, batch, key):
    return jnp.zeros(()), {}


def trivial(*_):
    """A learner that learns nothing, so that calls which train cost nothing."""

    def init(key):
        return training.TrainState({}, (), (), key, jnp.zeros((), jnp.int32))

    def step(state, batch):
        return state._replace(step=state.step + 1), {"loss": jnp.zeros(())}

    return jn.Learner(init, step)


TRIVIAL, DATA = trivial(), {"x": jnp.ones((4, 2)), "y": jnp.zeros(4, int)}
STATE, STEPS = TRIVIAL.init(KEY), {"loss": jnp.zeros(2)}
POPULATION = training.Population(
    (training.Group(TRIVIAL, jax.vmap(TRIVIAL.init)(KEY[None]), (0,), {}),)
)
PADDED_PARAMS = jn.nn.padded_mlp([4, 3, 2], [2]).init(KEY)
RBM = boltzmann.RBM(num_visible=2, num_hidden=2)
LABELS = jnp.array([0, 1, 1])
BEST = training.init_best({})
MIXTURE = clustering.GaussianMixture(jnp.full(2, 0.5), jnp.eye(2), jnp.ones(2))


def identity(params, x, *, key=None):
    return x


def spread(function, name, *arguments, **options):
    """The call as a function of one of its arguments, for factories: nothing is computed."""
    return lambda value: function(*arguments, **options, **{name: value})


def traced(function, name, *arguments, **options):
    """The same for functions that compute: they are traced, but the argument is known."""

    def call(value):
        jax.eval_shape(lambda: function(*arguments, **options, **{name: value}))

    return call


def of_a_model(function, name, *arguments, **options):
    """The same for functions of a model and its parameters."""

    def call(value):
        def run(key):
            params = VARIATIONAL.init(key)
            return function(VARIATIONAL, params, *arguments, **options, **{name: value})

        jax.eval_shape(run, KEY)

    return call
