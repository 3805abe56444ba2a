"""Logs of users: who is not who they claim to be."""
