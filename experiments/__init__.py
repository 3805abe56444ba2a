"""Runnable experiments: `python -m experiments.<name>`; docs/results.md lists what they reach."""
