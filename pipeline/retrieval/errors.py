"""The one exception a user is meant to read, and how names stand in it."""


class RetrievalError(ValueError):
    """Something the user can mend: the message says what, which item, and the remedy, in one line."""


def shown(name: str) -> str:
    r"""Return a name for an error: as it is, or as Python writes it where it could not be found by what one sees.

    That is so of what is not printed (``\n``, ``\x1b``, a byte that is no UTF-8, a character of no width, a no-break
    space), and of white space that gets lost: at either end, or two in a row.
    """
    return name if name.isprintable() and name.split(" ") == name.split() else repr(name)
