"""Classification of labelled examples."""
