"""``input`` in an encoder's YAML: how large the network's input is, and what becomes of an image's aspect ratio."""

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import Side, call

SQUARE = ("crop", "squash")  # every image becomes one and the same square


@dataclass(frozen=True)
class Input:
    """What ``input`` says.

    Attributes:
        side: pixels. ``crop``, ``squash``: of the square that is the network's input. ``shortest``, ``longest``: of
            that side of the whole image.
        fit: ``crop``, a square from the centre, with the margin that is natively cut off; ``squash``, the whole image
            made a square; ``shortest`` and ``longest``, the whole image with its aspect ratio.
        edges: of ``shortest`` and ``longest``: ``round``, each side is resized to the nearest multiple; ``pad``, to the
            nearest pixel, and then padded with the mean colour to the next multiple, half of it on either side.
        multiple: of which the sides are multiples; None: the side of the network's patches, or 32 without any.
    """

    side: Side
    fit: Literal["crop", "squash", "shortest", "longest"] = "crop"
    edges: Literal["round", "pad"] | None = None
    multiple: Side | None = None


@dataclass(frozen=True)
class Sizes:
    """Of which sizes the inputs of a network are to be.

    Attributes:
        sized: what ``input`` says; None: as the weights declare.
        scaled: whether the network sees each input at several scales.
    """

    sized: Input | None = None
    scaled: bool = False

    @property
    def native(self) -> bool:
        """Whether there is but the size that the weights declare."""
        return self.sized is None and not self.scaled

    @property
    def square(self) -> int | None:
        """The side of the square that all inputs are; None where they differ, or are native."""
        return self.sized.side if self.sized and self.sized.fit in SQUARE and not self.scaled else None

    @property
    def remedy(self) -> str:
        """What helps where a network does not take such inputs."""
        if self.native:
            return "mend the preprocessing"
        if self.scaled:
            return "drop 'scales', or take a network whose position embeddings can be interpolated"
        if self.square is None:
            return "take fit crop or squash in 'input', or a network whose position embeddings can be interpolated"
        return "drop 'input', or take a network whose position embeddings can be interpolated"


NATIVE = Sizes()


def read_input(options: Any, *, where: str) -> Input | None:
    """Return what ``input`` says; None for nothing.

    Raises:
        RetrievalError: a key is unknown, missing or wrong, or does nothing.
    """
    if options is None:
        return None
    said = call(Input, options, where=f"{where}, input")
    if said.fit in SQUARE:
        for key in ("edges", "multiple"):
            if getattr(said, key) is not None:
                raise RetrievalError(
                    f"{where}, input: '{key}' does nothing with fit '{said.fit}': drop it, or take fit shortest or "
                    "longest"
                )
    return said
