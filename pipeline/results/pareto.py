"""What nothing else beats both in what it costs and in quality."""

from collections.abc import Sequence


def front_of(points: Sequence[tuple[float, float]], better: int) -> list[tuple[float, float]]:
    """Return the Pareto front of points (cost, metric) by cost: those that no other equals or beats in both.

    Of equal points all are on it. ``better`` is 1 where more of the cost is better, as of speed, -1 where less is.
    """

    def beats(other: tuple[float, float], one: tuple[float, float]) -> bool:
        return other != one and better * (other[0] - one[0]) >= 0 and other[1] >= one[1]

    return sorted(one for one in points if not any(beats(other, one) for other in points))
