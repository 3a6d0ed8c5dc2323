"""How long one image takes alone, as a query does: from the bytes of its file to its feature."""

import random
import time
from collections.abc import Callable

from pipeline.extraction.encoding import DecodedImages, Encoding

MOST, LEAST = 50, 10  # images that are timed
SECONDS = 0.5  # after which no more are than the least
WARMING = 2  # images before them: the first alone takes longer, since buffers and kernels of its shape are made then


def latencies(encoding: Encoding, images: DecodedImages, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Return the seconds that each of some images takes, one after the other: decoding, preprocessing, network.

    They are drawn at random with a fixed seed, each at most once. To read a file and to check its hash is left out:
    a query comes from elsewhere.

    Args:
        encoding: whose network has seen other images before.
        images: of a dataset.
        clock: in seconds.

    Raises:
        RetrievalError: an image cannot be used.
    """
    chosen = random.Random(0).sample(range(len(images)), min(MOST, len(images)))
    for index in chosen[:WARMING]:
        encoding(images.prepared(index, images.read(index))[None], images.names([index]))
    taken: list[float] = []
    for index in chosen:
        data, names = images.read(index), images.names([index])
        started = clock()
        encoding(images.prepared(index, data)[None], names)
        taken.append(clock() - started)
        if len(taken) >= LEAST and sum(taken) >= SECONDS:
            break
    return taken
