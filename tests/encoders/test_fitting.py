"""Which encoder has features of which dataset, by what their YAMLs say."""

from pathlib import Path

import pytest
import yaml

from pipeline.check import refuse_misfits
from pipeline.encoders.fitting import misfit
from pipeline.frame.experiment import Experiment
from pipeline.retrieval.errors import RetrievalError

MADE = {"source": "precomputed", "datasets": {"seen": {}}}


@pytest.mark.parametrize(
    ("config", "described", "said"),
    [
        ({"source": "timm"}, {"kind": "list"}, None),
        ({"source": "timm"}, {"kind": "list", "images": "none"}, "takes images, and dataset 'seen' has none"),
        (MADE, {"kind": "list"}, None),
        (MADE, {"kind": "list", "images": "none"}, None),
        ({"source": "timm"}, {"text_queries": {}}, "has no text tower, and dataset 'seen' asks by texts: drop one"),
        ({"source": "timm"}, {"kind": "ilias", "queries": "text"}, "has no text tower, and dataset 'seen' asks by"),
        ({"source": "timm"}, {"kind": "ilias", "queries": "image"}, None),
        ({"source": "huggingface", "text": {"tokens": 77}}, {"text_queries": {}}, None),
        ({"source": "open_clip", "text": True}, {"text_queries": {}}, None),
        ({"source": "open_clip", "text": {}}, {"text_queries": {}}, None),
        ({"source": "open_clip", "text": False}, {"text_queries": {}}, "has no text tower, and dataset 'seen' asks by"),
        ({"source": "open_clip"}, {"text_queries": {}}, "has no text tower, and dataset 'seen' asks by texts: drop"),
        (MADE, {"text_queries": {}}, None),
        ({"source": "precomputed", "datasets": {"other": {}}}, {}, "has no features of 'seen': add them under"),
        ({"source": "precomputed", "datasets": 3}, {}, "has no features of 'seen'"),
        ({"source": "precomputed"}, {}, "has no features of 'seen'"),
    ],
)  # fmt: skip
def test_what_goes_together(config: dict[str, object], described: dict[str, object], said: str | None) -> None:
    found = misfit("mine", config, "seen", described)
    assert found is None if said is None else str(found).startswith("encoder 'mine' ") and said in str(found)


def test_the_first_stage_says_what_does_not(tmp_path: Path) -> None:
    for name, content in {"encoder/mine": MADE, "dataset/seen": {"kind": "list"}, "dataset/more": {}}.items():
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    refuse_misfits(Experiment(("mine",), ("seen",), "mine"), tmp_path)
    with pytest.raises(
        RetrievalError, match="encoder 'mine' has no features of 'more': add them under 'datasets' in its"
    ):
        refuse_misfits(Experiment(("mine",), ("seen", "more"), "mine"), tmp_path)
