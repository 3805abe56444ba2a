"""Tables, figures and the file of trials of a sweep."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.command import finish, print_table, show, statistics
from experiments.report import figures
from experiments.report.drawing import draw_figure
from experiments.report.figures.style import display_name
from experiments.sweep.config import Config
from experiments.sweep.importance import marginal_importance
from experiments.sweep.settings import show_value
from experiments.sweep.strategies import Outcome
from experiments.sweep.trials import Result, best_trials
from experiments.task import Score
from jaxnet import search
from jaxnet.runs import RunDirectory
from jaxnet.search import Sample, Space

Rows = list[tuple[str, ...]]
_EXPECTED = "Expected best of n trials, on validation data"
# A forest that is fitted to fewer says nothing.
_FEWEST_FOR_IMPORTANCE = 8


class Report:
    """The report of a sweep.

    Args:
        config: the resolved options.
        space: the settings that were searched for.
        samples: the settings of each trial.
        outcome: what has become of them.
        score: by what trials are compared.
    """

    def __init__(
        self,
        config: Config,
        space: Space,
        samples: Sequence[Sample],
        outcome: Outcome,
        score: Score,
    ) -> None:
        self._config, self._space, self._samples = config, space, samples
        self._outcome, self._score = outcome, score
        self._evolves = config.strategy == "pbt"

    def finish(
        self,
        directory: RunDirectory,
        tested: Mapping[str, Any],
        cost: Mapping[str, Any],
        seconds: dict[str, float],
    ) -> dict[str, Any]:
        """Write the file of trials, figures, report and summary.

        Args:
            directory: the run directory.
            tested: the summary of the winner.
            cost: what the sweep has cost.
            seconds: of a `stopwatch`.

        Returns:
            The summary.
        """
        outcome, score, config = self._outcome, self._score, self._config
        write_trials(directory, self._samples, outcome, score)
        result = outcome.last[outcome.winner]
        tables: dict[str, Rows] = {"Winner": self._winner_table(result)}
        expected = None
        notes = [*tested["notes"], *self._notes()]
        if not self._evolves:
            tables[_EXPECTED], expected = expected_table(outcome, score)
            importance = importance_table(self._space, self._samples, outcome, score, config.seed)
            if importance is not None:
                tables["Importance of the settings, after the first rung"] = importance
        tables["Cost"] = [("item", "value"), *((k, show_value(v)) for k, v in cost.items())]
        tables["Trials"] = trial_table(self._samples, outcome, score)
        captions = draw(directory, self._space, self._samples, outcome, score, expected)
        for name in list(tables)[:-1]:
            print(f"\n{name}", end="")
            print_table(tables[name])
        carried = ("metrics", "params_sha256", "num_parameters", "num_examples", "data", "baseline")
        summary = {
            "title": f"Sweep of {config.trial.experiment} on {config.dataset}: the winner",
            **{name: tested[name] for name in carried},
            "notes": notes,
            "winner": {
                "trial": outcome.winner,
                "settings": {name: plain(value) for name, value in outcome.settings.items()},
                "networks": [int(trial) for trial in outcome.winners],
                "validation": {
                    score.metric: statistics(result.values),
                    "loss": statistics(result.losses),
                },
            },
            "state_sha256": outcome.state_sha256,
            "cost": dict(cost),
            "seconds": seconds,
            "tables": tables,
        }
        return finish(directory, config, summary, captions, tested["published"])

    def _winner_table(self, result: Result) -> Rows:
        rows: Rows = [("setting", "value")]
        rows += [(name, show_value(value)) for name, value in self._outcome.settings.items()]
        rows.append(("trial", str(self._outcome.winner)))
        name = f"validation {display_name(self._score.metric).lower()}"
        return [*rows, (name, show(statistics(result.values)))]

    def _notes(self) -> list[str]:
        """What a reader has to know about the winner."""
        notes, outcome = [], self._outcome
        failed = sum(result.diverged for result in outcome.last.values())
        if failed:
            notes.append(f"{failed} of {len(outcome.last)} trials diverged")
        for name, value in outcome.settings.items():
            dimension = self._space[name]
            position = dimension.position(value)
            if dimension.is_continuous and not 0.05 <= position <= 0.95:
                end = "smallest" if position < 0.5 else "largest"
                notes.append(
                    f"the winner has nearly the {end} {name} of its range, {show_value(value)}; a "
                    "wider range may hold a better one"
                )
        if self._evolves and self._config.num_seeds > 1:
            notes.append(
                "each seed is a population by itself, whose best member is a network of the "
                "winner; the settings are those of the best seed"
            )
        return notes


def plain(value: Any) -> Any:
    """A value as JSON holds it."""
    return list(value) if isinstance(value, tuple) else value


def write_trials(
    directory: RunDirectory, samples: Sequence[Sample], outcome: Outcome, score: Score
) -> None:
    """Write `trials.csv`, a row for each network: settings, epochs, its last validation results.

    Args:
        directory: the run directory.
        samples: the settings of each trial.
        outcome: what has become of them.
        score: by what trials are compared.
    """
    file = io.StringIO()
    names = list(samples[0])
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["trial", "seed", *names, "epochs", score.metric, "loss", "diverged", "winner"])
    for trial, result in sorted(outcome.last.items()):
        final = outcome.final.get(trial, {})
        for seed, (value, loss) in enumerate(zip(result.values, result.losses, strict=True)):
            settings = {name: samples[trial][name] for name in names}
            settings |= {name: float(values[seed]) for name, values in final.items()}
            row = [trial, seed, *map(show_exactly, settings.values()), result.epochs]
            row += [float(value), float(loss), not np.isfinite(loss)]
            writer.writerow([*row, outcome.winners[seed] == trial])
    directory.write_text("trials.csv", file.getvalue())


def show_exactly(value: Any) -> str:
    """A value as text that gives it back.

    >>> show_exactly(0.1), show_exactly((32, 8))
    ('0.1', '[32,8]')
    """
    return repr(value) if isinstance(value, float) else show_value(value)


def trial_table(samples: Sequence[Sample], outcome: Outcome, score: Score) -> Rows:
    """The trials from the best on, those with more epochs first."""
    rows: Rows = [("trial", *samples[0], "epochs", display_name(score.metric).lower(), "loss")]
    order: list[int] = []
    for epochs in sorted({result.epochs for result in outcome.last.values()}, reverse=True):
        those = {t: result for t, result in outcome.last.items() if result.epochs == epochs}
        order += best_trials(those, len(those), score)
    for trial in order:
        result = outcome.last[trial]
        shown = samples[trial] | {
            name: statistics(values)["mean"]
            for name, values in outcome.final.get(trial, {}).items()
        }
        settings = (show_value(value) for value in shown.values())
        numbers = ("diverged", "") if result.diverged else _shown(result)
        rows.append((str(trial), *settings, str(result.epochs), *numbers))
    return rows


def finite_scores(results: Mapping[int, Result], score: Score) -> np.ndarray | None:
    """The scores of trials in their order, those that diverged at the worst of the others.

    Returns:
        None where all diverged.
    """
    values = np.array([results[trial].score(score) for trial in sorted(results)])
    if np.isnan(values).all():
        return None
    return np.where(np.isnan(values), np.nanmin(values), values)


class Expected(NamedTuple):
    """The expected best of n trials on validation data.

    Attributes:
        mean: for n = 1, 2, ...
        std: of the best of n.
        limits: the smallest and the largest result.
    """

    mean: np.ndarray
    std: np.ndarray
    limits: tuple[float, float]


def expected_table(outcome: Outcome, score: Score) -> tuple[Rows, Expected]:
    """The expected best of n trials as rows, for some n, and for all."""
    values = finite_scores(outcome.last, score)
    assert values is not None
    mean, std = search.expected_maximum(values)
    sign = 1 if score.is_larger_better else -1
    mean, values = sign * mean, sign * values
    name = display_name(score.metric).lower()
    rows: Rows = [("trials", f"expected best {name}", "standard deviation")]
    numbers = sorted({min(2**power, len(mean)) for power in range(len(mean).bit_length() + 1)})
    rows += [(str(n), f"{mean[n - 1]:.4f}", f"{std[n - 1]:.4f}") for n in numbers]
    return rows, Expected(mean, std, (float(values.min()), float(values.max())))


def importance_table(
    space: Space, samples: Sequence[Sample], outcome: Outcome, score: Score, seed: int
) -> Rows | None:
    """How much each setting matters, of the results after the first rung; None for few trials.

    Where first rungs have different numbers of epochs, these are one more setting.
    """
    trials = sorted(outcome.first)
    scores = finite_scores(outcome.first, score)
    if scores is None or len(trials) < _FEWEST_FOR_IMPORTANCE:
        return None
    points = search.positions(space, [samples[trial] for trial in trials])
    names = [*space]
    epochs = np.array([outcome.first[trial].epochs for trial in trials], np.float64)
    if len(set(epochs)) > 1:
        points, names = np.column_stack([points, epochs / epochs.max()]), [*names, "epochs"]
    fractions = marginal_importance(points, scores, seed=seed)
    if not len(fractions):
        return None
    mean, std = fractions.mean(axis=0), fractions.std(axis=0)
    order = np.argsort(-mean, kind="stable")
    rows: Rows = [("setting", "fraction of the variance", "over trees")]
    rows += [(names[index], f"{mean[index]:.3f}", f"± {std[index]:.3f}") for index in order]
    rest = max(0.0, 1 - mean.sum())
    return [*rows, ("interactions, and what is left", f"{rest:.3f}", "")]


def draw(
    directory: RunDirectory,
    space: Space,
    samples: Sequence[Sample],
    outcome: Outcome,
    score: Score,
    expected: Expected | None,
) -> dict[str, str]:
    """Draw the figures; returns their captions."""
    captions: dict[str, str] = {}
    name = display_name(score.metric)
    if expected is not None:
        captions |= draw_figure(
            directory,
            "expected_best",
            f"{name} on validation data of the best of n trials: mean and standard deviation over "
            "draws of n from all trials.",
            lambda: figures.expected_best(*expected, name),
        )
    trials = [trial for trial in sorted(outcome.last) if not outcome.last[trial].diverged]
    values = np.array([outcome.last[trial].values.mean() for trial in trials])
    epochs = np.array([outcome.last[trial].epochs for trial in trials])
    failed = [samples[trial] for trial in sorted(set(outcome.last) - set(trials))]
    if outcome.final:
        # Settings that change have no place on an axis.
        return captions
    captions |= draw_figure(
        directory,
        "settings",
        f"{name} on validation data of each trial, by each setting; the darker, the more epochs. "
        "The winner is marked; trials that diverged are crosses at the bottom.",
        lambda: figures.setting_scatter(
            {setting: _axis(space[setting]) for setting in space},
            [samples[trial] for trial in trials],
            values,
            epochs,
            trials.index(outcome.winner),
            failed,
            name,
        ),
    )
    return captions


def _axis(dimension: search.Dimension) -> "figures.SettingAxis":
    choices = tuple(show_value(value) for value in dimension.choices)
    return figures.SettingAxis(choices, dimension.choices, dimension.kind == "log_uniform")


def _shown(result: Result) -> tuple[str, str]:
    return show(statistics(result.values)), show(statistics(result.losses))
