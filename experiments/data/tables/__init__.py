"""Tables and images of the user's as data sets."""
