"""What nothing else beats both in speed and in quality."""

from collections.abc import Sequence


def front_of(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the Pareto front of points (speed, metric), from the slowest: those that no other equals or beats in both.

    Of equal points all are on it.
    """
    beaten = {one for one in points for other in points if other != one and other[0] >= one[0] and other[1] >= one[1]}
    return sorted(one for one in points if one not in beaten)
