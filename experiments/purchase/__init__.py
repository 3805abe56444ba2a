"""Buy or not: an ensemble of networks on a table with two classes, beside gradient boosting."""
