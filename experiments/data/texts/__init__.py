"""Texts as sequences of tokens, and a user's table with a column of texts."""
