"""Files of a clustering besides its result: clusters, figures, tables."""

import csv
import functools
import io

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.decomposition import PCA

import jaxnet as jn
from experiments.clustering.inputs import example_shape
from experiments.clustering.methods import Clustered
from experiments.data import Dataset
from experiments.report import figures
from experiments.report.drawing import draw_figure
from jaxnet.runs.directory import RunDirectory

_MAX_POINTS, _NUM_SHOWN, _NUM_WORDS, _NUM_TITLES, _NUM_NEIGHBORS = 3000, 8, 8, 3, 10


def write_clusters(directory: RunDirectory, clusters: np.ndarray) -> None:
    """Write `clusters.csv`: a row for each example, a column for each network.

    Args:
        directory: the run directory.
        clusters: `(networks, n)`.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["example", *(f"network_{index}" for index in range(len(clusters)))])
    writer.writerows([index, *row] for index, row in enumerate(clusters.T.tolist()))
    directory.write_text("clusters.csv", text.getvalue())


def draw(
    directory: RunDirectory,
    dataset: Dataset,
    history: dict[str, dict[str, np.ndarray]],
    before: Clustered | None,
    clustered: Clustered,
) -> dict[str, str]:
    """Save figures of the training and of the clusters of the first network.

    Args:
        directory: the run directory.
        dataset: the data.
        history: of the training of network and clusters; empty where there was none.
        before: the clusters with which that training began, or None.
        clustered: the clusters.
    """
    captions = {}
    if history:
        # The scores are those of all examples.
        called = {"train": "train", "validation": "all examples"}
        shown = {
            name: {called[part]: curve for part, curve in parts.items()}
            for name, parts in history.items()
        }
        captions |= draw_figure(
            directory,
            "learning_curves",
            "Training of network and clusters: mean and range over the networks. Labels only "
            "score.",
            lambda: figures.learning_curves(shown),
        )
    if dataset.is_image:
        captions |= draw_figure(
            directory,
            "clusters",
            "Clusters of the first network, a row each: the most typical members on the left, the "
            "least certain ones on the right.",
            lambda: figures.image_rows(_sheet(dataset, clustered)),
        )
    for name, result in (("codes_before", before), ("codes", clustered)):
        if result is None or result.codes[0].shape[1] < 2:
            continue
        chosen = np.random.default_rng(0).permutation(len(dataset.y))[:_MAX_POINTS]
        # Of thousands of words, exact components would take minutes.
        plane = PCA(2, random_state=0).fit(result.codes[0])
        points = plane.transform(result.codes[0][chosen])
        labels, names = dataset.y[chosen], dataset.class_names
        if not names:
            labels = result.clusters[0][chosen]
            names = tuple(str(number) for number in range(result.memberships.shape[1]))
        colored = "class" if dataset.class_names else "cluster"
        when = "before clusters were learned" if name == "codes_before" else "at the end"
        captions |= draw_figure(
            directory,
            name,
            f"Codes of the first network {when}, colored by {colored}.",
            functools.partial(figures.code_map, points, labels, names),
        )
    if dataset.class_names:
        table = jn.metrics.contingency_table(
            dataset.y,
            clustered.clusters[0],
            num_classes=dataset.num_classes,
            num_clusters=clustered.memberships.shape[1],
        )
        captions |= draw_figure(
            directory,
            "contingency",
            "Per cent of each class in each cluster of the first network.",
            lambda: figures.contingency_table(table, dataset.class_names),
        )
    return captions


def _sheet(dataset: Dataset, clustered: Clustered) -> dict[str, np.ndarray]:
    """For each cluster its most typical and its least certain images."""
    rows, blank = {}, np.zeros(dataset.x.shape[1:], np.float32)
    for number in range(clustered.memberships.shape[1]):
        members = _by_certainty(clustered, number)
        typical, uncertain = members[:_NUM_SHOWN], members[_NUM_SHOWN:][-_NUM_SHOWN:]
        images = [
            *(dataset.x[index] for index in typical),
            *[blank] * (_NUM_SHOWN - len(typical) + _NUM_SHOWN - len(uncertain)),
            *(dataset.x[index] for index in uncertain),
        ]
        rows[f"{number} ({len(members)})"] = np.stack(images)
    return rows


def _by_certainty(clustered: Clustered, number: int) -> np.ndarray:
    """The members of a cluster of the first network, the most certain ones first."""
    members = np.flatnonzero(clustered.clusters[0] == number)
    return members[np.argsort(-clustered.memberships[members, number], kind="stable")]


def tables(
    dataset: Dataset, x: np.ndarray, clustered: Clustered
) -> dict[str, list[tuple[str, ...]]]:
    """Features that mark each cluster of the first network, and titles of typical members.

    A feature marks a cluster where its mean there lies furthest above that of all examples, in
    standard deviations of all examples; for words of texts, whose deviations differ little, the
    plain difference. Images have none.

    Args:
        dataset: the data.
        x: the examples as they were clustered, `(n, features)`.
        clustered: the clusters.
    """
    if dataset.is_image:
        return {}
    feature_names = dataset.feature_names
    if dataset.is_series:
        num_steps, num_channels = example_shape(dataset.in_shape)
        feature_names = [
            f"{name} at {step / num_steps:.0%}"
            for step in range(num_steps)
            for name in feature_names or [f"channel {i}" for i in range(num_channels)]
        ]
    mean, deviation = x.mean(axis=0), 1 if dataset.titles else np.maximum(x.std(axis=0), 1e-6)
    header = ("cluster", "examples", "marked by", *(["typical"] if dataset.titles else []))
    rows: list[tuple[str, ...]] = [header]
    for number in range(clustered.memberships.shape[1]):
        members = _by_certainty(clustered, number)
        if not len(members):
            rows.append((str(number), "0", *[""] * (len(header) - 2)))
            continue
        surplus = (x[members].mean(axis=0) - mean) / deviation
        marks = np.argsort(-surplus, kind="stable")[:_NUM_WORDS]
        names = ", ".join(feature_names[index] for index in marks if surplus[index] > 0)
        row = [str(number), str(len(members)), names]
        if dataset.titles:
            row.append(" | ".join(dataset.titles[index] for index in members[:_NUM_TITLES]))
        rows.append(tuple(row))
    return {"Clusters": rows}


def draw_query(
    directory: RunDirectory, dataset: Dataset, x: np.ndarray, codes: np.ndarray, index: int
) -> dict[str, str]:
    """Save or print the nearest neighbors of an example, by its code and by its features.

    Args:
        directory: the run directory.
        dataset: the data.
        x: the examples, `(n, features)`.
        codes: their codes by the first network, `(n, code)`.
        index: the example.
    """
    nearest = {}
    for name, space in (("code", codes), ("pixels" if dataset.is_image else "features", x)):
        result = jn.neighbors.nearest_neighbors(
            jax.device_put(space[index : index + 1]),
            jax.device_put(space),
            min(_NUM_NEIGHBORS, len(x) - 1),
            exclude=jnp.array([index]),
        )
        nearest[name] = np.asarray(result.indices[0])
    for name, indices in nearest.items():
        print(f"nearest to example {index} by {name}:")
        for neighbor in indices:
            title = dataset.titles[neighbor] if dataset.titles else ""
            label = dataset.class_names[dataset.y[neighbor]] if dataset.class_names else ""
            print(f"  {neighbor:6}  {label}  {title}".rstrip())
    if not dataset.is_image:
        return {}
    rows = {name: dataset.x[[index, *indices]] for name, indices in nearest.items()}
    caption = f"Example {index} and its nearest neighbors, by its code and its pixels."
    return draw_figure(directory, "neighbors", caption, lambda: figures.image_rows(rows))
