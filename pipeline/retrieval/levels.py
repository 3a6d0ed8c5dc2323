"""The levels of recall of the 11-point curves, apart from compiled code that takes time to import."""

RECALL_LEVELS = tuple(level / 10 for level in range(11))
