"""Anomalies in time series."""
