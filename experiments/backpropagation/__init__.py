"""Backpropagation worked by hand."""
