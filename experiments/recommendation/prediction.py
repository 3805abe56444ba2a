"""Recommendations and ratings by the networks of a finished run."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.config import TableOptions
from experiments.data.interactions import Interactions
from experiments.data.logs import whole_cells
from experiments.data.tables.cells import clean_name, naming, require_column
from experiments.data.tables.table import read_cells
from experiments.model import stacked_shapes
from experiments.recommendation import peers
from experiments.recommendation.config import Config
from experiments.recommendation.models import RANKING, build_model
from experiments.recommendation.saving import load_interactions, load_params
from experiments.recommendation.splits import NOTHING, Split
from experiments.training import network_at
from jaxnet import recommendation

_UPPER = 0.7


def chosen(config: Config, interactions: Interactions) -> Interactions:
    """What a method learns from: all ratings, or for a ranking the items that count as chosen.

    Args:
        config: the options.
        interactions: the data.

    Raises:
        ValueError: hardly anything is chosen.
    """
    if not isinstance(config.method, RANKING):
        return interactions
    ratings, smallest = interactions.ratings, config.relevant_rating
    if ratings is None:
        return interactions
    if smallest is None:
        low, high = float(ratings.min()), float(ratings.max())
        smallest = low + _UPPER * (high - low)
    rows = np.flatnonzero(ratings >= smallest)
    of_users, users = np.unique(interactions.pairs[rows, 0], return_inverse=True)
    of_items, items = np.unique(interactions.pairs[rows, 1], return_inverse=True)
    if len(of_users) < 2 or len(of_items) < 2:
        raise ValueError(
            f"relevant_rating: {len(of_users)} users have chosen {len(of_items)} items with a "
            f"rating of at least {smallest:g}, expected at least 2 of both; use a smaller one"
        )
    times, folds, titles = interactions.times, interactions.folds, interactions.titles
    return dataclasses.replace(
        interactions,
        users=tuple(interactions.users[index] for index in of_users),
        items=tuple(interactions.items[index] for index in of_items),
        pairs=np.stack([users, items], axis=1).astype(np.int32),
        ratings=None,
        times=None if times is None else times[rows],
        folds=None if folds is None else folds[rows],
        titles=tuple(titles[index] for index in of_items) if titles else (),
    )


def predict(config: Any, options: Config) -> dict[str, np.ndarray]:
    """Recommend items for users, or predict the rows of a table.

    Args:
        config: of experiments.predict: the run, and users or a table.
        options: those of the run.

    Returns:
        Columns `(n,)`.

    Raises:
        ValueError: neither users nor a table, or both; a table without the columns of the run.
    """
    if (config.data is None) == (not config.user):
        raise ValueError(
            "user: a run of recommendation predicts for users (--user NAME) or for the pairs of a "
            "table (--data FILE); name one of the two"
        )
    predictor = _Predictor(options, config.run)
    if config.user:
        return predictor.recommend(config.user, config.top)
    table = TableOptions(missing=config.missing, encoding=config.encoding)
    return predictor.rate(config.data, table, carry=config.id)


class _Predictor:
    """The networks of a run, and the scores of all items for all users."""

    def __init__(self, options: Config, path: Path) -> None:
        self.options, self.everything = options, load_interactions(path)
        self.used = chosen(options, self.everything)
        whole = Split(np.zeros(len(self.used.pairs), np.int32), 0)
        model = build_model(options, self.used, whole)
        networks: list[Any] = [{}]
        if model.init is not None:
            init: Any = model.init
            states = stacked_shapes(lambda key: init(key, NOTHING), options.num_seeds)
            params = load_params(path, states.params)
            networks = [network_at(params, seed) for seed in range(options.num_seeds)]
        scores, data = jax.jit(model.scores), jax.tree.map(jnp.asarray, model.data)
        every = [np.asarray(scores(network, NOTHING, data)) for network in networks]
        self.scores = np.mean(every, axis=0)
        self.is_ranking = isinstance(options.method, RANKING)
        self.of_users = {name: index for index, name in enumerate(self.used.users)}
        self.of_items = {name: index for index, name in enumerate(self.used.items)}
        self.known = self.used.matrix(np.ones(len(self.used.pairs), bool), missing=False)
        if self.used.ratings is not None:
            ratings = self.used.matrix(self.used.ratings)
            self.mean, self.user_bias, self.item_bias = peers.damped_biases(ratings, self.known)
            low, high = self.used.ratings.min(), self.used.ratings.max()
            self.scores = np.clip(self.scores, low, high)

    def _cold(self) -> np.ndarray:
        """Scores of all items for a user of whom nothing is known."""
        if self.is_ranking:
            return self.known.sum(axis=0).astype(np.float32)
        return (self.mean + self.item_bias).astype(np.float32)

    def recommend(self, users: Sequence[str], top: int) -> dict[str, np.ndarray]:
        """The items with the highest scores that each user does not have."""
        rows: list[tuple[str, int, str, str, float, str]] = []
        everyone = {name: index for index, name in enumerate(self.everything.users)}
        names = np.array(self.everything.items, object)
        for user in users:
            note, index = "", self.of_users.get(user)
            scores = self._cold() if index is None else self.scores[index]
            if index is None:
                by = "the number of users who chose them" if self.is_ranking else "their ratings"
                note = f"user {user!r} is not known to the run: these are the best items by {by}"
                print(f"note: {note}", flush=True)
            own = self.everything.pairs[:, 0] == everyone.get(user, -1)
            seen = set(names[self.everything.pairs[own, 1]].tolist())
            excluded = np.array([item in seen for item in self.used.items])
            found = recommendation.top_items(
                jnp.asarray(scores), min(top, len(scores)), excluded=jnp.asarray(excluded)
            )
            for rank, (item, score) in enumerate(zip(*map(np.asarray, found), strict=True)):
                if item < 0:
                    break
                title = self.used.titles[item] if self.used.titles else ""
                rows.append((user, rank + 1, self.used.items[item], title, float(score), note))
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        keys = ("user", "rank", "item", "title", self._value, "note")
        table = dict(zip(keys, columns, strict=True))
        return {
            key: column
            for key, column in table.items()
            if key not in ("title", "note") or any(column)
        }

    @property
    def _value(self) -> str:
        return "score" if self.is_ranking else "rating"

    def rate(self, path: Path, table: TableOptions, carry: Sequence[str]) -> dict[str, np.ndarray]:
        """A rating or score for each row of a table with the columns of users and items."""
        options, cells = self.options, read_cells(path, table)
        with naming(path):
            named = {"user": clean_name(options.user), "item": clean_name(options.item)}
            for key, name in (*named.items(), *(("id", name) for name in carry)):
                require_column(key, name, cells.names)
            pairs = [whole_cells(cells.frame[name], table).to_list() for name in named.values()]
            carried = {name: np.array(cells.frame[name].to_list()) for name in carry}
        values, notes = [], []
        for user, item in zip(*pairs, strict=True):
            row, column = self.of_users.get(user), self.of_items.get(item)
            unknown = [
                f"{kind} {name!r} is not known"
                for kind, name, index in (("user", user, row), ("item", item, column))
                if index is None
            ]
            notes.append("; ".join(unknown))
            values.append(self._pair(row, column))
        predictions = {"user": np.array(pairs[0]), "item": np.array(pairs[1])}
        predictions[self._value] = np.array(values, np.float32)
        if any(notes):
            print(f"note: {sum(map(bool, notes))} rows hold users or items that are not known")
            predictions["note"] = np.array(notes)
        return carried | predictions

    def _pair(self, user: int | None, item: int | None) -> float:
        if user is not None and item is not None:
            return float(self.scores[user, item])
        if self.is_ranking:
            # Nothing chosen, or nobody who chose it.
            return float("nan") if item is None else float(self._cold()[item])
        bias = 0.0 if user is None else self.user_bias[user]
        return float(self.mean + bias + (0.0 if item is None else self.item_bias[item]))
