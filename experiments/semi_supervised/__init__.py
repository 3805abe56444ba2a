"""Labels first, then data without labels: methods of semi-supervised learning in one table."""
