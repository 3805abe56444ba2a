"""The trials of a sweep: those with the same static options train in one program, all seeds too."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

import jaxnet as jn
from experiments.numbers import shared_configs, with_numbers
from experiments.placement import Placement
from experiments.sizes import PaddedSizes
from experiments.sweep.padding import SIZES, mean_training, pad_hidden_sizes
from experiments.task import Score, Task
from experiments.training import batch_size, train_options
from jaxnet import search, training
from jaxnet.runs import RunDirectory, TrainResult
from jaxnet.search import Bracket
from jaxnet.training import Group, Learner

# About five seconds of one core, which is what the programs of one number of networks take.
_FLOPS_OF_COMPILING = 6e10

History = dict[str, dict[str, np.ndarray]]


class Result(NamedTuple):
    """What a trial has reached after some epochs.

    Attributes:
        epochs: epochs that it has trained for in all.
        values: the metric by which trials are compared, of each seed, `(seeds,)`.
        losses: the validation loss of each seed.
    """

    epochs: int
    values: Float[np.ndarray, " seeds"]
    losses: Float[np.ndarray, " seeds"]

    @property
    def diverged(self) -> bool:
        """Whether the loss of a seed is not finite."""
        return not np.isfinite(self.losses).all()

    def score(self, score: Score) -> float:
        """The mean over the seeds, of which the largest is the best; NaN after a divergence."""
        mean = float(self.values.mean(dtype=np.float64))
        return np.nan if self.diverged else mean if score.is_larger_better else -mean

    @property
    def tie(self) -> float:
        """By what equal scores are ordered."""
        return -float(self.losses.mean(dtype=np.float64))


class Trained(NamedTuple):
    """A group of trials after a training.

    Attributes:
        group: its members with their new states.
        result: of the training.
        config: options that the trials have in common.
    """

    group: Group
    result: TrainResult
    config: Any


_ONE_DEVICE = Placement()


class Trials:
    """Trials and their networks, `trial * num_seeds + seed` being the index of a member.

    Args:
        task: the data, and what is trained on them.
        configs: the options of each trial.
        traced: options that may be traced.
        keys: the key of each network, `(trials, seeds)`.
        brackets: how long they train, by which it is decided which hidden sizes share a program.
        placement: of the networks on devices.
    """

    def __init__(
        self,
        task: Task,
        configs: Sequence[Any],
        traced: Collection[str],
        keys: jax.Array,
        brackets: Sequence[Bracket],
        placement: Placement = _ONE_DEVICE,
    ) -> None:
        self._placement = placement
        self.task, self.configs = task, list(configs)
        self.num_seeds = keys.shape[1]
        num_epochs, num_rungs = mean_training(brackets)
        shared = pad_hidden_sizes(
            shared_configs(self.configs, traced),
            lambda config: self._cost(config, num_epochs),
            num_rungs * _FLOPS_OF_COMPILING,
        )
        self._padded = {trial for trial, each in enumerate(shared) if SIZES in each.numbers}
        # A number that is None decides the program, as all that is not traced.
        members = [
            {"config": each.config, **{name: each.numbers.get(name) for name in (*traced, SIZES)}}
            for each in shared
            for _ in range(keys.shape[1])
        ]
        # Each group is built here, so that a mistake is found before anything is written.
        self.groups = training.init_population(self._build, members, keys.ravel()).groups
        self._configs = [shared[self.trials_of(group)[0]].config for group in self.groups]
        self._evaluate = [task.evaluate(config) for config in self._configs]
        self.histories: list[list[History]] = [[] for _ in self.configs]
        self.num_steps = self.num_filling_steps = 0
        # Of each group: the numbers of networks for which a program is compiled.
        self._sizes: list[set[int]] = [set() for _ in self.groups]

    @property
    def num_programs(self) -> int:
        """Programs that trained: one for each group and number of networks."""
        return sum(map(len, self._sizes))

    def num_steps_of(self, num_epochs: int) -> int:
        """Steps of all networks, each trained for all epochs."""
        sizes = (batch_size(config, self.task.num_train) for config in self.configs)
        steps = sum(self.task.num_train // size for size in sizes)
        return steps * num_epochs * self.num_seeds

    def trials_of(self, group: Group) -> list[int]:
        """The trials of a group, in its order."""
        return [int(index) // self.num_seeds for index in group.indices[:: self.num_seeds]]

    def size(self, index: int, num_networks: int, num_epochs: int) -> int:
        """With how many networks a group trains: more than there are, where that costs less than
        compiling another program.

        Survivors are gathered into a smaller program where it saves more. The number follows from
        the options alone, never from times, and so do all results.

        Args:
            index: the number of the group.
            num_networks: networks that are to be trained.
            num_epochs: epochs of the training.
        """
        leaves = jax.tree.leaves(self.groups[index].states.params)
        step = num_epochs * self._flops(math.prod(leaf.shape[1:]) for leaf in leaves)
        larger = [size for size in self._sizes[index] if size >= num_networks]
        if larger and (min(larger) - num_networks) * step <= _FLOPS_OF_COMPILING:
            return min(larger)
        self._sizes[index].add(num_networks)
        return num_networks

    def _flops(self, num_params: Iterable[int]) -> float:
        """About what an epoch of one network costs: 6 for each parameter and example."""
        return 6.0 * self.task.num_train * sum(num_params)

    def start(self, trials: Collection[int]) -> list[Group | None]:
        """The groups of some trials before they are trained; None where a group has none."""
        return [self.keep(group, trials) for group in self.groups]

    def keep(self, group: Group | None, trials: Collection[int]) -> Group | None:
        """The trials of a group that are kept, in a smaller batch."""
        if group is None:
            return None
        members = [int(index) // self.num_seeds in trials for index in group.indices]
        if all(members):
            return group
        return take_group(group, np.flatnonzero(members).tolist()) if any(members) else None

    def train(
        self,
        groups: Sequence[Group | None],
        stage: Callable[[int], RunDirectory],
        *,
        first: int,
        last: int,
    ) -> list[Trained | None]:
        """Train groups from one epoch to another.

        Args:
            groups: one for each of `self.groups`, or None.
            stage: the directory of the training of a group, by its number.
            first: epochs that the trials have trained for.
            last: epochs after the training.
        """
        return [
            None if group is None else self._train(index, group, stage(index), last - first)
            for index, group in enumerate(groups)
        ]

    def results(
        self, trained: Sequence[Trained | None], epochs: int, score: Score
    ) -> dict[int, Result]:
        """What the trials have reached, by their index."""
        results: dict[int, Result] = {}
        for each in trained:
            if each is None:
                continue
            history, best = each.result.history, each.result.best_epochs
            rows = np.maximum(best, 1) - 1, np.arange(len(best))
            values, losses = (
                history[name]["validation"][rows].reshape(-1, self.num_seeds)
                for name in (score.metric, "loss")
            )
            for position, trial in enumerate(self.trials_of(each.group)):
                results[trial] = Result(epochs, values[position], losses[position])
        return results

    def result_of(self, trained: Trained, members: Sequence[int], history: History) -> TrainResult:
        """The result of some members of a group, as of a training by themselves.

        Args:
            trained: the group.
            members: indices of the members in the population.
            history: their metrics in all epochs, `(epochs, members)` each.
        """
        where = {int(index): position for position, index in enumerate(trained.group.indices)}
        rows = np.array([where[member] for member in members])
        params, extra, states = _rows(
            (trained.result.params, trained.result.extra, trained.group.states), rows
        )
        trial = members[0] // self.num_seeds
        if trial in self._padded:
            sizes = self.configs[trial].model.hidden_dims
            params = jax.vmap(lambda params: jn.nn.unpad_mlp(params, sizes))(params)
        total = len(next(iter(history["loss"].values())))
        last = len(next(iter(trained.result.history["loss"].values())))
        epochs = trained.result.best_epochs[rows] + total - last
        sha256 = trained.result.state_sha256
        return TrainResult(params, extra, history, sha256, epochs, states)

    def _train(self, index: int, group: Group, directory: RunDirectory, num_epochs: int) -> Trained:
        config = self._configs[index]
        num_networks = len(group.indices)
        size = self.size(index, num_networks, num_epochs)
        # The first network fills the places that are left, and its copies are not looked at.
        places = np.pad(np.arange(num_networks), (0, size - num_networks))
        filled = group if size == num_networks else take_group(group, places.tolist())
        result = self._placement.train(
            directory,
            group.learner,
            filled.states,
            self.task.data,
            batches=batch_size(config, self.task.num_train),
            options=train_options(config, num_epochs=num_epochs, may_diverge=True),
            evaluate=self._evaluate[index],
        )
        history = _columns(result.history, slice(0, num_networks))
        result = result._replace(history=history, best_epochs=result.best_epochs[:num_networks])
        group = group._replace(states=result.states)
        if size != num_networks:
            group = take_group(group, range(num_networks))
        steps = num_epochs * (self.task.num_train // batch_size(config, self.task.num_train))
        self.num_steps += num_networks * steps
        self.num_filling_steps += (size - num_networks) * steps
        for position, trial in enumerate(self.trials_of(group)):
            start = position * self.num_seeds
            columns = slice(start, start + self.num_seeds)
            self.histories[trial].append(_columns(history, columns))
        return Trained(group, result, config)

    def _build(self, settings: Mapping[str, Any]) -> Learner:
        numbers = {
            name: value
            for name, value in settings.items()
            if name != "config" and value is not None
        }
        config = settings["config"]
        if SIZES in numbers:
            numbers[SIZES] = PaddedSizes(config.model.hidden_dims, numbers[SIZES])
        return self.task.learner(with_numbers(config, numbers))

    def _cost(self, config: Any, num_epochs: float) -> float:
        """About what the training of all networks of a trial costs."""
        states = jax.eval_shape(self.task.learner(config).init, jax.random.key(0))
        sizes = (math.prod(leaf.shape) for leaf in jax.tree.leaves(states.params))
        return num_epochs * self.num_seeds * self._flops(sizes)


def take_group(group: Group, places: Sequence[int]) -> Group:
    """Some networks of a group, in a smaller batch, or some more than once in a larger one."""
    indices = tuple(group.indices[place] for place in places)
    return group._replace(states=_rows(group.states, np.array(places)), indices=indices)


def joined(histories: Sequence[History]) -> History:
    """The metrics of trainings that followed one another, in one history.

    >>> one = {"loss": {"train": np.zeros((2, 3))}}
    >>> joined([one, one])["loss"]["train"].shape
    (4, 3)
    """
    return {
        name: {
            part: np.concatenate([history[name][part] for history in histories]) for part in parts
        }
        for name, parts in histories[0].items()
    }


def best_trials(results: dict[int, Result], num_best: int, score: Score) -> list[int]:
    """The best trials, from the best on; one that diverged is behind all others."""
    trials = list(results)
    scores = [results[trial].score(score) for trial in trials]
    ties = [results[trial].tie for trial in trials]
    return [trials[index] for index in search.best_of(scores, num_best, ties=ties)]


def are_finite(results: Sequence[Result]) -> Bool[np.ndarray, " trials"]:
    """Which results are those of trials that did not diverge."""
    return np.array([not result.diverged for result in results])


@jax.jit
def _rows(tree: Any, rows: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[rows], tree)


def _columns(history: History, columns: slice) -> History:
    return {
        name: {part: np.asarray(values)[:, columns] for part, values in parts.items()}
        for name, parts in history.items()
    }
