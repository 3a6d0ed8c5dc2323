"""A benchmark's YAML on a miniature of it: what is asked, what is ranked, and what is relevant."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from pipeline.datasets.listing import Listing
from pipeline.datasets.preparing import prepare
from pipeline.datasets.readers import read_dataset
from pipeline.manifest.manifest import read_manifest
from pipeline.manifest.protocols import protocols_of
from pipeline.manifest.rules import rules_in
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.ragged import Ragged
from tests.conftest import TOP


class Asked(NamedTuple):
    """What becomes of a query: the items that are relevant, and all that are ranked."""

    relevant: set[str]
    ranked: set[str]


def published(name: str, root: Path, **changes: object) -> dict[str, Any]:
    """Return a YAML of conf/dataset with another root, without the counts of the real dataset."""
    config = yaml.safe_load((TOP / f"conf/dataset/{name}.yaml").read_text())
    assert config["root"].startswith("data/raw/")
    rules_in(config, where=name)
    return {**{key: value for key, value in config.items() if key != "expected"}, "root": str(root), **changes}


def listed(config: Mapping[str, Any]) -> Listing:
    return read_dataset("own", config, Path("unused"))


def asked(config: dict[str, Any], folder: Path) -> dict[str, Asked]:
    """Prepare a dataset, read its manifest again, and return from each query's path to what is relevant to it."""
    prepare("own", config, folder / "prepared")
    manifest = read_manifest(folder / "prepared")
    [protocol] = protocols_of(manifest, difficulty="medium")
    gallery = [manifest.paths[item] for item in protocol.gallery.tolist()]

    def named(rows: Ragged, number: int) -> set[str]:
        return {gallery[place] for place in rows.values[rows.starts[number] : rows.starts[number + 1]]}

    positives, ignored = protocol.judge(0, len(protocol.queries))
    found = {
        manifest.paths[query]: Asked(named(positives, number), set(gallery) - named(ignored, number))
        for number, query in enumerate(protocol.queries.tolist())
    }
    assert len(found) == len(protocol.queries)
    return found


def leave_one_out(classes: Mapping[str, str]) -> dict[str, Asked]:
    """Return what is asked where every image is a query against all others, from the class of each, by definition."""
    return {
        query: Asked(
            {other for other in classes if other != query and classes[other] == classes[query]},
            {other for other in classes if other != query},
        )
        for query in classes
    }


def apart(queries: Mapping[str, str], gallery: Mapping[str, str]) -> dict[str, Asked]:
    """Return what is asked of queries against a gallery of its own, from the class of each, by definition."""
    return {
        query: Asked({other for other, its in gallery.items() if its == label}, set(gallery))
        for query, label in queries.items()
    }


def refused(config: Mapping[str, Any], match: str) -> None:
    with pytest.raises(RetrievalError, match=match) as caught:
        listed(config)
    assert "\n" not in str(caught.value)


def refuses_other_counts(name: str, root: Path, match: str, **changes: object) -> None:
    """Check that the counts in a YAML do not let a miniature pass for the dataset."""
    expected = yaml.safe_load((TOP / f"conf/dataset/{name}.yaml").read_text())["expected"]
    refused(published(name, root, expected=expected, **changes), match)


def windows(path: Path) -> None:
    """Write a list as Windows does: with a byte order mark, and two characters at the end of a line."""
    path.write_text("\ufeff" + path.read_text().replace("\n", "\r\n"), encoding="utf-8", newline="")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
