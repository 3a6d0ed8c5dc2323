"""Labels that ask as texts: every label of a dataset in one template or several, and all its images are the gallery."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

from pipeline.datasets.listing import Listing
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.labels import seen
from pipeline.retrieval.settings import call

PLACE = "{label}"
FOLDER = "text"  # what the names of such items begin with


@dataclass(frozen=True)
class Prompts:
    """The key ``text_queries`` of a dataset's YAML.

    Attributes:
        templates: texts with ``{label}`` in them; each makes a query of every label, judged by itself.
        underscores: what becomes of them in a label: ``keep``, or ``spaces``.
    """

    templates: Sequence[str]
    underscores: Literal["keep", "spaces"] = "keep"

    def text_of(self, label: str, template: str) -> str:
        """Return what asks for a label."""
        return template.replace(PLACE, label.replace("_", " ") if self.underscores == "spaces" else label)


def with_prompts(listing: Listing, settings: Any, *, where: str) -> Listing:
    """Return a listing in which texts are the only queries: one a label and template, template by template.

    Labels come in the order in which the images have them first. The images with the label are a text's positives.

    Raises:
        RetrievalError: a template has no ``{label}``; there are no labels, no images, or queries already; two texts are
            the same.
    """
    where = f"{where}, text_queries"
    prompts = call(Prompts, settings, where=where)
    if not prompts.templates:
        raise RetrievalError(f"{where}: 'templates' is empty: give one, such as 'a photo of a {PLACE}'")
    for template in prompts.templates:
        if PLACE not in template:
            raise RetrievalError(f"{where}: the template {template!r} has no {PLACE}: say where it goes")
    if listing.queries is not None:
        raise RetrievalError(f"{where}: the dataset comes with queries of its own: take 'text_queries' out")
    if not listing.has_images:
        raise RetrievalError(f"{where}: there are no images that a text could find (images: none): take one key out")
    labels = list(dict.fromkeys(chain.from_iterable(labels for _, labels in listing.entries)))
    if not labels:
        raise RetrievalError(f"{where}: no image has a label that could ask: take 'text_queries' out")
    asked = labels_by_text(prompts, labels, where=where)
    first = len(listing.entries)
    numbers = range(first, first + len(asked))
    return replace(
        listing,
        entries=(*listing.entries, *((f"{FOLDER}/{text}", (label,)) for text, label in asked.items())),
        roles={**dict.fromkeys(range(first), "gallery"), **dict.fromkeys(numbers, "query")},
        texts=dict(zip(numbers, asked, strict=True)),
    )


def labels_by_text(prompts: Prompts, labels: Sequence[str], *, where: str) -> dict[str, str]:
    """Return from each text to the label that it asks for.

    Raises:
        RetrievalError: two are the same, or one has nothing to see.
    """
    asked: dict[str, str] = {}
    for template in prompts.templates:
        for label in labels:
            text = prompts.text_of(label, template)
            if not seen(text):
                raise RetrievalError(f"{where}: the label {label!r} gives a text with nothing to see: mend a template")
            if text in asked:
                raise RetrievalError(
                    f"{where}: the labels {asked[text]!r} and {label!r} both give {text!r}: rename one, or list each "
                    "template once"
                )
            asked[text] = label
    return asked
