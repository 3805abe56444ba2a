"""Default networks for tables beside scikit-learn's classifiers."""
