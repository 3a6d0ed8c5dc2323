"""Names of files as unzip writes them where it knows no UTF-8: ``#U5c71`` for a character beyond ASCII."""

import re

ESCAPE = re.compile(r"#U([0-9a-f]{4})")


def with_escapes(path: str) -> str:
    """Return a path with ``#U`` and four hexadecimal digits for each character that is no ASCII."""
    return "".join(one if one.isascii() else f"#U{ord(one):04x}" for one in path)


def without_escapes(path: str) -> str:
    """Undo :func:`with_escapes`."""
    return ESCAPE.sub(lambda match: chr(int(match[1], 16)), path)
