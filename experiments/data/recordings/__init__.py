"""Recordings of users: WAV files named by class, and the features that are computed of them."""
