"""Anomalies in series and logs."""

from jaxnet.anomaly.events import (
    UNKNOWN_EVENT,
    block_scores,
    event_counts,
    event_surprise,
    event_tokens,
    event_vocabulary,
    next_event,
)

__all__ = [
    "UNKNOWN_EVENT",
    "block_scores",
    "event_counts",
    "event_surprise",
    "event_tokens",
    "event_vocabulary",
    "next_event",
]
