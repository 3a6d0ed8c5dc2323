"""A dataset searched by images that are not in it, from a command or a browser."""
