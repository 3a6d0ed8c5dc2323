"""What each guard sees and decides: on features made up to be good or bad, and on those of the project's encoders.

    python -m benchmarks.guards
    python -m benchmarks.guards --features features ../other/features

Of each encoder the dataset on which its effective rank is lowest is shown.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import Float, Float32

from pipeline.extraction.extraction import inspected
from pipeline.extraction.features import read_features
from pipeline.extraction.guards import Finding, Limits
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest, read_manifest

CONFIG = Path(__file__).parent.parent / "conf/extract.yaml"
IMAGES, DIM = 300, 256
HEAD = (
    "| features | images | dimensions | effective rank | 1 - mean cosine | constant dimensions | on one feature "
    "| refused by |"
)
Case = tuple[str, Float32[np.ndarray, "item dim"]]


def limits() -> Limits:
    """Return those of conf/extract.yaml."""
    return Limits(**yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["guards"])


def good_cases(rng: np.random.Generator) -> Iterator[tuple[str, Float[np.ndarray, "item dim"]]]:
    """Yield features that tell images apart, with what has been taken for a fault in them."""
    classes = rng.normal(size=(20, DIM))[np.arange(IMAGES) % 20] + 0.7 * rng.normal(size=(IMAGES, DIM))
    yield "20 classes", classes
    yield "the same, 1,000 added to all", classes + 1000
    long = classes.copy()
    long[7] *= 1e4
    yield "the same, one row 10,000 times as long", long
    yield "the same, each image in two formats", np.repeat(classes[::2], 2, axis=0)
    stirred = np.maximum(classes @ rng.normal(size=(DIM, 512)), 0)
    stirred[:, rng.permutation(512)[:307]] = 0
    yield "the same through ReLUs, 60 % of them dead", stirred
    for bits in (16, 32, 64):
        yield f"the same, their signs along {bits} random directions", np.sign(classes @ rng.normal(size=(DIM, bits)))
    pages = white_pages(rng)
    yield "white pages, raw pixels", pages.reshape(IMAGES, 16, 4, 16, 4).mean(axis=(2, 4)).reshape(IMAGES, -1)
    yield "white pages, random projection", pages.reshape(IMAGES, -1) @ rng.normal(size=(64 * 64, DIM))
    yield "8 dimensions, noise of a hundredth", flat(rng, 8) + 0.01 * rng.normal(size=(IMAGES, DIM))


def bad_cases(rng: np.random.Generator) -> Iterator[tuple[str, Float[np.ndarray, "item dim"]]]:
    """Yield features that tell few images apart, or none."""
    points = rng.normal(size=(2, DIM))
    noise = rng.normal(size=(IMAGES, DIM))
    for name, part in (("a hundredth", 0.01), ("a tenth", 0.1), ("a fifth", 0.2)):
        yield f"two points, noise of {name}", points[np.arange(IMAGES) % 2] + part * noise
    yield "a line through the origin", flat(rng, 1)
    yield "a line beside it, noise of a hundredth", flat(rng, 1) + points[0] + 0.01 * noise
    yield "a half-line from the origin", np.abs(flat(rng, 1))
    yield "one vector", np.repeat(points[:1], IMAGES, axis=0)
    yield "one vector, noise of 1e-6", points[0] * (1 + 1e-6 * noise)
    yield "one vector for nine images of ten", np.where(np.arange(IMAGES)[:, None] % 10 > 0, points[0], noise)
    yield "one of 2,000 dimensions varies", np.eye(2000)[0] * noise[:, :1] + 1
    yield "noise alone", noise


def cases(seed: int = 0) -> list[Case]:
    """Return the good ones, then the bad ones, with their names."""
    rng = np.random.default_rng(seed)
    return [(name, features.astype(np.float32)) for made in (good_cases, bad_cases) for name, features in made(rng)]


def flat(rng: np.random.Generator, rank: int) -> Float[np.ndarray, "item dim"]:
    """Return features in a subspace of so many dimensions."""
    rows: Float[np.ndarray, "item dim"] = rng.normal(size=(IMAGES, rank)) @ rng.normal(size=(rank, DIM))
    return rows


def white_pages(rng: np.random.Generator) -> Float[np.ndarray, "item y x"]:
    """Return images of 64 x 64 pixels in [0, 1], white but for five short strokes each."""
    pages = np.ones((IMAGES, 64, 64))
    for page in pages:
        for y, x in rng.integers(0, 64, (5, 2)):
            page[y, x : x + 8] = 0
    return pages


def different(count: int) -> Manifest:
    """Return a manifest of so many different images."""
    items = tuple(Item(f"{item}.png", ("",), 1, 1, str(item)) for item in range(count))
    return Manifest("made up", Path(), items)


def row(name: str, features: Float[np.ndarray, "item dim"], manifest: Manifest) -> tuple[float, str]:
    """Return the effective rank of features, by which rows are chosen, and their row of the table."""
    seen = inspected(features, manifest, limits())
    rank = float(seen["effective_rank"].value)
    cells = [
        name,
        str(len(features)),
        str(features.shape[1]),
        f"{rank:.2f}",
        f"{1 - seen['mean_cosine'].value:.2g}",
        str(seen["constant_dimensions"].value),
        str(seen["equal_features"].value),
        refused_by(seen) or "-",
    ]
    return rank, f"| {' | '.join(cells)} |"


def refused_by(seen: dict[str, Finding]) -> str:
    """Return the names of the guards that refuse."""
    return ", ".join(f"`{name}`" for name, finding in seen.items() if finding.problem)


def rows_of(folders: Sequence[Path], prepared: Path) -> Iterator[str]:
    """Yield a row for each encoder that has features in one of the folders, of the dataset with the lowest rank."""
    for encoder in sorted((path for folder in folders for path in folder.glob("*/")), key=lambda path: path.name):
        rows = []
        for path in sorted(encoder.glob("*/features.npy")):
            features, _ = read_features(path.parent)
            manifest = read_manifest(prepared / path.parent.name)
            rows.append(row(f"{encoder.name} on {path.parent.name}", features, manifest))
        if rows:
            yield min(rows)[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, nargs="*", default=[Path("features")])
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    asked = parser.parse_args()
    print(f"{HEAD}\n{'|---' * HEAD.count(' | ')}|---|", flush=True)
    for name, features in cases():
        print(row(name, features, different(len(features)))[1], flush=True)
    for line in rows_of(asked.features, asked.prepared):
        print(line, flush=True)


if __name__ == "__main__":
    main()
