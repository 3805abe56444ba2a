"""Restricted Boltzmann machines.

An `RBM` describes a machine; its methods are pure functions of its parameters.
`contrastive_divergence` and `persistent_contrastive_divergence`, which keeps its Markov chains in
`state.extra`, are objectives for `jaxnet.gradient_learner`. With `log_partition` (exact) or
`annealed_importance_sampling` (an estimate with a standard error), free energies give
log-probabilities. `stack`, `fit_stack` and `unroll` build deep belief networks, and autoencoders
and classifiers that start from them.

>>> import jax, jaxnet as jn, optax
>>> from jaxnet import boltzmann
>>> rbm = boltzmann.RBM(num_visible=16, num_hidden=8)
>>> objective = boltzmann.contrastive_divergence(rbm, num_steps=1)
>>> learner = jn.gradient_learner(rbm.init, objective, optax.sgd(0.1))
>>> data = {"x": jax.random.bernoulli(jax.random.key(1), 0.2, (100, 16)).astype(float)}
>>> state, history = jn.fit(learner, jax.random.key(0), data, batch_size=10, num_epochs=5)
>>> features = rbm.hidden_mean(state.params, data["x"])
>>> log_partition = boltzmann.log_partition(rbm, state.params)
>>> bool(rbm.log_probability(state.params, data["x"], log_partition).mean() > -10)
True
"""

from jaxnet.boltzmann.annealing import (
    PartitionEstimate,
    annealed_importance_sampling,
    annealing_schedule,
)
from jaxnet.boltzmann.learning import contrastive_divergence, persistent_contrastive_divergence
from jaxnet.boltzmann.machine import RBM
from jaxnet.boltzmann.partition import log_partition
from jaxnet.boltzmann.stacking import encode, fit_stack, stack, stack_stages, unroll
from jaxnet.boltzmann.units import BERNOULLI, GAUSSIAN, Unit

__all__ = [
    "BERNOULLI",
    "GAUSSIAN",
    "PartitionEstimate",
    "RBM",
    "Unit",
    "annealed_importance_sampling",
    "annealing_schedule",
    "contrastive_divergence",
    "encode",
    "fit_stack",
    "log_partition",
    "persistent_contrastive_divergence",
    "stack",
    "stack_stages",
    "unroll",
]
