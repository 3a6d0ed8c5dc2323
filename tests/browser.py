"""A real browser without a network, and what tests ask of every page in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

BINARIES = ("chromium", "chromium-browser", "google-chrome")
# Whatever would make the browser itself ask for something.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
]
expect.set_options(timeout=30_000)  # what is first searched for waits for torch, on a busy machine for long
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def find_browser() -> str:
    """The path of Chromium; the test is skipped where there is none."""
    found = [path for path in map(shutil.which, BINARIES) if path]
    if not found:
        pytest.skip(f"no browser: install one of {', '.join(BINARIES)} (Debian: apt-get install chromium)")
    return found[0]


@contextmanager
def started() -> Iterator[Browser]:
    path = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, and everything that went wrong on it or left the machine.

    Attributes:
        page: to drive.
        problems: console errors and warnings, exceptions, dialogs, requests that failed.
        requests: the addresses that were asked for.
    """

    page: Page
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        def dialog(shown: Any) -> None:
            self.problems.append(f"dialog: {shown.message}")
            shown.dismiss()

        def console(message: Any) -> None:
            if message.type in ("error", "warning"):
                self.problems.append(f"{message.type}: {message.text}")

        def failed(request: Any) -> None:
            # What the page was still loading when the next was opened is aborted by the browser: no fault of the page.
            # A file that is not there, a refused connection and a blocked address have other names.
            if request.failure != "net::ERR_ABORTED":
                self.problems.append(f"failed: {request.url} ({request.failure})")

        self.page.on("console", console)
        self.page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        self.page.on("requestfailed", failed)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", dialog)

    def violations(self) -> list[str]:
        """What axe finds wrong with the page for people who cannot see or point."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']][:3]}" for one in found]

    def too_wide(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


@contextmanager
def watched(browser: Browser, **options: Any) -> Iterator[Watched]:
    """A page in a context of its own: no cookies, no cache, offline unless said otherwise."""
    context = browser.new_context(**{"offline": True, "viewport": WIDE, **options})
    yield Watched(context.new_page())
    context.close()
