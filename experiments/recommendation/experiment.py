"""Recommendation: the ratings of users, or the items that they may choose next.

    python -m experiments.recommendation                       # ratings, matrix factorization
    python -m experiments.recommendation ease                  # rankings
    python -m experiments.recommendation mult_vae --data FILE --user who --item what --rating stars
    python -m experiments.predict runs/recommendation-... --user 42 --top 10

Methods that predict ratings are factorization, item_autorec, user_autorec and rbm: RMSE and MAE of
the ratings that are held out, cut to the range of the known ones, beside biases (Koren 2010) and
the 40 nearest items. Those that rank items are ease and mult_vae: NDCG@10 and Recall@20 among all
items that the user is not known to have chosen, beside popularity and the cosines of items. Each
metric is the mean over the parts that are held out, for each seed.

All networks train in one program: for each seed one without each part, which is tested on it, and
one on all data, which recommends. The default data set, MovieLens latest-small, is a development
set whose authors do not want it in published comparisons; its licence allows research, and no
commercial use. Results: docs/results.md.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxnet as jn
from experiments.command import finish, statistics, stopwatch
from experiments.data.interactions import Interactions, load_user_interactions
from experiments.data.named.generated_ratings import generate_ratings
from experiments.data.named.movielens import (
    NAME,
    is_movielens_100k,
    load_latest_small,
    load_movielens_100k,
)
from experiments.memory import memory_limit, show_bytes
from experiments.model import num_parameters, stacked_sha256
from experiments.placement import place
from experiments.prepare import load_checked
from experiments.recommendation.config import Config
from experiments.recommendation.evaluation import (
    compare_with_peers,
    evaluate_parts,
    test_table,
)
from experiments.recommendation.figures import draw
from experiments.recommendation.models import (
    RANKING,
    Model,
    build_model,
    examples_in_batch,
)
from experiments.recommendation.prediction import chosen, predict
from experiments.recommendation.recipes import recipe
from experiments.recommendation.saving import save
from experiments.recommendation.splits import NOTHING, Split, split_interactions
from experiments.training import (
    network_at,
    open_directory,
    seed_keys,
    train_options,
)

__all__ = ["Config", "facts", "load_data", "predict", "recipe", "run"]


def facts(given: object) -> None:
    """Nothing of the data decides the defaults."""


def load_data(config: Config) -> Interactions:
    """The interactions of a config.

    Raises:
        ValueError: there is no such data set, or the file cannot be used.
        FileNotFoundError: there is no such file.
    """
    if config.data is not None:
        if is_movielens_100k(config.data):
            return load_movielens_100k(config.data)
        return load_user_interactions(
            config.data,
            user=config.user,
            item=config.item,
            rating=config.rating,
            time=config.time,
            options=config,
        )
    if config.dataset == "generated":
        return generate_ratings()
    if config.dataset == NAME:
        return load_latest_small(config.data_dir)
    raise ValueError(
        f"unknown data set {config.dataset!r} of interactions; known: {NAME}, generated"
    )


def check(config: Config, interactions: Interactions) -> None:
    """Check that the method fits the data.

    Raises:
        ValueError: ratings are needed and there are none, more memory than there is, a precision
            other than float32.
    """
    if config.precision != "float32":
        raise ValueError(
            f"precision {config.precision} is not for recommendation, whose networks are small; "
            "leave it out"
        )
    name = config.method.name
    if interactions.ratings is None and not isinstance(config.method, RANKING):
        raise ValueError(
            f"method {name} predicts ratings, which the data do not have; name their column with "
            "--rating, or rank the items that were chosen with ease or mult_vae"
        )
    num_users, num_items = len(interactions.users), len(interactions.items)
    # Ratings, codes and scores of all pairs, and the matrices of EASE.
    needed = 12 * num_users * num_items + (16 * num_items**2 if name == "ease" else 0)
    if needed > memory_limit():
        raise ValueError(
            f"{num_users} users and {num_items} items need {show_bytes(needed)} for matrices of "
            f"all pairs, and {show_bytes(memory_limit())} are there; use fewer items, such as "
            "those with at least 5 interactions"
        )


def run(config: Config) -> dict[str, Any]:
    """Predict each part from the others, and train what recommends on all.

    Args:
        config: the options.

    Returns:
        The summary, as it is written to `summary.json`.

    Raises:
        ValueError: a mistake in the options or the data, before anything is written.
        FloatingPointError: a training that diverges.
    """
    config, everything = load_checked(config, load_data, check)
    interactions = chosen(config, everything)
    split = split_interactions(config, interactions)
    model = build_model(config, interactions, split)
    parts = [*range(split.num_parts), NOTHING]
    sizes = []
    if model.init is not None:
        _check_memory(config, model, len(parts))
        sizes = [examples_in_batch(config, len(next(iter(model.data.values()))))]
    config, placement = place(config, config.num_seeds * len(parts), sizes)
    with open_directory(config, everything.sha256) as directory, placement.context():
        with stopwatch() as seconds:
            params, state_sha256, history = {}, None, None
            if model.init is not None and model.step is not None:
                trained = placement.train(
                    directory,
                    jn.Learner(lambda key: model.init(key, NOTHING), model.step),  # pyright: ignore[reportOptionalCall]
                    _first_states(config, model, parts),
                    model.data,
                    batches=sizes[0],
                    options=train_options(config),
                )
                params, state_sha256, history = (
                    trained.params,
                    trained.state_sha256,
                    trained.history,
                )
            tested = evaluate_parts(config, interactions, split, _scores(model, params, len(parts)))
        final = network_at(params, np.arange(config.num_seeds) * len(parts) + len(parts) - 1)
        save(directory, everything, final)
        name, is_ranking = config.method.name, isinstance(config.method, RANKING)
        num_items = len(interactions.items) if is_ranking else None
        captions = draw(directory, history, tested, name, num_items)
        first_peer = next(peer for peer in tested.metrics if peer != "method")
        summary = {
            "title": f"{'Ranking' if is_ranking else 'Ratings'} on {config.dataset}: {name}",
            "metrics": {
                metric: statistics(values) for metric, values in tested.metrics["method"].items()
            },
            "baseline": {
                "name": first_peer,
                "metrics": {
                    metric: float(values.mean())
                    for metric, values in tested.metrics[first_peer].items()
                },
            },
            "tables": {_heading(config, split): test_table(tested, name)},
            "data": _sizes(everything, interactions, is_ranking),
            "num_examples": {"all": len(interactions.pairs)},
            "num_parameters": num_parameters(params),
            "params_sha256": stacked_sha256(params) if params else [],
            "state_sha256": state_sha256,
            "seconds": seconds,
            "notes": [*tested.notes, *compare_with_peers(tested)],
        }
        return finish(directory, config, summary, captions)


def _first_states(config: Config, model: Model, parts: list[int]) -> jn.TrainState:
    """One network for each seed and part; those of one seed start from the same key."""
    keys = jnp.repeat(seed_keys(config), len(parts))
    init: Any = model.init
    return jax.jit(jax.vmap(init))(keys, np.tile(np.array(parts, np.int32), config.num_seeds))


def _scores(model: Model, params: Any, num_networks: int) -> Any:
    """`(seed, part) -> scores` of the network that was trained without the part."""
    compiled = jax.jit(model.scores)
    data = jax.tree.map(jnp.asarray, model.data)

    def scores(seed: int, part: int) -> np.ndarray:
        network = network_at(params, seed * num_networks + part) if params else {}
        return np.asarray(compiled(network, part, data))

    return scores


def _check_memory(config: Config, model: Model, num_parts: int) -> None:
    init: Any = model.init
    state = jax.eval_shape(init, jax.random.key(0), 0)
    sizes = [leaf.size for leaf in itertools.chain(*map(jax.tree.leaves, state[:3]))]
    needed = 4 * sum(sizes) * config.num_seeds * num_parts
    if needed > memory_limit():
        raise ValueError(
            f"num_seeds {config.num_seeds}: {config.num_seeds * num_parts} networks need "
            f"{show_bytes(needed)}, and {show_bytes(memory_limit())} are there; use fewer seeds, "
            "or smaller layers"
        )


def _heading(config: Config, split: Split) -> str:
    if config.split == "random":
        return f"{split.num_parts}-fold cross-validation"
    return {"time": "Last rows", "last": "Last row of each user"}[config.split]


def _sizes(everything: Interactions, used: Interactions, is_ranking: bool) -> dict[str, Any]:
    sizes: dict[str, Any] = {
        "users": len(everything.users),
        "items": len(everything.items),
        "rows": len(everything.pairs),
    }
    if everything.ratings is not None:
        sizes["ratings"] = f"{everything.ratings.min():g} to {everything.ratings.max():g}"
        if is_ranking:
            sizes["rows that count as chosen"] = len(used.pairs)
            sizes["items that were chosen"] = len(used.items)
    if everything.notes:
        sizes["as read from the file"] = "; ".join(everything.notes)
    return sizes
