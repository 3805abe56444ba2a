"""Figures of a run and its report."""
