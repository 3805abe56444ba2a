"""Search of settings: spaces and samples, successive halving, populations that evolve.

Settings are plain values: a space says which there are, a bracket how long trials train. What
trains them are populations of `jaxnet.training`; `experiments.sweep` is a command that does both.
"""

from jaxnet.search.expected import expected_maximum
from jaxnet.search.halving import (
    Bracket,
    Rung,
    best_of,
    hyperband,
    hyperband_until,
    successive_halving,
    total_resource,
)
from jaxnet.search.population_based import (
    Evolution,
    Members,
    exploit_and_explore,
    members_of,
    perturb,
    population_based_hook,
    population_learner,
    truncation_selection,
)
from jaxnet.search.sampling import Sample, grid_samples, random_samples, sobol_samples
from jaxnet.search.space import (
    Dimension,
    Space,
    choice,
    integers,
    log_uniform,
    positions,
    require_space,
    uniform,
)

__all__ = [
    "Bracket",
    "Dimension",
    "Evolution",
    "Members",
    "Rung",
    "Sample",
    "Space",
    "best_of",
    "choice",
    "expected_maximum",
    "exploit_and_explore",
    "grid_samples",
    "hyperband",
    "hyperband_until",
    "integers",
    "log_uniform",
    "members_of",
    "perturb",
    "population_based_hook",
    "population_learner",
    "positions",
    "random_samples",
    "require_space",
    "sobol_samples",
    "successive_halving",
    "total_resource",
    "truncation_selection",
    "uniform",
]
