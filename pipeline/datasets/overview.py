"""What ``prepare`` found, in a line, and what about it makes one doubt that it is what was meant."""

from collections.abc import Iterator, Mapping
from statistics import median

from pipeline.manifest.manifest import Manifest, duplicates_in, label_counts
from pipeline.retrieval.errors import shown, some

# Of folders around the classes, not of classes: with one of these as a label ``root`` is a level off, or a list wrong.
SPLITS = {
    *("train", "training", "trainval", "test", "testing", "val", "valid", "validation", "dev"),
    *("query", "queries", "probe", "gallery", "index", "images"),
}
# Folders in which file managers and storage keep small copies of the images around them.
THUMBNAILS = {"@eadir", ".thumbnails", "thumbnails", ".thumbs", "thumbs", "_thumbs", ".@__thumb"}


def found_in(manifest: Manifest, passed_over: Mapping[str, int], *, tried: int = 0) -> str:
    """Return in a line: images, labels and their sizes, queries, exact duplicates, and what was passed over.

    ``tried`` is how many images were opened where not all were, so that duplicates are not known.
    """
    parts = [f"{len(manifest.pictures)} {'images' if manifest.has_images or tried else 'items'}"]
    sizes = label_counts(manifest).values()
    if sizes:
        spread = f"{min(sizes)} to {max(sizes)} images (median {median(sizes):g})"
        parts.append(f"{len(sizes)} labels of {spread if len(set(sizes)) > 1 else f'{min(sizes)} images each'}")
    if manifest.texts:
        parts.append(f"{len(manifest.texts)} texts")
    if manifest.queries is not None:
        parts.append(f"{len(manifest.queries)} queries")
    if tried:
        parts.append(f"{tried} of them opened")
    else:
        parts.append(f"{duplicates_in(manifest)} exact duplicates" if manifest.has_images else "no image files")
    over = [f"{count} {reason}" for reason, count in passed_over.items() if count]
    return f"{manifest.dataset}: {', '.join(parts)}; passed over: {', '.join(over) or 'nothing'}"


def doubts_about(manifest: Manifest) -> Iterator[str]:
    """Yield in a line each what is rarely meant: one label for all, one called like a split, thumbnails as images."""
    labels = list(label_counts(manifest))
    if len(labels) == 1 and all(manifest.labels):
        yield f"all images have one label, {shown(labels[0])}, so that nothing can be retrieved: is 'root' a level off?"
    splits = [label for label in labels if label.casefold() in SPLITS]
    if splits:
        yield f"a label is called like a part of a dataset, {some(splits)}: is 'root' a level off?"
    small = [path for path in manifest.paths if not THUMBNAILS.isdisjoint(path.casefold().split("/")[:-1])]
    if small:
        yield (
            f"{len(small)} of {len(manifest.paths)} images lie in folders of thumbnails ({shown(small[0])}): if they "
            "are copies of the others, exclude them by a pattern such as '**/@eaDir/**'"
        )
