"""Optimizers by name, and learning-rate schedules."""

from jaxnet.optim.registry import (
    default_learning_rate,
    kernel_mask,
    needs_key,
    optimizer,
    optimizer_names,
    takes_schedule,
)
from jaxnet.optim.schedules import schedule, schedule_names

__all__ = [
    "default_learning_rate",
    "kernel_mask",
    "needs_key",
    "optimizer",
    "optimizer_names",
    "schedule",
    "schedule_names",
    "takes_schedule",
]
