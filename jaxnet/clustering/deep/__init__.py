"""Deep clustering: clusters of codes that a network learns together with them."""
