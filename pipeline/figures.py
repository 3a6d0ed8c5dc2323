"""What every figure here needs: names as plain text, and files that are the same bytes for the same content."""

import warnings
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from pipeline.files import replacing_file

matplotlib.use("Agg")


def plain_text(text: str, *, most: int = 80) -> str:
    """Return a name from outside as text that a figure shows as it is, on one line, and no longer than ``most``."""
    shown = " ".join("".join(letter if letter.isprintable() else "\ufffd" for letter in text).split())
    if len(shown) > most:
        shown = shown[: most - 1] + "…"
    # A leading underscore would hide a name from a legend; a dollar would start mathematics.
    return "\u200b" + shown.replace("$", r"\$")


def save_png(figure: Figure, target: Path, *, dpi: float) -> None:
    """Write a figure as a PNG without the version of the software, whole or not at all.

    A letter that the font lacks is shown as a box.
    """
    with replacing_file(target) as partial, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure.savefig(partial, format="png", dpi=dpi, metadata={"Software": None})
