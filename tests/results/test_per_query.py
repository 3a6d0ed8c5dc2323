"""Which arrays of a run's results are metrics of queries, and what they may hold."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.results.per_query import METRIC, read_metrics
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.measures import MEANS, MEANS_AT, POOLED, measure_of, most_of


def saved(directory: Path, **arrays: np.ndarray) -> Path:
    (directory / "d").mkdir(exist_ok=True)
    path = directory / "d/a.npz"
    whole = {"queries": np.arange(2), "AP": np.ones(2), "positives": np.full(2, 2), "candidates": np.full(2, 9)}
    np.savez(path, **whole, **arrays)  # type: ignore[arg-type]
    return path


def test_every_metric_that_is_of_queries_is_read(tmp_path: Path) -> None:
    columns = [measure_of(name).column for name in (*MEANS, *(f"{name}@7" for name in MEANS_AT))]
    named = {column: np.ones(2) for column in columns if column and column != "AP"}
    assert {"N-S", "2AFC", "capped_AP@7", "MP@7", "trec_recall@7", "mP@7", "AP_interpolated"} <= set(named)
    others = {"AP_ties_for": np.ones(2), "fine": np.ones(2), "P@x": np.ones(2), "xAP@7": np.ones(2)}
    assert set(read_metrics(saved(tmp_path, **named, **others))) == {"AP", *named, "positives", "candidates"}
    assert METRIC.fullmatch("AP_random") and not any(METRIC.fullmatch(f"{name}@1") for name in POOLED)


def test_n_s_goes_up_to_four(tmp_path: Path) -> None:
    assert read_metrics(saved(tmp_path, **{"N-S": np.array([1.0, 4.0])}))["N-S"].tolist() == [1, 4]
    assert measure_of("N-S").most == most_of("N-S") == 4 and measure_of("mAP@5").most == most_of("AP@5") == 1


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [("N-S", 4.1, "N-S has what is not between 0 and 4"), ("MP@5", 1.1, "MP@5 has what is not between 0 and 1")],
)
def test_more_than_there_can_be(tmp_path: Path, name: str, value: float, problem: str) -> None:
    with pytest.raises(RetrievalError, match=rf"{problem}\): run dvc repro evaluate@a-d"):
        read_metrics(saved(tmp_path, **{name: np.array([1.0, value])}))
    with pytest.raises(RetrievalError, match=rf"{problem}\)"):
        read_metrics(saved(tmp_path, **{name: np.array([1.0, np.nan])}))
