"""Autoencoders of the ratings of a user or an item: AutoRec and Mult-VAE."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxnet._checks import require_integer, require_not_negative, require_positive, require_sizes
from jaxnet.autoencoders.elbo import gaussian_kl
from jaxnet.autoencoders.likelihoods import Likelihood
from jaxnet.autoencoders.variational import (
    VariationalAutoencoder,
    posterior_noise,
    reparameterize,
    variational_autoencoder,
)
from jaxnet.nn.architectures import mlp
from jaxnet.nn.layers import activation as activation_layer
from jaxnet.nn.network import Chain, Network, chain
from jaxnet.objectives.prediction import regression
from jaxnet.objectives.weighting import (
    masked,
    masked_rows,
    require_entry,
    require_shape,
    weighted_mean,
    weighted_means,
    widen,
)
from jaxnet.typing import Batch, Metrics, Objective, Params, StatefulObjective


def autorec(
    num_ratings: int,
    hidden_dim: int,
    *,
    activation: Callable[[Array], Array] = jax.nn.sigmoid,
    dropout: ArrayLike = 0.0,
) -> Chain:
    """AutoRec: an autoencoder of the ratings of an item (I-AutoRec) or of a user (U-AutoRec).

    `h(r) = W g(V r + m) + b`, where ratings that are not known are 0 in `r`. Subtract the mean of
    the training ratings before, so that 0 is an average rating.

    Args:
        num_ratings: ratings of an example: the number of users for I-AutoRec, of items for
            U-AutoRec.
        hidden_dim: number of hidden units.
        activation: `g`; the source prefers the logistic function.
        dropout: rate of dropout of the hidden units; the source has none.

    Returns:
        A network from `(*batch, num_ratings)` to all ratings `(*batch, num_ratings)`, trained by
        `observed_reconstruction`.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size below 1.

    >>> network = autorec(100, 20)
    >>> params = network.init(jax.random.key(0))
    >>> network.apply(params, jnp.zeros((3, 100))).shape
    (3, 100)

    Source: Sedhain et al. (2015), "AutoRec: autoencoders meet collaborative filtering".
    """
    require_positive("autorec", num_ratings=num_ratings, hidden_dim=hidden_dim)
    dims = [num_ratings, hidden_dim, num_ratings]
    return mlp(dims, activation=activation, dropout=dropout)


def observed_reconstruction(network: Network) -> Objective:
    """Mean squared error of the ratings that are known, `sum_O (r - h(r))^2 / |O|`.

    The source sums over the ratings of an example, and adds `lambda / 2` times the squares of the
    kernels: `jaxnet.with_l2`. Here the mean over all known ratings of the batch is taken, so that
    neither the learning rate nor the penalty depends on how many there are.

    Args:
        network: from ratings to ratings, `(batch, num_ratings)`, such as `autorec`.

    Returns:
        An objective on batches of ratings `x`, `(batch, num_ratings)`, whose `weight` of the same
        shape is 0 where a rating is not known: such a rating is 0 in the input, whatever `x` holds.
        Metrics: `mean_squared_error`.

    Raises:
        ValueError: (of the objective) outputs of another shape than `x`.

    >>> network = autorec(4, 2)
    >>> batch = {"x": jnp.ones((3, 4)), "weight": jnp.zeros((3, 4)).at[0, 1].set(1.0)}
    >>> loss, metrics = observed_reconstruction(network)(
    ...     jax.tree.map(jnp.zeros_like, network.init(jax.random.key(0))), batch, None
    ... )
    >>> float(loss)
    1.0

    Source: Sedhain et al. (2015), section 2.
    """
    inner = regression(network)

    def objective(params: Params, batch: Batch, key: Array | None) -> tuple[Array, Metrics]:
        x = require_entry("observed_reconstruction", batch, "x")
        weight = batch.get("weight")
        if weight is not None and jnp.shape(weight) == x.shape:
            x = masked_rows(x, weight)
        return inner(params, {**batch, "x": x, "y": x}, key)

    return objective


def multinomial_likelihood() -> Likelihood:
    """The items of a user are drawn with the probabilities `softmax(outputs)`.

    `log_prob = x log softmax(outputs)`, whose sum over the items is the logarithm of the
    probability of the counts `x`, but for a constant. Liang et al. (2018), section 2.1.

    Returns:
        A likelihood of counts, or of 0 and 1, on the last axis; its mean is that of one item.

    >>> likelihood = multinomial_likelihood()
    >>> log_prob = likelihood.log_prob(jnp.zeros(4), jnp.array([1.0, 0, 0, 1]))
    >>> bool(jnp.isclose(log_prob.sum(), -2 * jnp.log(4)))
    True
    """

    def log_prob(outputs: Array, x: Array) -> Array:
        require_shape("multinomial_likelihood", "x", x, outputs.shape)
        return x.astype(outputs.dtype) * jax.nn.log_softmax(outputs, axis=-1)

    return Likelihood(lambda outputs: jax.nn.softmax(outputs, axis=-1), log_prob)


def multinomial_autoencoder(
    dims: Sequence[int], *, dropout: ArrayLike = 0.5
) -> VariationalAutoencoder:
    """Mult-VAE: a variational autoencoder of the items of a user, with tanh units.

    The input of a user is divided by its norm. The score of an item is its output without a key.

    Args:
        dims: sizes of input (the number of items), hidden layers and code; the decoder has them in
            reverse order.
        dropout: rate of dropout of the input.

    Returns:
        A model from `(*batch, items)` to `(*batch, items)`, trained by `multinomial_elbo`.

    Raises:
        TypeError: a size that is not an integer, a rate that is not a number.
        ValueError: fewer than two sizes, a size below 1, or a rate outside [0, 1).

    >>> model = multinomial_autoencoder([100, 20, 5])
    >>> params = model.init(jax.random.key(0))
    >>> model.apply(params, jnp.ones((3, 100))).shape
    (3, 100)

    Source: Liang et al. (2018), "Variational autoencoders for collaborative filtering", sections
    2 and 4.
    """
    meaning = "hold at least the sizes of input and code"
    dims = require_sizes("multinomial_autoencoder", "dims", dims, meaning, min_length=2)
    encoder = mlp([*dims[:-1], 2 * dims[-1]], activation=jnp.tanh, input_dropout=dropout)
    decoder = mlp(dims[::-1], activation=jnp.tanh)
    return variational_autoencoder(
        chain(activation_layer(_normalize), encoder),
        decoder,
        dims[-1],
        likelihood=multinomial_likelihood(),
    )


def _normalize(x: Float[Array, "*batch items"]) -> Float[Array, "*batch items"]:
    squares = jnp.sum(x**2, axis=-1, keepdims=True)
    # A user without items stays 0, and has the gradient 0.
    return x * jnp.where(squares > 0, jax.lax.rsqrt(jnp.where(squares > 0, squares, 1)), 0)


def multinomial_elbo(
    model: VariationalAutoencoder, *, kl_weight: ArrayLike = 0.2, anneal_steps: int = 0
) -> StatefulObjective:
    """Negative multinomial log-likelihood and a weighted divergence, `E_q[-log p(x|z)] + beta KL`.

    `beta` grows from 0 to `kl_weight` over the first steps and stays there. A weight below 1 makes
    better rankings and no bound of the evidence.

    Args:
        model: such as `multinomial_autoencoder`.
        kl_weight: the last weight of the divergence, at least 0; may be traced.
        anneal_steps: steps over which the weight grows; 0 starts with the last weight.

    Returns:
        A stateful objective on batches of `x`, `(batch, items)`: counts, or 1 for the items of the
        user, which are input and target, or the input alone where the batch holds a `target` of the
        same shape. Its state is the number of steps. Metrics: `reconstruction`, the negative
        log-likelihood, and `kl`, in nats for each user.

    Raises:
        TypeError: a weight that is not a number, a number of steps that is not an integer.
        ValueError: a negative weight or number of steps; (of the objective) other shapes.

    >>> model = multinomial_autoencoder([6, 4, 2])
    >>> objective = multinomial_elbo(model, kl_weight=0.2, anneal_steps=10)
    >>> params = model.init(jax.random.key(0))
    >>> extra = objective.init(params, jax.random.key(1))
    >>> batch = {"x": jnp.ones((3, 6))}
    >>> loss, (extra, metrics) = objective.apply(params, extra, batch, jax.random.key(2))
    >>> bool(loss == metrics["reconstruction"]), int(extra)
    (True, 1)

    Source: Liang et al. (2018), section 2.2.
    """
    require_not_negative("multinomial_elbo", kl_weight=kl_weight)
    require_integer("multinomial_elbo", "anneal_steps", anneal_steps, 0)
    anneal_steps = operator.index(anneal_steps)

    def init(params: Params, key: Array) -> Array:
        return jnp.zeros((), jnp.int32)

    def apply(params: Params, extra: Array, batch: Batch, key: Array | None) -> Any:
        batch = masked(batch)
        x = require_entry("multinomial_elbo", batch, "x")
        target = batch.get("target", x)
        mean, log_variance = map(widen, model.posterior(params, x, key=key))
        noise = 0.0 if key is None else posterior_noise(key, mean)
        codes = reparameterize(mean, log_variance, noise)
        outputs = widen(model.decode(params, codes, key=key))
        losses = -model.likelihood.log_prob(outputs, target).sum(axis=-1)
        divergence = gaussian_kl(mean, log_variance)
        fraction = jnp.minimum(extra.astype(mean.dtype) / max(anneal_steps, 1), 1)
        beta = kl_weight * (fraction if anneal_steps else 1)
        loss = weighted_mean(losses + beta * divergence, batch.get("weight"))
        metrics = weighted_means({"reconstruction": losses, "kl": divergence}, batch)
        return loss, (extra + 1, metrics)

    return StatefulObjective(init, apply)
