"""Peers of experiments.speed for a variational autoencoder and an RBM: jaxnet, and JAX by hand.

The hand-written programs compute the same losses and metrics with the same shapes and optimizers,
without any function of jaxnet: what they take less is what the library costs.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

Workload = dict[str, Any]
Train = Callable[[int], Callable[[], float]]

# From a key, images, and the sizes to parameters and an objective `(params, x, key)`.
Parts = tuple[Callable[[Any], Any], Callable[[Any, Any, Any], Any]]


def jaxnet_fit(workload: Workload, x: np.ndarray, y: np.ndarray) -> tuple[str, Train]:
    """A whole run, `jit(fit)`."""
    import jax
    import jax.numpy as jnp

    import jaxnet as jn

    dims = workload["dims"]
    if workload["kind"] == "vae":
        model = jn.autoencoders.mlp_variational_autoencoder(dims)
        init, objective = model.init, jn.autoencoders.negative_elbo(model)
    else:
        rbm = jn.boltzmann.RBM(*dims)
        init, objective = rbm.init, jn.boltzmann.contrastive_divergence(rbm)
    learner = jn.gradient_learner(init, objective, _optimizer(workload))
    options = {"batch_size": workload["batch_size"], "num_epochs": workload["num_epochs"]}

    @jax.jit
    def fit(key: Any, data: Any) -> Any:
        return jn.fit(learner, key, data, **options)[1]

    data = {"x": jnp.asarray(x)}
    return f"jax {jax.__version__}", functools.partial(_last_error, fit, data)


def jax_by_hand(workload: Workload, x: np.ndarray, y: np.ndarray) -> tuple[str, Train]:
    """The same run in JAX and Optax alone: a scan over epochs of a scan over steps."""
    import jax
    import jax.numpy as jnp
    import optax

    init, objective = _vae(workload["dims"]) if workload["kind"] == "vae" else _rbm(workload)
    optimizer = _optimizer(workload)
    batch_size, num_epochs = workload["batch_size"], workload["num_epochs"]
    num_steps = len(x) // batch_size

    @jax.jit
    def fit(key: Any, data: Any) -> Any:
        init_key, order_key, noise_key = jax.random.split(key, 3)
        params = init(init_key)

        def epoch(carry: Any, index: Any) -> Any:
            order = jax.random.permutation(jax.random.fold_in(order_key, index), len(data["x"]))
            rows = order[: num_steps * batch_size].reshape(num_steps, batch_size)

            def step(carry: Any, row: Any) -> Any:
                params, optimizer_state, count = carry
                step_key = jax.random.fold_in(noise_key, count)
                gradient = jax.value_and_grad(objective, has_aux=True)
                (loss, metrics), grad = gradient(params, data["x"][row], step_key)
                updates, optimizer_state = optimizer.update(grad, optimizer_state, params)
                params = optax.apply_updates(params, updates)
                return (params, optimizer_state, count + 1), metrics | {"loss": loss}

            carry, metrics = jax.lax.scan(step, carry, rows)
            return carry, jax.tree.map(jnp.mean, metrics)

        carry = params, optimizer.init(params), 0
        return jax.lax.scan(epoch, carry, jnp.arange(num_epochs))[1]

    data = {"x": jnp.asarray(x)}
    return f"jax {jax.__version__}", functools.partial(_last_error, fit, data)


def _optimizer(workload: Workload) -> Any:
    import optax

    make = {"adam": optax.adam, "sgd": optax.sgd}[workload["optimizer"]]
    return make(workload["learning_rate"])


def _last_error(fit: Callable[..., Any], data: Any, seed: int) -> Callable[[], float]:
    """Train; then the squared error of the last epoch's reconstructions."""
    import jax

    history = jax.block_until_ready(fit(jax.random.key(seed), data))
    name = next(name for name in history if name.startswith("squared"))
    return lambda: float(history[name][-1])


def _vae(dims: tuple[int, int, int]) -> Parts:
    import jax
    import jax.numpy as jnp
    import optax

    num_pixels, hidden, latent = dims
    sizes = [(num_pixels, hidden), (hidden, 2 * latent), (latent, hidden), (hidden, num_pixels)]

    def init(key: Any) -> Any:
        kernels = [
            jax.random.normal(layer_key, size) * (2 / size[0]) ** 0.5
            for layer_key, size in zip(jax.random.split(key, 4), sizes, strict=True)
        ]
        return [(kernel, jnp.zeros(kernel.shape[1])) for kernel in kernels]

    def objective(params: Any, x: Any, key: Any) -> Any:
        (w1, b1), (w2, b2), (w3, b3), (w4, b4) = params
        mean, log_variance = jnp.split(jax.nn.relu(x @ w1 + b1) @ w2 + b2, 2, axis=-1)
        noise = jax.random.normal(key, mean.shape)
        code = mean + jnp.exp(log_variance / 2) * noise
        logits = jax.nn.relu(code @ w3 + b3) @ w4 + b4
        entropy = optax.losses.sigmoid_binary_cross_entropy(logits, x).sum(axis=-1)
        kl = (mean**2 + jnp.exp(log_variance) - 1 - log_variance).sum(axis=-1) / 2
        squared = ((x - jax.nn.sigmoid(logits)) ** 2).sum(axis=-1)
        metrics = {"reconstruction": entropy, "kl": kl, "squared_error": squared}
        return (entropy + kl).mean(), jax.tree.map(jnp.mean, metrics)

    return init, objective


def _rbm(workload: Workload) -> Parts:
    import jax
    import jax.numpy as jnp

    num_visible, num_hidden = workload["dims"]

    def init(key: Any) -> Any:
        kernel = 0.01 * jax.random.normal(key, (num_visible, num_hidden))
        return {"W": kernel, "b": jnp.zeros(num_visible), "c": jnp.zeros(num_hidden)}

    def free_energy(params: Any, v: Any) -> Any:
        return -v @ params["b"] - jax.nn.softplus(v @ params["W"] + params["c"]).sum(axis=-1)

    def objective(params: Any, v: Any, key: Any) -> Any:
        constant = jax.lax.stop_gradient(params)
        up_key, down_key = jax.random.split(key)
        hidden_mean = jax.nn.sigmoid(v @ constant["W"] + constant["c"])
        hidden = jax.random.bernoulli(up_key, hidden_mean).astype(v.dtype)
        visible_mean = jax.nn.sigmoid(hidden @ constant["W"].T + constant["b"])
        end = jax.random.bernoulli(down_key, visible_mean).astype(v.dtype)
        reconstruction = jax.nn.sigmoid(hidden_mean @ constant["W"].T + constant["b"])
        energy = free_energy(params, v).mean()
        squared = ((v - reconstruction) ** 2).sum(axis=-1).mean()
        metrics = {"free_energy": energy, "squared_reconstruction_error": squared}
        return energy - free_energy(params, end).mean(), metrics

    return init, objective


PEERS = {kind: {"jaxnet": jaxnet_fit, "JAX by hand": jax_by_hand} for kind in ("vae", "rbm")}
