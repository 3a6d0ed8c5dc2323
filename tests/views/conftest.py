"""The page in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import Watched, started, watched
from tests.conftest import Project
from tests.views.opening import address, ready


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.fixture
def opened(browser: Browser, small_project: Project) -> Iterator[Watched]:
    """The page, opened from the disk; at the end nothing may have gone wrong or left the machine."""
    with watched(browser) as seen:
        seen.page.goto(address(small_project))
        ready(seen)
        yield seen
        assert seen.problems == []
        assert {url.split(":")[0] for url in seen.requests} <= {"file", "data"}
