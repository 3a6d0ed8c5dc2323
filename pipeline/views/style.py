"""What every figure here needs: one style, names as plain text, files that are the same bytes for the same content."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import matplotlib
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from pydantic import Field

from pipeline.frame.files import replacing_file
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.memory import refuse_memory

Inches = Annotated[float, Field(gt=0, le=200)]
Dpi = Annotated[int, Field(ge=1, le=2400)]

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "retrieval-bench"  # otherwise its names differ from run to run


@dataclass(frozen=True)
class Style:
    """How figures look; conf/style/default.yaml.

    Attributes:
        width: inches.
        height: inches.
        dpi: dots an inch.
        colors: of runs, by their position; used again from the start if there are more runs.
        markers: the same.
        dark: the colours on a dark ground, which the page can have; ``colors`` themselves where there are none.
    """

    width: Inches
    height: Inches
    dpi: Dpi
    colors: Sequence[str]
    markers: Sequence[str]
    dark: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        if not (self.colors and self.markers):
            raise RetrievalError("conf/style: there must be a color and a marker")
        if self.dark and len(self.dark) != len(self.colors):
            raise RetrievalError(f"conf/style: dark has {len(self.dark)} colors, colors {len(self.colors)}")
        refuse_colors([*self.colors, *self.dark], where="conf/style")
        for marker in self.markers:
            if marker not in MarkerStyle.markers:
                raise RetrievalError(f"conf/style: '{marker}' is no marker of matplotlib")

    def look(self, index: int) -> tuple[str, str]:
        """Return the colour and the marker of the run at a position."""
        return self.colors[index % len(self.colors)], self.markers[index % len(self.markers)]


def refuse_colors(colors: Iterable[str], *, where: str) -> None:
    """Raise :class:`RetrievalError` for a text that is no colour."""
    for color in colors:
        if not is_color_like(color):
            raise RetrievalError(f"{where}: '{color}' is no color: write it as #RRGGBB")


def plain_text(text: str, *, most: int = 80) -> str:
    """Return a name from outside as text that a figure shows as it is, on one line, and no longer than ``most``."""
    shown = " ".join("".join(letter if letter.isprintable() else "\ufffd" for letter in text).split())
    if len(shown) > most:
        shown = shown[: most - 1] + "…"
    # A leading underscore would hide a name from a legend; a dollar would start mathematics.
    return "\u200b" + shown.replace("$", r"\$")


def save_png(figure: Figure, target: Path, *, dpi: int) -> None:
    """Write a figure as a PNG without the version of the software, whole or not at all."""
    width, height = figure.get_size_inches()
    refuse_memory(int(8 * width * height * dpi**2), f"a picture of {width:g} x {height:g} inches at {dpi} dpi")
    with replacing_file(target) as partial, boxes_for_missing_letters():
        # Photographs hardly get smaller by more, and take three times as long.
        figure.savefig(partial, format="png", dpi=dpi, metadata={"Software": None}, pil_kwargs={"compress_level": 3})


def save_svg(figure: Figure, target: Path) -> None:
    """Write a figure as an SVG without date and version, whole or not at all."""
    with replacing_file(target) as partial, boxes_for_missing_letters():
        figure.savefig(partial, format="svg", metadata={"Date": None, "Creator": None})


@contextmanager
def boxes_for_missing_letters() -> Iterator[None]:
    """Let a letter that the font lacks be shown as a box, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield
