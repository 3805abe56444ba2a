"""Reconstruction of inputs from codes."""
