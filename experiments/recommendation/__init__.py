"""Recommendation: ratings and rankings of items for users."""
