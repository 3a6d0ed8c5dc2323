"""A dataset's files, from where they are published to data/raw."""
