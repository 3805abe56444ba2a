"""Training: what a learner is, the order of the examples, the pure run and the watched run."""
