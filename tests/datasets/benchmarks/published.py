"""Miniatures of published benchmarks: their YAMLs read with another root, and who is whose positive after it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.datasets.preparing import prepare
from pipeline.datasets.readers import read_dataset
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.manifest.protocols import protocols_of
from pipeline.manifest.rules import rules_in
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.protocols import Protocol
from tests.conftest import TOP


def published(name: str, raw: Path, **changes: object) -> dict[str, Any]:
    """Return conf/dataset/<name>.yaml with ``data/raw`` elsewhere and without ``expected``."""
    text = (TOP / f"conf/dataset/{name}.yaml").read_text(encoding="utf-8").replace("data/raw", str(raw))
    config: dict[str, Any] = yaml.safe_load(text)
    assert rules_in(config, where=name)
    del config["expected"]
    return {**config, **changes}


def refuses_a_miniature(name: str, config: Mapping[str, Any]) -> None:
    """Check that the YAML as it stands refuses what is not as large as the published set."""
    expected = yaml.safe_load((TOP / f"conf/dataset/{name}.yaml").read_text(encoding="utf-8"))["expected"]
    refused(f"{name}.yaml: .* queries, not {expected['queries']:,}", name, {**config, "expected": expected})


def refused(match: str, name: str, config: Mapping[str, Any]) -> None:
    """Check that a dataset is refused in one line."""
    with pytest.raises(RetrievalError, match=match) as caught:
        read_dataset(name, config, Path("unused"))
    assert "\n" not in str(caught.value)


def prepared(name: str, config: dict[str, Any], folder: Path) -> tuple[Manifest, Protocol]:
    """Run ``prepare`` and return what it wrote, and its protocol."""
    prepare(name, config, folder / "prepared" / name)
    manifest = read_manifest(folder / "prepared" / name)
    return manifest, protocols_of(manifest, difficulty="medium")[0]


def answers(manifest: Manifest, protocol: Protocol) -> dict[str, tuple[set[str], set[str]]]:
    """Return for the path of each query those of its positives and of what is left out of its ranking."""
    positives, ignored = protocol.judge(0, len(protocol.queries))
    gallery = [manifest.paths[item] for item in protocol.gallery]
    rows = zip(protocol.queries, positives.rows(), ignored.rows(), strict=True)
    return {
        manifest.paths[query]: ({gallery[place] for place in right}, {gallery[place] for place in out})
        for query, right, out in rows
    }
