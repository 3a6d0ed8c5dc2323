"""The one exception a user is meant to read."""


class RetrievalError(ValueError):
    """Something the user can mend: the message says what, which item, and the remedy, in one line."""
