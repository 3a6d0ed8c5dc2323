"""How tests open the page, and what they know of what it shows."""

import json
from typing import Any
from urllib.parse import urlencode

import numpy as np

from tests.browser import Watched
from tests.conftest import Project


def address(project: Project, **chosen: object) -> str:
    hash_ = f"#{urlencode(chosen)}" if chosen else ""
    return f"{(project.top / 'plots/report/index.html').as_uri()}{hash_}"


def ready(seen: Watched) -> None:
    seen.page.wait_for_selector("#rankings li img")
    seen.page.wait_for_selector("#chart svg.marks")
    seen.page.wait_for_selector("#cost-chart svg.marks")
    seen.page.wait_for_selector("#heat tbody tr")


def results(project: Project, dataset: str, run: str) -> dict[str, np.ndarray]:
    with np.load(project.top / f"metrics/per_query/{dataset}/{run}.npz") as arrays:
        return dict(arrays)


def metrics(project: Project, run: str, dataset: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.top / f"metrics/runs/{run}/{dataset}.json").read_text())
    return found


def curves(seen: Watched) -> int:
    return seen.page.locator("#chart svg .runs_marks path").count()
