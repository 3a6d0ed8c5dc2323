"""A dataset in parts, and who encodes them: this process, or a cluster (:mod:`pipeline.extraction.parts_by_ray`)."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from pipeline.encoders.encoder import Encoder
from pipeline.extraction.encoding import DecodedImages, Encoding, batches
from pipeline.extraction.latency import latencies
from pipeline.extraction.provenance import machine_of
from pipeline.extraction.runtime import Runtime


@dataclass(frozen=True)
class Part:
    """Some consecutive images of a dataset, whose features are made and kept together.

    Batches end with the parts, so that features are the same, to the bit, in however many runs and wherever they are
    made.
    """

    number: int
    places: range

    def batches(self, size: int, images: DecodedImages) -> list[Sequence[int]]:
        """Return the places in batches of at most ``size``, each of inputs of one size."""
        return [
            alike[first : first + size] for alike in images.alike(self.places) for first in range(0, len(alike), size)
        ]


def parts_of(images: int, length: int) -> list[Part]:
    """Return the parts of so many images."""
    starts = range(0, images, length)
    return [Part(number, range(start, min(start + length, images))) for number, start in enumerate(starts)]


# Features of a part, and the seconds since those before.
Encoded = tuple[Part, Float32[np.ndarray, "image dim"], float]
Done = Callable[[int], Any]


@runtime_checkable
class Engine(Protocol):
    """Who encodes."""

    def trial(self, encoder: Encoder, runtime: Runtime) -> tuple[Encoder, Runtime]:
        """Return with what this process tries a few images before the rest is encoded."""

    def encoded(
        self, encoder: Encoder, images: DecodedImages, runtime: Runtime, parts: Sequence[Part], done: Done
    ) -> Iterator[Encoded]:
        """Yield the features of every part as they are finished, in any order.

        Args:
            encoder: on the CPU.
            images: of the dataset.
            runtime: how to run.
            parts: of the dataset.
            done: told of so many more images.

        Raises:
            RetrievalError: an image cannot be used; a feature has the wrong dimension.
        """

    def machine(self, runtime: Runtime) -> dict[str, Any]:
        """Return on what it was done, for the provenance."""

    def latencies(self, encoder: Encoder, images: DecodedImages, runtime: Runtime) -> list[float]:
        """Return the seconds that some images take alone (see :mod:`pipeline.extraction.latency`), or none."""


class Here:
    """This process encodes."""

    def __init__(self) -> None:
        """Start without one."""
        self.encoding: Encoding | None = None  # kept, as it learns how large a batch may be

    def trial(self, encoder: Encoder, runtime: Runtime) -> tuple[Encoder, Runtime]:
        """See :meth:`Engine.trial`."""
        return encoder, runtime

    def encoded(
        self, encoder: Encoder, images: DecodedImages, runtime: Runtime, parts: Sequence[Part], done: Done
    ) -> Iterator[Encoded]:
        """See :meth:`Engine.encoded`; the parts come in their order."""
        encoding = self.encoding_of(encoder, runtime)
        chunks = {part.number: part.batches(runtime.resolved_batch_size(), images) for part in parts}
        # Decoding ahead goes on across the end of a part.
        stream = batches(images, [chunk for part in parts for chunk in chunks[part.number]], runtime)
        for part in parts:
            started = time.perf_counter()
            rows = np.empty((len(part.places), encoder.dim), np.float32)
            for chunk in chunks[part.number]:
                rows[np.asarray(chunk) - part.places.start] = encoding(next(stream), images.names(chunk))
                done(len(chunk))
            yield part, rows, time.perf_counter() - started

    def machine(self, runtime: Runtime) -> dict[str, Any]:
        """See :meth:`Engine.machine`."""
        return machine_of(runtime)

    def latencies(self, encoder: Encoder, images: DecodedImages, runtime: Runtime) -> list[float]:
        """See :meth:`Engine.latencies`."""
        return latencies(self.encoding_of(encoder, runtime), images)

    def encoding_of(self, encoder: Encoder, runtime: Runtime) -> Encoding:
        """Return the encoder on the device, the same one as before where it is."""
        device = runtime.resolved_device()
        if self.encoding is None or self.encoding.encoder is not encoder or self.encoding.device != device:
            self.encoding = Encoding(encoder, device)
        return self.encoding
