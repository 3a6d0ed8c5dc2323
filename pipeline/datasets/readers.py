"""Layouts on disk -> which images a dataset has and their labels.

A reader takes the options of a dataset's YAML and returns a :class:`Listing`; that the images can be
decoded is checked afterwards, for every layout alike, by ``pipeline.prepare``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.datasets.benchmarks.amstertime import read_amstertime
from pipeline.datasets.benchmarks.cars import read_cars
from pipeline.datasets.benchmarks.copydays import read_copydays
from pipeline.datasets.benchmarks.cub import read_cub
from pipeline.datasets.benchmarks.disc21 import read_disc21
from pipeline.datasets.benchmarks.gldv2 import read_gldv2
from pipeline.datasets.benchmarks.gpr1200 import read_gpr1200
from pipeline.datasets.benchmarks.holidays import read_holidays
from pipeline.datasets.benchmarks.ilias import read_ilias
from pipeline.datasets.benchmarks.inaturalist import read_inaturalist
from pipeline.datasets.benchmarks.inshop import read_inshop
from pipeline.datasets.benchmarks.instre import read_instre
from pipeline.datasets.benchmarks.met import read_met
from pipeline.datasets.benchmarks.nights import read_nights
from pipeline.datasets.benchmarks.sop import read_sop
from pipeline.datasets.benchmarks.ukbench import read_ukbench
from pipeline.datasets.benchmarks.uned import read_uned
from pipeline.datasets.classic import read_classic
from pipeline.datasets.clutter import make_clutter
from pipeline.datasets.copies import make_copies
from pipeline.datasets.counts import refuse_other_counts
from pipeline.datasets.distractors import read_distractors, with_distractors
from pipeline.datasets.embedded import make_digits, make_photo_views
from pipeline.datasets.huggingface import read_huggingface
from pipeline.datasets.landmarks import read_landmark_names
from pipeline.datasets.layouts import read_folder, read_list
from pipeline.datasets.listing import Listing, check_listing
from pipeline.datasets.prompts import with_prompts
from pipeline.datasets.revisited import read_revisited
from pipeline.datasets.torchvision import read_torchvision
from pipeline.datasets.voc import read_voc
from pipeline.manifest.rules import KEYS
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call, choose, fits

LAYOUTS: Mapping[str, Callable[..., Listing]] = {
    "amstertime": read_amstertime,
    "cars": read_cars,
    "classic": read_classic,
    "copydays": read_copydays,
    "cub": read_cub,
    "disc21": read_disc21,
    "folder": read_folder,
    "gldv2": read_gldv2,
    "gpr1200": read_gpr1200,
    "holidays": read_holidays,
    "huggingface": read_huggingface,
    "ilias": read_ilias,
    "inaturalist": read_inaturalist,
    "inshop": read_inshop,
    "instre": read_instre,
    "landmark_names": read_landmark_names,
    "list": read_list,
    "met": read_met,
    "nights": read_nights,
    "revisited": read_revisited,
    "sop": read_sop,
    "torchvision": read_torchvision,
    "ukbench": read_ukbench,
    "uned": read_uned,
    "voc": read_voc,
}
EMBEDDED: Mapping[str, Callable[..., Listing]] = {
    "clutter": make_clutter,
    "copies": make_copies,
    "digits": make_digits,
    "photo_views": make_photo_views,
}
OF_ANY_KIND = ("kind", "fetch", "distractors", "expected", "text_queries", *KEYS)


def read_dataset(name: str, config: Mapping[str, Any], directory: Path) -> Listing:
    """Return the listing of the dataset that ``conf/dataset/<name>.yaml`` describes.

    Args:
        name: of the dataset.
        config: the YAML: ``kind`` and the options of that kind's reader, and of any kind ``distractors``, images that
            are appended to the gallery (see :mod:`pipeline.datasets.distractors`), ``text_queries``, by which labels
            ask as texts (see :mod:`pipeline.datasets.prompts`), and ``expected``, the counts of the published dataset
            (see :mod:`pipeline.datasets.counts`). Its ``fetch`` is for ``pipeline.fetch``, and its
            rules (see :mod:`pipeline.manifest.rules`) are for the evaluation: they say nothing here.
        directory: an existing folder for the images of an embedded dataset; the other kinds leave
            the images where they are.

    Raises:
        RetrievalError: an unknown kind or option; anything the reader finds wrong; no image at all.
    """
    where = f"conf/dataset/{name}.yaml"
    options = {key: value for key, value in config.items() if key not in OF_ANY_KIND}
    kind = config.get("kind", "")
    reader = choose({**LAYOUTS, **EMBEDDED}, kind, key="kind", where=where)
    listing = call(reader, options, where=where, given={"directory": directory} if kind in EMBEDDED else {})
    if not listing.entries:
        raise RetrievalError(f"{where}: no image in {listing.root}: put images there or mend 'root'")
    listing = with_distractors(listing, read_distractors(config.get("distractors", []), where=where), where=where)
    if config.get("text_queries") is not None:
        listing = with_prompts(listing, config["text_queries"], where=where)
    check_listing(listing, where=where)
    expected = config.get("expected", {})
    if not fits(expected, Mapping[str, int]):
        raise RetrievalError(f"{where}: 'expected' is '{expected}': expected counts by name, such as images: 60502")
    refuse_other_counts(listing, expected, where=where)
    return listing
