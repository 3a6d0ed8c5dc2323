"""A contact sheet: one row per query, its image framed, then what was retrieved, hits and misses told apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from pydantic import Field

from pipeline.manifest.manifest import Manifest
from pipeline.results.retrievals import Retrieval
from pipeline.retrieval.errors import RetrievalError
from pipeline.views.items import named, thumbnail
from pipeline.views.style import Dpi, Inches, fit, plain_text, refuse_colors

Kind = Literal["query", "hit", "miss", "found"]
# Told apart without colours too.
SIGNS: Mapping[Kind, str] = {"query": "?", "hit": "✓", "miss": "✗", "found": ""}

BARE = 6  # images that a sheet without any is as wide as, for its title


@dataclass(frozen=True)
class SheetStyle:
    """How a sheet looks; conf/sheet/default.yaml.

    Attributes:
        cell: the side of an image's place, in inches.
        dpi: dots an inch.
        letters: the most of a label that is shown.
        colors: of the frames, by kind.
    """

    cell: Inches
    dpi: Dpi
    letters: Annotated[int, Field(ge=2, le=1000)]
    colors: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.pixels < 1:
            raise RetrievalError(f"conf/sheet: a cell of {self.cell} inches at {self.dpi} dpi has no pixel")
        if set(self.colors) != set(SIGNS):
            raise RetrievalError(f"conf/sheet: 'colors' has {', '.join(self.colors)}: expected {', '.join(SIGNS)}")
        refuse_colors(self.colors.values(), where="conf/sheet")

    @property
    def pixels(self) -> int:
        """The longest side of an image on the sheet."""
        return round(self.cell * self.dpi)


@dataclass(frozen=True)
class Cell:
    """An image on the sheet.

    Attributes:
        image: of any size.
        kind: what it is.
        title: the line above it, after its sign.
        note: the line below.
    """

    image: Image.Image
    kind: Kind
    title: str
    note: str


def row_of(retrieval: Retrieval, manifest: Manifest, *, pixels: int) -> list[Cell]:
    """Return a query and what was retrieved as the cells of a row.

    Args:
        retrieval: of a query.
        manifest: of the dataset.
        pixels: the longest side of the images.

    Raises:
        RetrievalError: an image is missing or has changed.
    """
    asked = manifest.items[retrieval.query]
    cells = [Cell(thumbnail(asked, manifest, pixels), "query", named(asked), f"AP {retrieval.ap:.4f}")]
    columns = (retrieval.items.tolist(), retrieval.scores.tolist(), retrieval.hits.tolist())
    for rank, (number, score, hit) in enumerate(zip(*columns, strict=True), start=1):
        cells.append(retrieved(number, rank, score, manifest, kind="hit" if hit else "miss", pixels=pixels))
    return cells


def retrieved(number: int, rank: int, score: float, manifest: Manifest, *, kind: Kind, pixels: int) -> Cell:
    """Return the cell of an item that was retrieved."""
    item = manifest.items[number]
    return Cell(thumbnail(item, manifest, pixels), kind, named(item), f"{rank}.  {score:.4f}")


def caption_of(retrieval: Retrieval, manifest: Manifest) -> str:
    """Return what names a query to ``python -m pipeline.show``: its number, and its path."""
    return f"query={retrieval.query}   {manifest.items[retrieval.query].path}"


def draw_sheet(
    rows: Sequence[Sequence[Cell]], *, title: str, style: SheetStyle, captions: Sequence[str] = ()
) -> Figure:
    """Draw a sheet; the query's frame is thick, a hit's is a full line, a miss's a broken one.

    Args:
        rows: each a query and what was retrieved; of none there is only the title.
        title: of all.
        style: how it looks.
        captions: a line above each row; or none.
    """
    widest = max((len(row) for row in rows), default=BARE)
    above, below, head = 0.4 if captions else 0.2, 0.22, 0.4  # inches for lines of text
    width = widest * (style.cell + 0.08) + 0.08
    height = len(rows) * (style.cell + above + below) + head
    figure = Figure(figsize=(width, height))
    # One pair of axes, in inches from the lower left, for all: a pair for each image would take most of the time.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    room = (width - 0.16) * figure.dpi
    fit(axes.text(0.08, height - 0.26, plain_text(title, most=120), fontsize=10, fontweight="bold"), room)
    for row_number, row in enumerate(rows):
        bottom = height - head - (row_number + 1) * (style.cell + above + below) + below
        for column, cell in enumerate(row):
            draw_cell(axes, cell, style, left=0.08 + column * (style.cell + 0.08), bottom=bottom)
        for caption in captions[row_number : row_number + 1]:
            fit(axes.text(0.08, bottom + style.cell + 0.22, plain_text(caption, most=200), fontsize=7), room)
    axes.set(xlim=(0, width), ylim=(0, height))  # an image would fit them to itself
    return figure


def draw_cell(axes: Axes, cell: Cell, style: SheetStyle, *, left: float, bottom: float) -> None:
    """Draw one image with its frame and lines of text; ``left`` and ``bottom`` of its place are in inches."""
    pixels = np.asarray(cell.image)
    height, width = (style.cell * extent / max(pixels.shape[:2]) for extent in pixels.shape[:2])
    x, y = left + (style.cell - width) / 2, bottom + (style.cell - height) / 2
    # A square place, whatever the image's shape, so that frames line up.
    axes.add_patch(Rectangle((left, bottom), style.cell, style.cell, facecolor="#f2f2f2", zorder=0))
    axes.imshow(pixels, extent=(x, x + width, y, y + height), interpolation="antialiased", aspect="auto", zorder=1)
    color = style.colors[cell.kind]
    frame = Rectangle((left, bottom), style.cell, style.cell, fill=False, edgecolor=color, zorder=2)
    frame.set_linewidth(3.0 if cell.kind == "query" else 2.0)
    frame.set_linestyle((0, (3, 2)) if cell.kind == "miss" else "solid")
    axes.add_patch(frame)
    sign = f"{SIGNS[cell.kind]} " if SIGNS[cell.kind] else ""
    title = sign + plain_text(cell.title, most=style.letters)
    fit(axes.text(left, bottom + style.cell + 0.05, title, fontsize=7, color=color), style.cell * axes.figure.dpi)
    axes.text(left, bottom - 0.05, plain_text(cell.note), fontsize=7, verticalalignment="top")
