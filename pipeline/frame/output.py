"""What a command says: on a terminal of any encoding, without control characters, whole or with an error."""

import io
import os
import re
import sys
import warnings

OUTPUT = "standard output"


class Output(io.FileIO):
    """Standard output whose errors name it. After one it takes what else is written and leaves it."""

    failed = False

    def write(self, data: object, /) -> int:
        """Write bytes."""
        if self.failed:
            return len(memoryview(data))  # type: ignore[arg-type]
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            self.failed = True
            error.filename = OUTPUT
            raise


def settle_output() -> None:
    """Let standard output show a letter that its encoding lacks as ``\\u...``, and a warning be one line."""
    warnings.formatwarning = as_one_line
    stdout = sys.stdout
    if stdout is None:  # closed: what is printed is not wanted
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    elif isinstance(stdout, io.TextIOWrapper) and stdout is sys.__stdout__:
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(Output(stdout.fileno(), "w", closefd=False)),
            encoding=stdout.encoding,
            errors="backslashreplace",
            line_buffering=stdout.line_buffering or stdout.write_through,
        )


def as_one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Return a warning as text, as :func:`warnings.formatwarning` does."""
    return f"{filename}:{lineno}: {category.__name__}: {printable(joined(str(message)))}\n"


def joined(text: str) -> str:
    """Return what a library says over several lines as one; spaces, which a name may have, stay."""
    return re.sub(r"\s*[\r\n]\s*", " ", text.strip())


def printable(text: str) -> str:
    """Return text with what is no letter, sign or plain space escaped: it cannot move a cursor or hide anything."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
