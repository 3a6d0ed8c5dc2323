"""What every figure here needs: one style, names as plain text, files that are the same bytes for the same content."""

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.text import Text
from pydantic import Field

from pipeline.frame.files import replacing_file
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.memory import refuse_memory

Inches = Annotated[float, Field(gt=0, le=200)]
Dpi = Annotated[int, Field(ge=1, le=2400)]

ROW = 0.3  # inches of a row that has the name of a run beside it, on two lines at most
SMALL = 8  # points of such names

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

    def size(self, rows: float | int) -> tuple[float, float]:
        """Return the size of a figure in inches, high enough for a title, labels and so many rows of ``ROW`` inches."""
        return self.width, max(self.height, ROW * rows + 1.2)


def refuse_colors(colors: Iterable[str], *, where: str) -> None:
    """Raise :class:`RetrievalError` for a text that is no colour."""
    for color in colors:
        if not is_color_like(color):
            raise RetrievalError(f"{where}: '{color}' is no color: write it as #RRGGBB")


def plain_text(text: str, *, most: int = 80) -> str:
    """Return a name from outside as text that a figure shows as it is, on one line, and no longer than ``most``."""
    shown = one_line(text)
    return as_it_is(shown if len(shown) <= most else shown[: most - 1] + "…")


def label_of(name: str, *, most: int = 28) -> str:
    """Return a name from outside as a label: plain text on one line or two, each of at most ``most`` letters.

    Of a name that is longer, the middle is left out: names of one family differ at their ends.
    """
    shown = one_line(name)
    if len(shown) > 2 * most:
        shown = shown[: most - 1] + "…" + shown[-most:]
    if len(shown) <= most:
        return as_it_is(shown)
    # Where the first line may end: after a mark or a space, with room for both, the nearer to the middle the better.
    ends = [found.end() for found in re.finditer(r"[\W_]", shown) if len(shown) - most <= found.end() <= most]
    end = min(ends, key=lambda place: abs(place - len(shown) / 2), default=most)
    return as_it_is(f"{shown[:end].rstrip()}\n{shown[end:]}")


def one_line(text: str) -> str:
    """Return text on one line, with a sign where a letter cannot be printed."""
    return " ".join("".join(letter if letter.isprintable() else "\ufffd" for letter in text).split())


def as_it_is(text: str) -> str:
    """Return text as Matplotlib shows it unchanged."""
    # A leading underscore would hide a name from a legend; a dollar would start mathematics.
    return "\u200b" + text.replace("$", r"\$")


def fit(text: Text, room: float) -> None:
    """Make a text smaller, if it is wider than ``room`` pixels of its figure, until it fits."""
    for _ in range(9):  # letters are drawn on whole pixels: half the size is not quite half the width
        width = text.get_window_extent().width
        if width <= room:
            return
        text.set_fontsize(0.97 * float(text.get_fontsize()) * room / width)


def put_title(figure: Figure, title: str) -> None:
    """Put a title at the upper left of a figure, over all of its axes, however long it is."""
    # Room to spare: at the dots of a file, letters are a little wider than at the figure's.
    fit(figure.suptitle(plain_text(title, most=120), x=0.01, ha="left", fontsize=11), 0.94 * figure.bbox.width)


def put_legend(axes: Axes, *, handles: Sequence[Artist] | None = None) -> None:
    """Put a legend to the right of axes; a figure of ``ROW`` inches for each entry has room for it."""
    entries = {} if handles is None else {"handles": handles}
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=SMALL, **entries)


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
