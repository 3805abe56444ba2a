"""Benchmarks whose results are kept as JSON files: `python -m benchmarks.accelerator`."""
