"""How the trials of a sweep train: in rungs that keep the best, or as populations that evolve."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.sweep.config import Config
from experiments.sweep.settings import show_settings
from experiments.sweep.trials import Result, Trained, Trials, best_trials, joined
from experiments.task import Score
from experiments.training import seed_keys
from jaxnet import search
from jaxnet.runs import RunDirectory, TrainResult
from jaxnet.search import Bracket, Rung, Sample, Space
from jaxnet.training import TrainState, fold_in_name


class Outcome(NamedTuple):
    """What has become of all trials.

    Attributes:
        last: trial -> its last result.
        first: trial -> its result after its first rung, which is by chance the last one too.
        winner: the best of the trials that trained for all epochs.
        winners: of each seed, the trial whose network is the winner's.
        settings: of the winner; in population-based training those of its best seed.
        final: trial -> its settings at the end, of each seed `(seeds,)`; empty where they stay.
        trained: the networks of the winner.
        state_sha256: stage -> hash of its last state.
    """

    last: dict[int, Result]
    first: dict[int, Result]
    winner: int
    winners: list[int]
    settings: Sample
    final: dict[int, Sample]
    trained: TrainResult
    state_sha256: dict[str, str]


def brackets_of(config: Config, num_trials: int) -> tuple[Bracket, ...]:
    """The brackets of a sweep, whose resource is the number of epochs."""
    num_epochs = config.trial.num_epochs
    if config.strategy not in ("halving", "hyperband"):
        return ((Rung(num_trials, num_epochs),),)
    least = config.min_epochs or max(1, num_epochs // 16)
    if least > num_epochs:
        raise ValueError(
            f"min_epochs must not exceed the {num_epochs} epochs of a trial, found {least}; use "
            "fewer"
        )
    options = {"min_resource": least, "eta": config.eta}
    if config.strategy == "hyperband":
        return search.hyperband_until(num_trials, num_epochs, **options)
    return (search.successive_halving(num_trials, max_resource=num_epochs, **options),)


def run_brackets(
    trials: Trials,
    samples: Sequence[Sample],
    brackets: Sequence[Bracket],
    directory: RunDirectory,
    score: Score,
) -> Outcome:
    """Train trials in rungs, of which each keeps the best of the one before.

    Args:
        trials: the trials.
        samples: the settings of each.
        brackets: how many trials train for how many epochs.
        directory: the run directory; each rung of each group is a stage of it.
        score: by what trials are compared.

    Raises:
        FloatingPointError: all trials diverge.
    """
    log: list[dict[str, Any]] = []
    last: dict[int, Result] = {}
    first: dict[int, Result] = {}
    finals: dict[int, tuple[Result, Trained]] = {}
    hashes: dict[str, str] = {}
    begin = 0
    for number, bracket in enumerate(brackets):
        alive = list(range(begin, begin + bracket[0].num_trials))
        begin += len(alive)
        groups = trials.start(set(alive))
        used = 0
        for index, rung in enumerate(bracket):
            if index > 0:
                reached = {trial: last[trial] for trial in alive}
                alive = sorted(best_trials(reached, rung.num_trials, score))
            groups = [trials.keep(group, set(alive)) for group in groups]
            print(_title(number, index, len(brackets), len(bracket), rung, used), flush=True)
            prefix = f"bracket-{number}-rung-{index}"
            trained = trials.train(
                groups,
                lambda group, prefix=prefix: directory.stage(f"{prefix}-group-{group}"),
                first=used,
                last=rung.resource,
            )
            groups = [None if each is None else each.group for each in trained]
            results = trials.results(trained, rung.resource, score)
            last |= results
            first |= results if index == 0 else {}
            used = rung.resource
            hashes |= {
                f"{prefix}-group-{group}": each.result.state_sha256
                for group, each in enumerate(trained)
                if each is not None
            }
            log += [
                {"bracket": number, "rung": index}
                | _record(trial, results[trial], samples[trial], score)
                for trial in sorted(results)
            ]
            directory.write_log(log)
            [best] = best_trials(results, 1, score)
            print(_best(best, results[best], samples[best], score), flush=True)
            if index == len(bracket) - 1:
                finals |= {
                    trial: (results[trial], each)
                    for each in trained
                    if each is not None
                    for trial in trials.trials_of(each.group)
                }
    [winner] = best_trials({trial: result for trial, (result, _) in finals.items()}, 1, score)
    _require_finite(last[winner])
    members = [winner * trials.num_seeds + seed for seed in range(trials.num_seeds)]
    history = joined(trials.histories[winner])
    result = trials.result_of(finals[winner][1], members, history)
    winners = [winner] * trials.num_seeds
    return Outcome(last, first, winner, winners, samples[winner], {}, result, hashes)


def population_keys(config: Config, num_trials: int) -> jax.Array:
    """The key of each network, `(trials, seeds)`.

    A trial has the keys that the experiment has for its seeds, the same for all trials; members of
    a population, which copy each other, have different ones.
    """
    keys = seed_keys(config)
    if config.strategy != "pbt":
        return jnp.broadcast_to(keys, (num_trials, config.num_seeds))
    fold = jax.vmap(jax.vmap(jax.random.fold_in, (0, None)), (None, 0))
    return fold(keys, jnp.arange(num_trials))


def run_population(
    trials: Trials, config: Config, space: Space, directory: RunDirectory, score: Score
) -> Outcome:
    """Train one population for each seed; after each interval members copy better ones.

    Args:
        trials: the members; all are in one group.
        config: number of epochs, interval.
        space: real dimensions.
        directory: the run directory; each interval is a stage of it.
        score: by what members are compared.

    Raises:
        FloatingPointError: all members diverge.
    """
    [group] = trials.groups
    num_epochs, shape = config.trial.num_epochs, (len(trials.configs), trials.num_seeds)
    keys = jax.vmap(lambda key: fold_in_name(key, "population_based"))(seed_keys(config))
    log: list[dict[str, Any]] = []
    hashes: dict[str, str] = {}
    first: dict[int, Result] = {}
    sources = np.tile(np.arange(shape[0])[:, None], (1, shape[1]))
    evolve = jax.jit(functools.partial(_evolve, space=space, shape=shape))
    starts = range(0, num_epochs, config.interval)
    results, scores, trained = first, np.zeros(shape), None
    settings: dict[str, np.ndarray] = {}
    for index, start in enumerate(starts):
        end = min(start + config.interval, num_epochs)
        if trained is not None:
            at = jax.vmap(jax.random.fold_in, (0, None))(keys, index)
            states, chosen = evolve(trained.group.states, jnp.asarray(scores, jnp.float32), at)
            group, sources = group._replace(states=states), np.asarray(chosen)
            for history in trials.histories:
                del history[:]
        print(f"epochs {start + 1} to {end} of {num_epochs}: {shape[0]} members", flush=True)
        name = f"interval-{index}"
        [trained] = trials.train(
            [group], lambda _, name=name: directory.stage(name), first=start, last=end
        )
        assert trained is not None
        results = trials.results([trained], end, score)
        first = first or results
        hashes[name] = trained.result.state_sha256
        scores = _member_scores(results, score)
        settings = {
            name: np.asarray(values).reshape(shape)
            for name, values in trained.group.states.extra.settings.items()
            if name in space
        }
        log += [
            {"interval": index}
            | _record(
                trial, results[trial], {n: v[trial].tolist() for n, v in settings.items()}, score
            )
            | {"copy_of": sources[trial].tolist()}
            for trial in results
        ]
        directory.write_log(log)
    assert trained is not None
    ties = -np.stack([results[trial].losses for trial in results])
    winners = [search.best_of(scores[:, s], 1, ties=ties[:, s])[0] for s in range(shape[1])]
    best_scores = [scores[trial, seed] for seed, trial in enumerate(winners)]
    [best_seed] = search.best_of(best_scores, 1)
    winner = winners[best_seed]
    if np.isnan(best_scores).any():
        raise FloatingPointError(_ALL_DIVERGED)
    chosen = {name: float(values[winner, best_seed]) for name, values in settings.items()}
    members = [trial * shape[1] + seed for seed, trial in enumerate(winners)]
    history = {
        name: {
            part: np.stack(
                [trials.histories[t][-1][name][part][:, s] for s, t in enumerate(winners)], 1
            )
            for part in parts
        }
        for name, parts in trials.histories[winner][-1].items()
    }
    result = trials.result_of(trained, members, history)
    # The history is that of the last interval: before, a member may have been another one.
    result = result._replace(best_epochs=np.full(shape[1], num_epochs))
    final = {trial: {name: values[trial] for name, values in settings.items()} for trial in results}
    return Outcome(results, first, winner, winners, chosen, final, result, hashes)


_ALL_DIVERGED = (
    "all trials diverged: the loss on validation data is not finite; try smaller learning rates, "
    "or clip the gradients (clip_norm)"
)


def _require_finite(result: Result) -> None:
    if result.diverged:
        raise FloatingPointError(_ALL_DIVERGED)


def _evolve(
    states: TrainState, scores: jax.Array, keys: jax.Array, *, space: Space, shape: tuple[int, int]
) -> tuple[TrainState, jax.Array]:
    """Population-based training of each seed by itself, `(members, seeds)`."""
    apart = jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), states)
    step = functools.partial(search.exploit_and_explore, space=space)
    new, sources = jax.vmap(step, (1, 1, 0), (1, 1))(apart, scores, keys)
    together = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), new)
    return together, sources


def _member_scores(results: dict[int, Result], score: Score) -> np.ndarray:
    """Scores of single networks, `(members, seeds)`, NaN where one diverged."""
    values = np.stack([results[trial].values for trial in sorted(results)]).astype(np.float64)
    losses = np.stack([results[trial].losses for trial in sorted(results)])
    return np.where(np.isfinite(losses), values if score.is_larger_better else -values, np.nan)


def _record(trial: int, result: Result, settings: Sample, score: Score) -> dict[str, Any]:
    return {
        "trial": trial,
        "epochs": result.epochs,
        "settings": {name: _plain(value) for name, value in settings.items()},
        score.metric: result.values.tolist(),
        "loss": result.losses.tolist(),
        "diverged": result.diverged,
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _title(bracket: int, rung: int, brackets: int, rungs: int, at: Rung, used: int) -> str:
    where = f"bracket {bracket + 1}/{brackets}, " if brackets > 1 else ""
    where += f"rung {rung + 1}/{rungs}: " if rungs > 1 else ""
    return f"{where}{at.num_trials} trials, epochs {used + 1} to {at.resource}"


def _best(trial: int, result: Result, settings: Sample, score: Score) -> str:
    name = score.metric.replace("_", " ")
    return f"best trial {trial}: {name} {result.values.mean():.4f}, {show_settings(settings)}"
