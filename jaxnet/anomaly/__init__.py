"""Anomalies in time series and logs: scores of time steps, online learning, next-event models.

A score is one number for each time step, higher where the step is more unusual. How scores of
windows become scores of steps is said where they are made: `overlap_mean` averages over all windows
that contain a step, which looks ahead by up to a window; `step_scores(..., reduce="last")` does not
look ahead. Metrics of scores are in `jaxnet.metrics`: `nab_score`, `vus_pr`, `vus_roc`,
`average_precision`, `hits_at_false_alarms`. None of them adjusts points.

>>> import jax.numpy as jnp
>>> from jaxnet import anomaly
>>> series = jnp.sin(jnp.arange(200) * 2 * jnp.pi / 25).at[120:125].set(0.0)
>>> scores = anomaly.distance_scores(series, 12)
>>> scores.shape, 115 <= int(scores.argmax()) < 130
((200,), True)
"""

from jaxnet.anomaly.events import (
    UNKNOWN_EVENT,
    block_scores,
    event_counts,
    event_surprise,
    event_tokens,
    event_vocabulary,
    next_event,
)
from jaxnet.anomaly.likelihood import anomaly_likelihood, rolling_moments
from jaxnet.anomaly.novelty import novelty_scores
from jaxnet.anomaly.online import learn_online
from jaxnet.anomaly.scores import distance_scores, forecast_scores, reconstruction_scores
from jaxnet.anomaly.sliding import overlap_mean, step_scores, windows

__all__ = [
    "UNKNOWN_EVENT",
    "anomaly_likelihood",
    "block_scores",
    "distance_scores",
    "event_counts",
    "event_surprise",
    "event_tokens",
    "event_vocabulary",
    "forecast_scores",
    "learn_online",
    "next_event",
    "novelty_scores",
    "overlap_mean",
    "reconstruction_scores",
    "rolling_moments",
    "step_scores",
    "windows",
]
