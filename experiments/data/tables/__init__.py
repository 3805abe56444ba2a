"""Tables and images of the user."""
