"""A config and its checkpoint -> a network and the preprocessing that belongs to it."""
