"""Clustering of unlabelled examples."""
