"""The settings of the descriptors; what they compute is in test_encoders.py."""

import pytest

from pipeline.encoders.handcrafted import build
from pipeline.retrieval.errors import RetrievalError


@pytest.mark.parametrize(
    ("name", "settings", "match"),
    [
        ("raw_pixels", None, "expected keys and values, got 'None'"),
        ("raw_pixels", {"side": "16"}, "'side' is '16': expected an integer"),
        ("raw_pixels", {"side": 0}, "'side' is 0: expected an integer from 1"),
        ("color_histogram", {"bins": 0}, "'bins' is 0: expected an integer from 1"),
        ("color_histogram", {"bins": -8}, "'bins' is -8: expected an integer from 1"),
        ("hog", {"side": 128, "cell": 0, "orientations": 9}, "'cell' is 0: expected an integer from 1"),
        ("hog", {"side": 128, "cell": 16, "orientations": 0}, "'orientations' is 0: expected an integer from 1"),
        ("hog", {"side": 31, "cell": 16, "orientations": 9}, "'side' is 31: expected at least 32, as a block is 2 x 2"),
    ],
)
def test_settings_of_the_descriptors(name: str, settings: object, match: str) -> None:
    with pytest.raises(RetrievalError, match=f"handcrafted encoder.*settings: {match}"):
        build(name, settings)


def test_the_smallest_descriptors() -> None:
    assert build("raw_pixels", {"side": 1}).dim == 3
    assert build("color_histogram", {"bins": 1}).dim == 1
    assert build("hog", {"side": 2, "cell": 1, "orientations": 1}).dim == 4
