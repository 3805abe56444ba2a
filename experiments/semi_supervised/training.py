"""The stages of a run: labels alone, data without labels alone, then both together."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnet as jn
from experiments.placement import Placement
from experiments.precision import autoencoder_in_precision
from experiments.semi_supervised.config import Config, MethodName
from experiments.semi_supervised.draws import Parts
from experiments.semi_supervised.methods import Method, build_network, learner_of
from experiments.training import build_optimizer, network_at, network_keys, train_options
from jaxnet import boltzmann, runs
from jaxnet.training import per_run, shuffled, side_by_side
from jaxnet.typing import Params

# Hinton and Salakhutdinov (2006), supplement: Gaussian units need a rate a hundred times smaller.
_GAUSSIAN_FACTOR, _MOMENTUM = 0.01, 0.9


class Problem(NamedTuple):
    """The data of a run, in the order in which networks are stacked: all seeds of a draw together.

    Attributes:
        x: inputs of all examples `(n, features)`.
        y: labels of all examples `(n,)`.
        parts: training and held-out examples, and the labels of each draw.
        is_unit_interval: whether inputs are pixels in [0, 1].
    """

    x: np.ndarray
    y: np.ndarray
    parts: Parts
    is_unit_interval: bool


class Sizes(NamedTuple):
    """Sizes of the batches, and steps of an epoch without labels."""

    labeled: int
    unlabeled: int
    steps_per_epoch: int


def sizes_of(config: Config, num_train: int, num_labeled: int) -> Sizes:
    """Sizes of the batches of some data.

    Args:
        config: the options.
        num_train: training examples, with and without labels.
        num_labeled: labels of a draw.
    """
    labeled = min(config.labeled_batch_size, num_labeled)
    unlabeled = min(config.batch_size, num_train)
    # The longer of the two sources makes an epoch.
    return Sizes(labeled, unlabeled, max(num_train // unlabeled, num_labeled // labeled))


class Training:
    """Trains the networks of all draws and seeds of each method, in one program for a stage.

    Args:
        directory: the run directory, in which each stage has a folder.
        config: the options.
        problem: the data.
        placement: how the networks are spread over devices.
    """

    def __init__(
        self,
        directory: runs.RunDirectory,
        config: Config,
        problem: Problem,
        placement: Placement,
    ) -> None:
        self._directory, self._config, self._placement = directory, config, placement
        self._is_unit_interval = problem.is_unit_interval
        parts, num_networks = problem.parts, config.num_seeds * len(problem.parts.labeled)
        self._keys = network_keys(config.seed, num_networks)
        labeled = np.repeat(parts.labeled, config.num_seeds, axis=0)
        self._sizes = sizes_of(config, len(parts.train), labeled.shape[1])
        train = jnp.asarray(problem.x[parts.train])
        self._unlabeled = {"x": train}
        self._labeled = {
            "x": jnp.asarray(problem.x[labeled]),
            "y": jnp.asarray(problem.y[labeled]),
        }
        self._both = {
            "labeled": self._labeled,
            "unlabeled": {"x": jnp.broadcast_to(train, (num_networks, *train.shape))},
        }
        self._held_out = jax.device_put((problem.x[parts.held_out], problem.y[parts.held_out]))
        self._starts: dict[str, Params] = {}
        # Most methods have the same network, and so the same program.
        self._errors: dict[jn.Network, Callable[..., jax.Array]] = {}
        self.hashes: dict[str, str] = {}

    def train(self, name: MethodName, method: Method) -> runs.TrainResult:
        """The networks of a method, `(draws * seeds, ...)`.

        Args:
            name: of the method.
            method: what is trained.

        Raises:
            FloatingPointError: a training that diverges.
        """
        start = self._start(method)
        optimizer = self._optimizer(
            self._sizes.unlabeled * self._sizes.steps_per_epoch,
            self._sizes.unlabeled,
            self._config.num_epochs,
        )
        batches = side_by_side(
            {"labeled": shuffled(self._sizes.labeled), "unlabeled": shuffled(self._sizes.unlabeled)}
        )
        return self._run(
            name,
            method,
            learner_of(self._config, method.objective, optimizer),
            start,
            self._both,
            batches,
            self._config.num_epochs,
        )

    def errors(self, method: Method, saved: Any) -> jax.Array:
        """The error of each network on the held-out examples, `(draws * seeds,)`.

        Args:
            method: the method.
            saved: what predicts, of all networks.
        """
        network = method.predictor
        if network not in self._errors:
            error = functools.partial(error_of, network)
            self._errors[network] = jax.jit(jax.vmap(error, (0, None, None)))
        return self._errors[network](saved, *self._held_out)

    def _start(self, method: Method) -> Params:
        """What the networks of a method have learned before; methods share it."""
        if method.start not in self._starts:
            start = {
                "labels": self._from_labels,
                "ladder_labels": self._from_labels,
                "autoencoder": self._from_autoencoder,
                "rbm": self._from_machines,
            }[method.start]
            self._starts[method.start] = start(method)
        return self._starts[method.start]

    def _from_labels(self, method: Method) -> Params:
        """Networks trained on labels alone."""
        params = jax.jit(jax.vmap(method.network.init))(self._keys)
        epochs = self._config.supervised_epochs
        if not epochs:
            return params
        num_labeled = self._labeled["y"].shape[1]
        optimizer = self._optimizer(num_labeled, self._sizes.labeled, epochs)
        objective = jn.classification(method.network)
        return self._run(
            method.start,
            method,
            learner_of(self._config, objective, optimizer),
            params,
            self._labeled,
            shuffled(self._sizes.labeled),
            epochs,
        ).params

    def _from_autoencoder(self, method: Method) -> Params:
        """Networks whose hidden layers encode; they reconstruct inputs from masked ones."""
        config, num_train = self._config, len(self._unlabeled["x"])
        dims = [self._unlabeled["x"].shape[1], *config.hidden_dims]
        encoder = build_network(config, dims[0], 2)[:-1]
        network = autoencoder_in_precision(
            config, jn.autoencoders.autoencoder(encoder, jn.mlp(dims[::-1]))
        )
        if self._is_unit_interval:
            objective = jn.autoencoders.bernoulli_reconstruction(network)
        else:
            objective = jn.autoencoders.reconstruction(network)
        objective = jn.with_noise(objective, jn.nn.masking_noise(config.masking))
        optimizer = self._optimizer(num_train, self._sizes.unlabeled, config.pretrain_epochs)
        learner = learner_of(config, objective, optimizer)(network.init)
        keys, name = self._keys_for("autoencoder_pretraining"), "autoencoder_pretraining"
        trained = self._placement.train(
            self._stage(name),
            learner,
            jax.jit(jax.vmap(learner.init))(keys),
            self._unlabeled,
            batches=self._sizes.unlabeled,
            options=train_options(config, num_epochs=config.pretrain_epochs),
        )
        self.hashes[name] = trained.state_sha256
        return jax.jit(jax.vmap(method.network.init))(self._keys) | trained.params["encoder"]

    def _from_machines(self, method: Method) -> Params:
        """Networks whose hidden layers are those of a stack of restricted Boltzmann machines."""
        config, name = self._config, "rbm_pretraining"
        visible = boltzmann.BERNOULLI if self._is_unit_interval else boltzmann.GAUSSIAN
        rbms = boltzmann.stack(
            [self._unlabeled["x"].shape[1], *config.hidden_dims], visible=visible
        )

        def learner(rbm: boltzmann.RBM) -> jn.Learner:
            factor = _GAUSSIAN_FACTOR if rbm.visible == boltzmann.GAUSSIAN else 1
            optimizer = optax.sgd(config.rbm_rate * factor, momentum=_MOMENTUM)
            return jn.gradient_learner(rbm.init, boltzmann.contrastive_divergence(rbm), optimizer)

        trained = self._placement.train_stages(
            self._stage(name),
            boltzmann.stack_stages(rbms, learner),
            self._keys_for(name),
            self._unlabeled,
            batches=self._sizes.unlabeled,
            options=train_options(config, num_epochs=config.pretrain_epochs),
        )
        for rbm, result in enumerate(trained):
            self.hashes[f"{name}/rbm_{rbm}"] = result.state_sha256
        unrolled = jax.vmap(boltzmann.unroll)([result.params for result in trained])
        return jax.jit(jax.vmap(method.network.init))(self._keys) | unrolled["encoder"]

    def _run(
        self,
        name: str,
        method: Method,
        learner: Callable[[Callable[[jax.Array], Params]], jn.Learner],
        start: Params,
        data: Any,
        batches: jn.training.Batches,
        num_epochs: int,
    ) -> runs.TrainResult:
        """A stage that begins with given parameters; curves are errors on held-out examples."""
        # Only its structure matters where the states start from given parameters.
        first = network_at(start, 0)
        trained = self._placement.train(
            self._stage(name),
            learner(lambda key: first),
            runs.start_states(learner, self._keys_for(name), start),
            data,
            batches=per_run(batches),
            options=train_options(self._config, num_epochs=num_epochs),
            # Not called loss: nothing is chosen by it.
            evaluate=lambda *learned: {"error": self.errors(method, method.saved(*learned))},
        )
        self.hashes[name] = trained.state_sha256
        return trained

    def _stage(self, name: str) -> runs.RunDirectory:
        if self._directory.is_writer:
            print(f"stage {name}", flush=True)
        return self._directory.stage(name)

    def _keys_for(self, name: str) -> jax.Array:
        return jax.vmap(lambda key: jn.training.fold_in_name(key, name))(self._keys)

    def _optimizer(self, num_train: int, batch_size: int, num_epochs: int) -> Any:
        return build_optimizer(
            dataclasses.replace(self._config, batch_size=batch_size),
            num_train,
            learning_rate=self._config.learning_rate,
            num_epochs=num_epochs,
        )


def error_of(network: jn.Network, params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
    """The fraction of examples that a network gives another class than theirs.

    Args:
        network: from vectors to logits.
        params: its parameters.
        x: examples `(n, features)`.
        y: labels `(n,)`.
    """
    return jnp.mean(network.apply(params, x).argmax(axis=-1) != y)
