"""Data sets that are loaded by their names."""
