"""The Pareto front by hand."""

from pipeline.results.pareto import front_of


def test_the_front_by_hand() -> None:
    # (3, 0.6) beats (2, 0.6), which is as good and slower, and (3, 0.5), which is as fast and worse; (4, 0.1) is the
    # fastest; (1, 0.9) the best.
    points = [(3.0, 0.6), (2.0, 0.6), (3.0, 0.5), (4.0, 0.1), (1.0, 0.9), (1.0, 0.8)]
    assert front_of(points, 1) == [(1.0, 0.9), (3.0, 0.6), (4.0, 0.1)]


def test_equal_points_are_both_on_it() -> None:
    assert front_of([(1.0, 0.5), (1.0, 0.5)], 1) == [(1.0, 0.5), (1.0, 0.5)]
