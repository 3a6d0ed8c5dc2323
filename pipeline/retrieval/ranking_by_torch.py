"""The rankings of :mod:`.ranking` by torch, for a GPU. Only what is asked to run there imports this.

Scores are float32 products as on the CPU, rounded by another library: what is exact is the ranking of these scores. Its
memory on the device is that of the features and of a few ``ROWS`` x ``COLUMNS`` arrays.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from .distances import Distances
from .errors import RetrievalError
from .ragged import Ragged
from .ranking import Ranking
from .relevance import Judge
from .similarity import Products, Scorer

# The shape of the products, fixed for the same reason as on the CPU.
ROWS = 512
COLUMNS = 16384

# A key orders items as a ranking does: above the score, as an integer that grows with it, below the index, inverted.
# No item has the lowest index part, and none the highest: they stand for whatever ties with a score.
SHIFT = 1 << 32
LAST, FIRST = 0, SHIFT - 1
WORST = -(1 << 63)

DEVICES = ("cuda", "mps", "xpu", "cpu")

Made = TypeVar("Made")


def each_ranking(
    make: Callable[[Ranking], Made],
    scorer: Scorer,
    judge: Judge,
    *,
    top: int,
    device: str,
    queries: range | None = None,
) -> Iterator[Made]:
    """Yield what ``make`` makes of the rankings of the queries in their order, ``ROWS`` at a time.

    Args:
        make: called with each.
        scorer: dot products or distances. Near distances are computed anew on the CPU, as it would itself.
        judge: gives the positives of a query and what is left out of its ranking.
        top: how many of the first items to return.
        device: as torch names it, such as ``cuda`` or ``cuda:1``.
        queries: the numbers of those to rank, from a multiple of ``ROWS`` on; None for all.

    Raises:
        RetrievalError: torch cannot use the device; the scores are no products, as those of k-reciprocal
            re-ranking; the gallery is too large to number.
    """
    distances = scorer if isinstance(scorer, Distances) else None
    products = scorer if distances is None else distances.products
    if not isinstance(products, Products):
        raise RetrievalError(f"device '{device}': these scores are computed on the CPU only: set device: cpu")
    if scorer.items >= FIRST - 1:
        raise RetrievalError(f"device '{device}': {scorer.items} items in the gallery: at most {FIRST - 2}")
    try:
        place = torch.device(device)
        if place.type not in DEVICES:
            raise RuntimeError(f"one of {', '.join(DEVICES)}")
        with warnings.catch_warnings():
            # Of arrays that may not be written to, as those mapped from a file: nothing writes to them.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            asked = torch.from_numpy(products.query_rows).to(place)
            items = asked if products.symmetric else torch.from_numpy(products.item_rows).to(place)
            if distances is not None:
                query_halves = torch.from_numpy(distances.query_halves).to(place)
                item_halves = torch.from_numpy(distances.item_halves).to(place)
    except (RuntimeError, AssertionError) as error:
        problem = str(error).splitlines()[0]
        raise RetrievalError(f"device '{device}' cannot be used ({problem}): set device: cpu") from None
    torch.backends.cuda.matmul.allow_tf32 = False  # 10 bits instead of float32's 23

    def scores_of(first: int, last: int, start: int) -> Tensor:
        stop = start + COLUMNS
        scores = asked[first:last] @ items[start:stop].T
        if len(products.twins.places):
            part = slice(start, min(stop, scorer.items))
            columns, exact = products.twins.scores(
                products.query_rows[first:last], products.item_rows.__getitem__, part
            )
            scores[:, torch.from_numpy(columns).to(place)] = torch.from_numpy(exact).to(place)
        if distances is not None:
            both = query_halves[first:last, None] + item_halves[start:stop]
            scores -= both
            near_queries, near_items = (scores >= distances.near * both).nonzero(as_tuple=True)
            exact = distances.exact((near_queries + first).cpu().numpy(), (near_items + start).cpu().numpy())
            scores[near_queries, near_items] = torch.from_numpy(exact).to(place)
        return scores.add_(0.0)  # minus zero ties with zero

    with torch.inference_mode():
        for first in (range(len(asked)) if queries is None else queries)[::ROWS]:
            last = min(first + ROWS, len(asked))
            positives, ignored = judge(first, last)
            band = Band(positives, ignored, min(top, scorer.items), place)
            for start in range(0, scorer.items, COLUMNS):
                band.pick(scores_of(first, last, start), start)
            band.sort()
            for start in range(0, scorer.items, COLUMNS):
                band.count(scores_of(first, last, start), start)
            ranking = band.ranking(first, top, scorer.items - ignored.counts)
            yield make(replace(ranking, top_scores=scorer.told(slice(first, last), ranking.top_scores)))


class Band:
    """What is known so far of the rankings of some queries."""

    def __init__(self, positives: Ragged, ignored: Ragged, top: int, device: torch.device) -> None:
        """Take the positives and the left-out items of each query, and how many of the first items to keep."""
        self.positives = positives
        self.rows, self.columns = pairs(positives, device)
        self.ignored_rows, self.ignored_columns = pairs(ignored, device)
        self.keys = torch.full(self.columns.shape, WORST, dtype=torch.int64, device=device)
        self.best = torch.full((len(positives), top), WORST, dtype=torch.int64, device=device)

    def pick(self, scores: Tensor, start: int) -> None:
        """Take the keys of those positives that are among the items from ``start`` on."""
        here = (self.columns >= start) & (self.columns < start + scores.shape[1])
        found = scores[self.rows[here], self.columns[here] - start]
        self.keys[here] = keyed(found, inverted(self.columns[here]))

    def sort(self) -> None:
        """Line the keys of each query's positives up, worst first, and before them as many as others have more."""
        counts = torch.from_numpy(self.positives.counts).to(self.keys.device)
        most = int(counts.max())
        places = torch.from_numpy(self.positives.places - 1).to(self.keys.device)
        lined = torch.full((len(counts), most), WORST, dtype=torch.int64, device=self.keys.device)
        lined[self.rows, places] = self.keys
        self.lined = lined.sort(dim=1).values
        self.counts = counts
        self.negatives = torch.zeros((3, len(counts), most + 1), dtype=torch.int64, device=self.keys.device)

    def count(self, scores: Tensor, start: int) -> None:
        """Count the negatives from ``start`` on between the positives, and keep the best of all items."""
        set_missing(scores, self.ignored_rows, self.ignored_columns - start)
        index = inverted(torch.arange(start, start + scores.shape[1], device=scores.device))
        keys = keyed(scores, index)
        if self.best.shape[1]:
            several = torch.cat([self.best, keys.topk(min(self.best.shape[1], keys.shape[1]), dim=1).values], dim=1)
            self.best = several.topk(self.best.shape[1], dim=1).values
        set_missing(scores, self.rows, self.columns - start)
        # As they stand, and as if whatever ties with a positive stood after it, or before it.
        parts: tuple[Tensor | int, ...] = (index, LAST, FIRST)
        for counts, part in zip(self.negatives, parts, strict=True):
            worse = torch.searchsorted(self.lined, keyed(scores, part))
            counts.scatter_add_(1, worse, torch.ones_like(worse))

    def ranking(self, first: int, top: int, candidates: np.ndarray) -> Ranking:
        """Return the rankings when all items were counted."""
        ranks, optimistic, pessimistic = (
            Ragged(self.ranks(counts), self.positives.starts) for counts in self.negatives
        )
        items = (SHIFT - 2) - (self.best & (SHIFT - 1))
        scores = unkeyed(self.best)
        missing = torch.isneginf(scores) | (self.best == WORST)
        kept_items = np.full((len(self.positives), top), -1, np.int64)
        kept_scores = np.full(kept_items.shape, np.nan, np.float32)
        kept_items[:, : items.shape[1]] = items.masked_fill(missing, -1).cpu().numpy()
        kept_scores[:, : items.shape[1]] = scores.masked_fill(missing, torch.nan).cpu().numpy()
        return Ranking(first, ranks, optimistic, pessimistic, candidates, kept_items, kept_scores)

    def ranks(self, counts: Tensor) -> np.ndarray:
        """Return the ranks of the positives, best first, from the numbers of negatives between them."""
        most = counts.shape[1] - 1
        # From the best positive on: the negatives before it, then those between it and the next.
        before = counts.flip(1).cumsum(1)[:, :most]
        ranks = before + torch.arange(1, most + 1, device=counts.device)
        found: np.ndarray = ranks[torch.arange(most, device=counts.device) < self.counts[:, None]].cpu().numpy()
        return found


def pairs(lists: Ragged, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the row and the value of each entry."""
    return torch.from_numpy(lists.owners).to(device), torch.from_numpy(lists.values).to(device)


def set_missing(scores: Tensor, rows: Tensor, columns: Tensor) -> None:
    """Give those of the entries that are in these columns the lowest of scores."""
    here = (columns >= 0) & (columns < scores.shape[1])
    scores[rows[here], columns[here]] = -torch.inf


def inverted(items: Tensor) -> Tensor:
    """Return the index parts of keys: the earlier item's is the higher."""
    return (SHIFT - 2) - items


def keyed(scores: Tensor, index: Tensor | int) -> Tensor:
    """Return the keys of scores."""
    bits = scores.view(torch.int32)
    grown = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return grown.to(torch.int64) * SHIFT + index


def unkeyed(keys: Tensor) -> Tensor:
    """Return the scores in keys."""
    grown = (keys >> 32).to(torch.int32)
    return torch.where(grown < 0, grown ^ 0x7FFFFFFF, grown).view(torch.float32)
