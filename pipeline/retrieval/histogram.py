"""How alike queries are to their positives, and to everything else."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from .errors import RetrievalError
from .matrix import nonzero, taken
from .protocols import Protocol
from .settings import Count, Seed
from .similarity import unit_rows

ROWS = 64  # queries whose scores are in memory at once


@dataclass(frozen=True)
class Sample:
    """What is counted; ``sample`` in conf/evaluate.yaml.

    Attributes:
        queries: at most so many, drawn without replacement.
        bins: intervals of equal width from the least to the largest cosine.
        seed: of the draw.
    """

    queries: Count
    bins: Count
    seed: Seed

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.queries < 1 or self.bins < 1 or self.seed < 0:
            raise RetrievalError("sample: 'queries' and 'bins' must be positive, 'seed' 0 or more")

    def draw(self, queries: int) -> Int[np.ndarray, " drawn"]:
        """Return the numbers of the drawn queries, ascending."""
        count = min(self.queries, queries)
        return np.sort(np.random.default_rng(self.seed).choice(queries, count, replace=False))


def judged_scores(
    features: Float[np.ndarray, "item dim"], protocol: Protocol, drawn: Int[np.ndarray, " drawn"]
) -> Iterator[tuple[Float32[np.ndarray, " pair"], Bool[np.ndarray, " pair"]]]:
    """Yield, some queries at a time, the cosine of every pair that counts, and whether it is a positive.

    Features of zeros, which other similarities than cosine allow, have none: no pair with one counts.
    """
    known = nonzero(features)
    places = np.flatnonzero(known[protocol.gallery])
    gallery = unit_rows(taken(features, protocol.gallery[places]))
    drawn = drawn[known[protocol.queries[drawn]]]
    for start in range(0, len(drawn), ROWS):
        numbers = drawn[start : start + ROWS].tolist()
        scores = unit_rows(features[protocol.queries[numbers]]) @ gallery.T
        positive = np.zeros((len(numbers), len(protocol.gallery)), bool)
        counted = np.ones(positive.shape, bool)
        for row, number in enumerate(numbers):
            positives, ignored = protocol.judge(number, number + 1)
            positive[row, positives.values] = True
            counted[row, ignored.values] = False
        positive, counted = positive[:, places], counted[:, places]
        yield scores[counted], positive[counted]


def histogram(features: Float[np.ndarray, "item dim"], protocol: Protocol, sample: Sample) -> dict[str, np.ndarray]:
    """Return one value per interval of cosines: its ends ``low`` and ``high``, ``positives`` and ``negatives`` in it.

    The first interval begins at the least cosine of a pair that counts, the last one ends at the largest, and holds it.
    Where no pair has a cosine, they are those of all cosines, with nothing in them.
    """
    drawn = sample.draw(len(protocol.queries))
    # Twice the same products: all of them at once would take memory that grows with the gallery.
    ends = [(scores.min(), scores.max()) for scores, _ in judged_scores(features, protocol, drawn) if len(scores)]
    low, high = float(min((end[0] for end in ends), default=-1)), float(max((end[1] for end in ends), default=1))
    edges = np.linspace(low, max(high, low + 1e-6), sample.bins + 1)
    counts = np.zeros((2, sample.bins), np.int64)
    for scores, positive in judged_scores(features, protocol, drawn):
        for row, chosen in enumerate((positive, ~positive)):
            counts[row] += np.histogram(scores[chosen], bins=edges)[0]
    return {"low": edges[:-1], "high": edges[1:], "positives": counts[0], "negatives": counts[1]}
