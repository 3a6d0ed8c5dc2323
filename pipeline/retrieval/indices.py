"""Indices of faiss for search among features: what each kind is built with, and what its searches are tuned by.

An index has the rows of a scorer, so that similarity, centre and scale are those of the exact ranking. All are built by
one thread with the seeds that faiss has, so that the same rows give the same index.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from statistics import median
from typing import Annotated, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int
from pydantic import Field
from threadpoolctl import ThreadpoolController

from .distances import Distances
from .errors import RetrievalError
from .optional import faiss_for
from .settings import Count, call, choose
from .similarity import Products, Scorer, sample_of

# Queries that are searched at a time where their rate is measured, and one by one where latency is.
BATCH, SINGLES = 1000, 200
# Seconds that a rate is measured for, at least.
LEAST = 0.2
MOST_BITS = 8
SEARCH = "a search by an index"  # what needs faiss, in an error

Links = Annotated[int, Field(ge=2, le=1024)]
Bits = Annotated[int, Field(ge=1, le=MOST_BITS)]


@dataclass(frozen=True)
class Rows:
    """What an index is made of and asked for.

    Attributes:
        queries: one row per query.
        items: one row per item of the gallery.
        products: whether rows are compared by their products, else by Euclidean distance.
    """

    queries: Float32[np.ndarray, "query dim"]
    items: Float32[np.ndarray, "item dim"]
    products: bool

    @classmethod
    def of(cls, scorer: Scorer) -> "Rows":
        """Return the rows that a scorer compares; :class:`RetrievalError` if it does not compare rows."""
        if isinstance(scorer, Products):
            return cls(scorer.query_rows, scorer.item_rows, products=True)
        if isinstance(scorer, Distances):
            return cls(scorer.products.query_rows, scorer.products.item_rows, products=False)
        raise RetrievalError("the last step of this ranking gives scores without features: no index can hold them")


@dataclass(frozen=True)
class Setting:
    """One setting of the searches in an index.

    Attributes:
        name: of what is tuned, such as ``nprobe``; empty where nothing is.
        value: that it has.
        parameters: the same for faiss, of a search for so many items.
    """

    name: str = ""
    value: int | None = None
    parameters: Callable[[int], Any] | None = None

    @property
    def described(self) -> dict[str, int]:
        """The setting by its name."""
        return {} if self.value is None else {self.name: self.value}


@runtime_checkable
class IndexKind(Protocol):
    """A kind of index, as conf/search/*.yaml describes it."""

    @property
    def exact(self) -> bool:
        """Whether a search compares every item."""

    @property
    def whole(self) -> bool:
        """Whether it keeps features as they are, so that what it finds has the scores of the exact ranking."""

    def resolved(self, items: int, dim: int) -> Mapping[str, int]:
        """Return what it is built with for so many items; :class:`RetrievalError` if it cannot be."""

    def made(self, faiss: Any, dim: int, metric: int, built_with: Mapping[str, int]) -> Any:
        """Return an index of faiss without items."""

    def settings(self, faiss: Any, k: int, built_with: Mapping[str, int]) -> list[Setting]:
        """Return the settings of searches for ``k`` items; :class:`RetrievalError` if one cannot be."""


@dataclass(frozen=True)
class Flat:
    """All rows, one after the other."""

    exact = True
    whole = True

    def resolved(self, items: int, dim: int) -> Mapping[str, int]:
        """Return nothing."""
        return {}

    def made(self, faiss: Any, dim: int, metric: int, built_with: Mapping[str, int]) -> Any:
        """Return an index without items."""
        return faiss.index_factory(dim, "Flat", metric)

    def settings(self, faiss: Any, k: int, built_with: Mapping[str, int]) -> list[Setting]:
        """Return the one setting."""
        return [Setting()]


@dataclass(frozen=True)
class Hnsw:
    """A hierarchical navigable small world: Y. Malkov and D. Yashunin, TPAMI 2020.

    Attributes:
        links: of an item in each layer but the lowest, which has twice as many.
        ef_construction: how many candidates are kept while an item is put in.
        ef_search: the same of a search, one setting each; a search for more items keeps as many as these.
    """

    links: Links
    ef_construction: Count
    ef_search: Sequence[Count]

    exact = False
    whole = True

    def resolved(self, items: int, dim: int) -> Mapping[str, int]:
        """Return links and candidates."""
        return {"links": self.links, "ef_construction": self.ef_construction}

    def made(self, faiss: Any, dim: int, metric: int, built_with: Mapping[str, int]) -> Any:
        """Return an index without items."""
        index = faiss.index_factory(dim, f"HNSW{self.links},Flat", metric)
        index.hnsw.efConstruction = self.ef_construction
        return index

    def settings(self, faiss: Any, k: int, built_with: Mapping[str, int]) -> list[Setting]:
        """Return a setting for each number of candidates.

        Raises:
            RetrievalError: one is less than ``k``: it would be searched as ``k`` is.
        """
        least = min(self.ef_search)
        if least < k:
            raise RetrievalError(f"ef_search {least} is less than the {k} results that are asked for: raise it to {k}")
        values = sorted(set(self.ef_search))
        return [Setting("ef_search", one, cache(partial(self._parameters, faiss, one))) for one in values]

    def _parameters(self, faiss: Any, ef_search: int, asked: int) -> Any:
        """Return the parameters of a search; with fewer candidates than are asked for, faiss stops too early."""
        return faiss.SearchParametersHNSW(efSearch=max(ef_search, asked))


@dataclass(frozen=True)
class IvfFlat:
    """An inverted file: rows in lists by their nearest centroid, of which a search reads some.

    Attributes:
        nlist: how many lists; None: the square root of the number of items.
        nprobe: how many of them a search reads, one setting each; all of them where it is more than there are.
    """

    nprobe: Sequence[Count]
    nlist: Count | None = None

    exact = False
    whole = True

    def resolved(self, items: int, dim: int) -> Mapping[str, int]:
        """Return how many lists there are; :class:`RetrievalError` if there are fewer items."""
        nlist = max(1, round(math.sqrt(items))) if self.nlist is None else self.nlist
        if nlist > items:
            raise RetrievalError(f"nlist is {nlist}, but there are {items} items to learn centroids from: lower it")
        return {"nlist": nlist}

    def made(self, faiss: Any, dim: int, metric: int, built_with: Mapping[str, int]) -> Any:
        """Return an index without items."""
        index = faiss.index_factory(dim, f"IVF{built_with['nlist']},Flat", metric)
        index.cp.min_points_per_centroid = 1  # else it prints a warning of small sets
        return index

    def settings(self, faiss: Any, k: int, built_with: Mapping[str, int]) -> list[Setting]:
        """Return a setting for each number of lists."""
        values = sorted({min(one, built_with["nlist"]) for one in self.nprobe})
        return [Setting("nprobe", one, cache(partial(self._parameters, faiss, one))) for one in values]

    def _parameters(self, faiss: Any, nprobe: int, asked: int) -> Any:
        """Return the parameters of a search, for however many items."""
        return faiss.SearchParametersIVF(nprobe=nprobe)


@dataclass(frozen=True)
class IvfPq(IvfFlat):
    """An inverted file of product-quantised codes: H. Jegou, M. Douze and C. Schmid, TPAMI 2011.

    Attributes:
        parts: of a row, each with a code of its own.
        bits: of a code; None: as many as there are items to learn from, up to ``MOST_BITS``.
    """

    parts: Count = 16
    bits: Bits | None = None

    whole = False

    def resolved(self, items: int, dim: int) -> Mapping[str, int]:
        """Return how many lists, parts and bits there are.

        Raises:
            RetrievalError: the parts do not divide the dimensions, or there are fewer items than centroids.
        """
        if dim % self.parts:
            divisors = [part for part in range(1, dim + 1) if dim % part == 0]
            nearest = min(divisors, key=lambda part: abs(part - self.parts))
            raise RetrievalError(f"{self.parts} parts do not divide {dim} dimensions: set parts to {nearest}")
        most = min(MOST_BITS, items.bit_length() - 1)
        if most < 1 or (self.bits or 0) > most:
            raise RetrievalError(
                f"codes of {self.bits or 1} bits need {2 ** (self.bits or 1)} items to learn from, and there are "
                f"{items}: set bits to {most}, or null"
                if most
                else "one item is not enough to learn codes from: search by flat"
            )
        return {**super().resolved(items, dim), "parts": self.parts, "bits": self.bits or most}

    def made(self, faiss: Any, dim: int, metric: int, built_with: Mapping[str, int]) -> Any:
        """Return an index without items."""
        lists = f"IVF{built_with['nlist']},PQ{built_with['parts']}x{built_with['bits']}np"
        index = faiss.index_factory(dim, lists, metric)
        index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1
        return index


KINDS: Mapping[str, type[IndexKind]] = {"flat": Flat, "hnsw": Hnsw, "ivf_flat": IvfFlat, "ivf_pq": IvfPq}


def read_kind(config: Mapping[str, Any], *, where: str) -> IndexKind:
    """Return the kind of index that a YAML describes.

    Raises:
        RetrievalError: it is unknown; a key is unknown, missing or of another type; nothing is to be tuned.
    """
    options = dict(config)
    made = call(choose(KINDS, options.pop("kind", None), key="kind", where=where), options, where=where)
    for name, value in options.items():
        if isinstance(value, list) and not value:
            raise RetrievalError(f"{where}: '{name}' is empty: give a value or more")
    return made


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """Let faiss, and what it multiplies with, compute by so many threads inside the block."""
    faiss = faiss_for(SEARCH)
    before = faiss.omp_get_max_threads()
    with ThreadpoolController().limit(limits=threads):
        faiss.omp_set_num_threads(threads)
        try:
            yield
        finally:
            faiss.omp_set_num_threads(before)


@dataclass(frozen=True)
class Index:
    """An index that holds a gallery.

    Attributes:
        kind: of which it is.
        built_with: what it was built with.
        settings: of its searches.
        index: that of faiss.
        seconds: that it took to build, by one thread.
    """

    kind: IndexKind
    built_with: Mapping[str, int]
    settings: Sequence[Setting]
    index: Any
    seconds: float

    @property
    def bytes(self) -> int:
        """Its size as a file."""
        faiss, written = faiss_for(SEARCH), 0

        def count(block: bytes) -> int:
            nonlocal written
            written += len(block)
            return len(block)

        faiss.write_index(self.index, faiss.PyCallbackIOWriter(count))
        return written

    def search(
        self, queries: Float32[np.ndarray, "query dim"], k: int, setting: Setting
    ) -> Int[np.ndarray, "query found"]:
        """Return the places of the first ``k`` items that are found, or of all, best first; -1 past the end."""
        most = min(k, self.index.ntotal)
        options = {} if setting.parameters is None else {"params": setting.parameters(most)}
        # faiss.contrib.torch_utils, which other libraries import, puts a search in its place that takes no parameters.
        search = getattr(self.index, "search_numpy", self.index.search)
        found: Int[np.ndarray, "query found"] = search(np.ascontiguousarray(queries), most, **options)[1]
        return found


def build(kind: IndexKind, rows: Rows, *, k: int, where: str) -> Index:
    """Return an index that holds the items of ``rows``, for searches for ``k`` of them.

    Raises:
        RetrievalError: see :class:`IndexKind`; it begins with ``where``. faiss is not installed.
    """
    faiss = faiss_for(SEARCH)
    count, dim = rows.items.shape
    try:
        built_with = kind.resolved(count, dim)
        settings = kind.settings(faiss, k, built_with)
    except RetrievalError as error:
        raise RetrievalError(f"{where}: {error}") from None
    index = kind.made(faiss, dim, faiss.METRIC_INNER_PRODUCT if rows.products else faiss.METRIC_L2, built_with)
    items = np.ascontiguousarray(rows.items)
    with computing(1):
        start = time.perf_counter()
        index.train(items)
        index.add(items)
        seconds = time.perf_counter() - start
    return Index(kind, built_with, settings, index, seconds)


@dataclass(frozen=True)
class Speed:
    """How fast searches are.

    Attributes:
        queries_per_second: by one thread, many queries at a time.
        queries_per_second_all_cores: by all cores.
        p50_ms: milliseconds that half of single queries take at most, by one thread.
        p95_ms: that 95 % of them take at most.
    """

    queries_per_second: float
    queries_per_second_all_cores: float
    p50_ms: float
    p95_ms: float


def speed_of(index: Index, queries: Float32[np.ndarray, "query dim"], k: int, setting: Setting) -> Speed:
    """Measure searches for ``k`` items: rates of up to ``BATCH`` queries at a time, latencies of up to ``SINGLES``."""
    batch, singles = (np.ascontiguousarray(sample_of(queries, most)) for most in (BATCH, SINGLES))
    whole = partial(index.search, batch, k, setting)
    with computing(1):
        one = rate_of(whole, len(batch))
        times = [seconds_of(partial(index.search, row[None], k, setting)) for row in singles]
    with computing(cores()):
        every = rate_of(whole, len(batch))
    middle, late = np.quantile(times, (0.5, 0.95)) * 1000
    return Speed(one, every, float(middle), float(late))


def rate_of(search: Callable[[], object], queries: int) -> float:
    """Return queries per second of a search for so many: by the median of several, for ``LEAST`` seconds together."""
    search()  # the first one takes fresh memory
    times: list[float] = []
    while sum(times) < LEAST:
        times.append(seconds_of(search))
    return queries / median(times)


def seconds_of(search: Callable[[], object]) -> float:
    """Return the seconds that a search takes."""
    start = time.perf_counter()
    search()
    return time.perf_counter() - start


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
