"""Optimizers by name, and learning-rate schedules."""

from jaxnet.optim.registry import (
    allows_padding,
    default_learning_rate,
    kernel_mask,
    needs_key,
    optimizer,
    optimizer_names,
    takes_schedule,
)
from jaxnet.optim.schedules import schedule, schedule_names
from jaxnet.optim.selection import select_optimizer

__all__ = [
    "allows_padding",
    "default_learning_rate",
    "kernel_mask",
    "needs_key",
    "optimizer",
    "optimizer_names",
    "schedule",
    "schedule_names",
    "select_optimizer",
    "takes_schedule",
]
