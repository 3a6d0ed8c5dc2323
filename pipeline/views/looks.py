"""How runs look on the page: as in the figures."""

from collections.abc import Sequence

from matplotlib.colors import to_hex

from pipeline.retrieval.errors import RetrievalError
from pipeline.views.style import Style

# Of each of Matplotlib's markers what Vega calls it, or its outline in Vega's way, and a letter that looks like it.
LIKENESS = {
    "o": ("circle", "●"),
    "s": ("square", "■"),
    "^": ("triangle-up", "▲"),
    "D": ("diamond", "◆"),
    "v": ("triangle-down", "▼"),
    "P": ("cross", "✚"),
    ">": ("triangle-right", "▶"),
    "<": ("triangle-left", "◀"),
    "X": ("M-1,-.5L-.5,-1L0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0Z", "✖"),
    "*": ("M0,-1L.24,-.32L.95,-.31L.38,.12L.59,.81L0,.4L-.59,.81L-.38,.12L-.95,-.31L-.24,-.32Z", "★"),
}


def looks_of(runs: Sequence[str], style: Style) -> list[dict[str, str]]:
    """Return for each run its name, its colours on a light and on a dark ground, its mark, and a letter like that.

    Raises:
        RetrievalError: the page cannot draw a marker.
    """
    looks = []
    for place, run in enumerate(runs):
        color, marker = style.look(place)
        if marker not in LIKENESS:
            raise RetrievalError(f"conf/style: the page cannot draw the marker '{marker}': one of {' '.join(LIKENESS)}")
        dark = style.dark[place % len(style.dark)] if style.dark else color
        mark, sign = LIKENESS[marker]
        looks.append({"run": run, "light": to_hex(color), "dark": to_hex(dark), "mark": mark, "sign": sign})
    return looks
