"""Search for the settings of an experiment."""
