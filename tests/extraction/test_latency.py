"""Latency of one image: what is in it, of which images, and when enough is known, by a clock that the test sets."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from pipeline.extraction.encoding import DecodedImages, Encoding
from pipeline.extraction.latency import LEAST, MOST, WARMING, latencies


class Time:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Images(DecodedImages):
    """Images whose files take 100 s to read, and whose preparation takes a given time; the network's input is which."""

    def __init__(self, count: int, clock: Time, seconds: float) -> None:
        self.count, self.clock, self.seconds = count, clock, seconds

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> bytes:
        self.clock.now += 100
        return bytes([index])

    def prepared(self, index: int, data: bytes) -> Tensor:
        assert data == bytes([index])
        self.clock.now += self.seconds
        return torch.tensor([index])

    def names(self, places: Sequence[int]) -> list[str]:
        return [str(place) for place in places]


class Network(Encoding):
    """A network that takes 1/64 s for an image, and remembers which it saw."""

    def __init__(self, clock: Time) -> None:
        self.clock, self.seen = clock, list[int]()

    def __call__(self, batch: Tensor, names: Sequence[str]) -> None:  # type: ignore[override]
        assert batch.shape == (1, 1)
        self.clock.now += 1 / 64
        self.seen.append(int(batch))


@pytest.mark.parametrize(
    ("count", "preparation", "expected"),
    [
        (99, 0.0, 32),  # 32 * 1/64 s = 0.5 s
        (99, 1 / 64, 16),  # 16 * 2/64 s = 0.5 s
        (99, 9.0, LEAST),
        (99, -1 / 64, MOST),  # nothing at all is never half a second
        (12, 0.0, 12),
        (1, 0.0, 1),
    ],
)
def test_as_many_images_as_half_a_second_has_room_for(count: int, preparation: float, expected: int) -> None:
    clock = Time()
    network = Network(clock)
    found = latencies(network, Images(count, clock, preparation), clock)
    assert found == [1 / 64 + preparation] * expected  # to read a file is not in it
    warming, timed = network.seen[: min(WARMING, count)], network.seen[min(WARMING, count) :]
    assert len(timed) == len(set(timed)) == expected and warming == timed[: len(warming)]


def test_they_are_from_all_over_the_dataset_and_always_the_same() -> None:
    seen = []
    for _ in range(2):
        clock = Time()
        network = Network(clock)
        latencies(network, Images(200, clock, 0.0), clock)
        seen.append(network.seen)
    assert seen[0] == seen[1] and min(seen[0]) < 50 and max(seen[0]) >= 150
