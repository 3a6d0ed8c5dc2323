"""A Ray cluster: connecting to it, and ranking on it."""
