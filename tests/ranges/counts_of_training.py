"""Arguments of metrics and of training that are counts."""

import jax.numpy as jnp

from jaxnet import metrics, objectives, training
from jaxnet.training.hooks import schedule_hooks
from tests.ranges.calls import (
    BEST,
    DATA,
    KEY,
    LABELS,
    POPULATION,
    STATE,
    STEPS,
    TRIVIAL,
    X,
    identity,
    spread,
    traced,
    trivial,
    zero,
)

LOSS = jnp.zeros(())

# (function, argument) -> (call, a number inside the range, a number outside).
COUNTS = {
    (objectives.with_loss_scale, "growth_interval"): (
        spread(objectives.with_loss_scale, "growth_interval", zero),
        2,
        0,
    ),
    (metrics.confusion_matrix, "num_classes"): (
        traced(metrics.confusion_matrix, "num_classes", LABELS, LABELS),
        2,
        0,
    ),
    (metrics.contingency_table, "num_classes"): (
        spread(metrics.contingency_table, "num_classes", [0, 1], [0, 1], num_clusters=2),
        2,
        0,
    ),
    (metrics.contingency_table, "num_clusters"): (
        spread(metrics.contingency_table, "num_clusters", [0, 1], [0, 1], num_classes=2),
        2,
        0,
    ),
    (metrics.expected_calibration_error, "num_bins"): (
        traced(metrics.expected_calibration_error, "num_bins", X, LABELS),
        2,
        0,
    ),
    (metrics.silhouette_samples, "num_clusters"): (
        traced(metrics.silhouette_samples, "num_clusters", X, LABELS),
        2,
        0,
    ),
    (metrics.silhouette_samples, "block_size"): (
        traced(metrics.silhouette_samples, "block_size", X, LABELS, num_clusters=2),
        2,
        0,
    ),
    (metrics.silhouette_score, "num_clusters"): (
        traced(metrics.silhouette_score, "num_clusters", X, LABELS),
        2,
        0,
    ),
    (metrics.silhouette_score, "block_size"): (
        traced(metrics.silhouette_score, "block_size", X, LABELS, num_clusters=2),
        2,
        0,
    ),
    (metrics.top_k_accuracy, "k"): (traced(metrics.top_k_accuracy, "k", X, LABELS), 2, 0),
    (training.fit, "num_epochs"): (
        traced(training.fit, "num_epochs", TRIVIAL, KEY, DATA, batch_size=2),
        2,
        0,
    ),
    (training.fit, "batch_size"): (
        traced(training.fit, "batch_size", TRIVIAL, KEY, DATA, num_epochs=1),
        2,
        0,
    ),
    (training.fit_stages, "num_epochs"): (
        traced(
            training.fit_stages,
            "num_epochs",
            [training.Stage("one", trivial)],
            KEY,
            DATA,
            batch_size=2,
        ),
        2,
        0,
    ),
    (training.fit_stages, "batch_size"): (
        traced(
            training.fit_stages,
            "batch_size",
            [training.Stage("one", trivial)],
            KEY,
            DATA,
            num_epochs=1,
        ),
        2,
        0,
    ),
    (training.epochs, "batch_size"): (
        spread(training.epochs, "batch_size", TRIVIAL, STATE, DATA),
        2,
        0,
    ),
    (training.begin_epoch, "batch_size"): (
        spread(training.begin_epoch, "batch_size", TRIVIAL, STATE, DATA),
        2,
        0,
    ),
    (training.advance, "num_steps"): (
        spread(training.advance, "num_steps", TRIVIAL, STATE, STEPS, DATA, batch_size=2),
        2,
        0,
    ),
    (training.advance, "batch_size"): (
        spread(training.advance, "batch_size", TRIVIAL, STATE, STEPS, DATA, num_steps=1),
        2,
        0,
    ),
    (training.run_epoch, "batch_size"): (
        traced(training.run_epoch, "batch_size", TRIVIAL, STATE, DATA),
        2,
        0,
    ),
    (training.run_steps, "start"): (
        traced(
            training.run_steps,
            "start",
            TRIVIAL,
            STATE,
            STEPS,
            DATA,
            batches=training.shuffled(2),
            stop=2,
        ),
        1,
        -1,
    ),
    (training.run_steps, "stop"): (
        traced(
            training.run_steps,
            "stop",
            TRIVIAL,
            STATE,
            STEPS,
            DATA,
            batches=training.shuffled(2),
            start=0,
        ),
        2,
        0,
    ),
    (training.shuffled, "order_seed"): (spread(training.shuffled, "order_seed", 2), 2, -1),
    (training.fit_population, "num_epochs"): (
        spread(training.fit_population, "num_epochs", POPULATION, DATA, batch_size=2),
        2,
        0,
    ),
    (training.fit_population, "batch_size"): (
        spread(training.fit_population, "batch_size", POPULATION, DATA, num_epochs=1),
        2,
        0,
    ),
    (training.fit_population, "chunk_size"): (
        spread(training.fit_population, "chunk_size", POPULATION, DATA, num_epochs=1, batch_size=2),
        2,
        0,
    ),
    (training.select_ensemble, "size"): (
        traced(training.select_ensemble, "size", X, jnp.sum),
        2,
        0,
    ),
    (training.data_parallel, "min_size"): (
        spread(training.data_parallel, "min_size", TRIVIAL, training.device_mesh()),
        2,
        0,
    ),
    (training.shard_state, "min_size"): (
        spread(training.shard_state, "min_size", STATE, training.device_mesh()),
        2,
        0,
    ),
    (training.shuffled, "batch_size"): (spread(training.shuffled, "batch_size"), 2, 0),
    (training.shuffled, "num_shards"): (spread(training.shuffled, "num_shards", 2), 2, 0),
    (training.index_shuffled, "batch_size"): (
        spread(training.index_shuffled, "batch_size", blocks=3),
        2,
        0,
    ),
    (training.index_shuffled, "blocks"): (spread(training.index_shuffled, "blocks", 2), 2, 0),
    (training.index_shuffled, "window"): (
        spread(training.index_shuffled, "window", 2, blocks=3),
        2,
        0,
    ),
    (training.permute_indices, "length"): (
        traced(training.permute_indices, "length", KEY, LABELS),
        2,
        0,
    ),
    (training.in_order, "batch_size"): (spread(training.in_order, "batch_size"), 2, 0),
    (training.in_order, "length"): (spread(training.in_order, "length", 2), 2, 0),
    (training.balanced, "batch_size"): (
        spread(training.balanced, "batch_size", num_classes=2),
        2,
        0,
    ),
    (training.balanced, "num_classes"): (spread(training.balanced, "num_classes", 2), 2, 0),
    (training.device_mesh, "run"): (spread(training.device_mesh, "run"), 1, 0),
    (training.device_mesh, "data"): (spread(training.device_mesh, "data"), 1, 0),
    (training.keep_best, "epoch"): (
        traced(training.keep_best, "epoch", BEST, {}, LOSS, patience=1),
        2,
        0,
    ),
    (training.keep_best, "patience"): (
        traced(training.keep_best, "patience", BEST, {}, LOSS, 1),
        2,
        0,
    ),
    (training.out_of_patience, "epoch"): (
        traced(training.out_of_patience, "epoch", BEST, patience=1),
        2,
        -1,
    ),
    (training.out_of_patience, "patience"): (
        spread(training.out_of_patience, "patience", BEST, 1),
        2,
        0,
    ),
    (training.evaluate, "batch_size"): (
        lambda value: training.evaluate(lambda p, b, k: (0.0, {}), {}, {"x": X}, batch_size=value),
        2,
        0,
    ),
    (training.predict, "batch_size"): (
        traced(training.predict, "batch_size", identity, {}, X),
        2,
        0,
    ),
    (training.per_run, "batch_size"): (lambda value: training.per_run(value), 2, 0),
    (training.HostData, "steps_per_epoch"): (
        spread(training.HostData, "steps_per_epoch", iter),
        2,
        0,
    ),
    (training.HostData, "prefetch"): (
        spread(training.HostData, "prefetch", iter, 1),
        2,
        -1,
    ),
    (training.HostData, "steps_per_item"): (
        spread(training.HostData, "steps_per_item", iter, 1),
        2,
        -1,
    ),
    (training.fit, "every"): (
        lambda value: schedule_hooks([(value, identity)]),
        2,
        0,
    ),
    (training.fit, "first"): (
        lambda value: schedule_hooks([(1, identity, value)]),
        2,
        -1,
    ),
}
