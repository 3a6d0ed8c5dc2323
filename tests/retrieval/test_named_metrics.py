"""Results by the metric that is asked for by name: its value, what chance gives, intervals and comparisons."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.retrieval.comparing import compare_features
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import scores_of
from pipeline.retrieval.measures import MEANS, MEANS_AT, POOLED
from pipeline.retrieval.protocols import Protocol, by_choice, by_labels, by_landmarks, by_lists
from pipeline.retrieval.queries import Query
from pipeline.retrieval.scoring import score_features
from pipeline.retrieval.summary import report
from pipeline.retrieval.wanted import Settings

# Six images of the gallery and three queries, on a line: their dot products with a query are these numbers.
GALLERY = np.array([[9.0], [8.0], [7.0], [6.0], [5.0], [4.0]], np.float32)


def summary_of(features: np.ndarray, protocol: Protocol, **options: Any) -> dict[str, Any]:
    chosen = Settings(**{"similarity": "dot", **options})
    names = [str(item) for item in range(len(features))]
    scorer = scores_of(features, protocol, chosen)
    return report(scorer, [protocol], labels=[()] * len(names), contents=names, names=names, settings=chosen)[1]


def test_queries_that_show_nothing_of_the_gallery_by_hand() -> None:
    features = np.concatenate([GALLERY, [[1.0], [0.5], [2.0]]]).astype(np.float32)
    queries = [Query(6, (0,), (), ()), Query(7, (1, 2), (), (0,)), Query(8, (), (), ())]
    found = summary_of(
        features, by_lists(queries, 9), metric="micro_AP@1", more_metrics=["recall_at_P90@1", "recall@1"]
    )
    # The first of each: 9 (right), 4 (right, since the 9 before it is junk), 18 (wrong, and surest): hits at 2 and 3.
    assert found["micro_AP@1"] == found["headline"]["value"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["recall_at_P90@1"] == 0 and found["recall@1"] == 1  # of queries that have an answer
    assert found["queries"] == 2 and found["queries_without_positives"] == 1
    assert found["headline"]["metric"] == "micro_AP@1" and found["headline"]["chance"] is None
    assert list(found["headline"]["intervals"]) == ["queries"]
    assert found["mAP"] == pytest.approx((1 + 1) / 2) and "queries" in found["intervals"]


def test_a_distance_is_the_less_sure_the_larger_it_is() -> None:
    features = np.array([[0.0], [10.0], [1.0], [12.0], [15.0]], np.float32)
    queries = [Query(2, (0,), (), ()), Query(3, (1,), (), ()), Query(4, (), (), ())]
    found = summary_of(features, by_lists(queries, 5), metric="micro_AP@1", similarity="euclidean")
    # Nearest at 1 (right), 2 (right), 5 (wrong): both hits come first.
    assert found["micro_AP@1"] == 1


def test_the_query_counts_in_n_s_by_hand() -> None:
    features = np.array([[1, 0], [1, 0.1], [1, 0.2], [1, 0.3], [0, 1], [0.1, 1], [0.2, 1], [1, 0.05]], np.float32)
    labels = [("a",)] * 4 + [("b",)] * 4
    found = score_features(features, labels, metric="N-S")
    per_query = score_features(features, labels, metric="N-S", per_query=True)["per_query"]["N-S"]
    # Of b the last lies among those of a: it finds none of its own, and takes a place from each of a.
    assert per_query[4] == 3 and per_query[7] == 1
    assert found["N-S"] == found["headline"]["value"] == pytest.approx(per_query.mean())
    # By chance: itself, and 3 of 7 others are right, three times.
    assert found["headline"]["chance"] == pytest.approx(1 + 3 * 3 / 7)
    ends = found["headline"]["intervals"]["queries"]
    assert 1 <= ends["low"] < found["N-S"] < ends["high"] <= 4


def test_a_choice_of_two_by_hand() -> None:
    features = np.array([[3.0], [1.0], [5.0], [5.0], [2.0], [7.0], [1.0], [1.0], [1.0]], np.float32)
    # Right, half (a tie), wrong; what is of no query's pair would be first, and is not ranked.
    queries = [Query(6, (0,), (1,), ()), Query(7, (2,), (3,), ()), Query(8, (4,), (5,), ())]
    found = summary_of(features, by_choice(queries, 9), metric="2AFC")
    assert found["2AFC"] == (1 + 0.5 + 0) / 3
    assert found["headline"]["chance"] == 0.5 and list(found["headline"]["intervals"]) == ["queries"]
    assert found["gallery"] == 6 and found["protocol"] == "choice"


@pytest.mark.parametrize(
    ("query", "what"),
    [(Query(3, (0,), (), ()), "wrong"), (Query(3, (), (0,), ()), "right"), (Query(3, (), (), (0,)), "right")],
)
def test_a_query_without_a_choice_is_refused(query: Query, what: str) -> None:
    with pytest.raises(RetrievalError, match=f"query 1 has no item that is {what} to choose: mend the ground truth"):
        by_choice([Query(2, (0,), (1,), ()), query], 4)


def test_the_divisor_of_a_capped_map_by_hand() -> None:
    features = np.concatenate([GALLERY, [[1.0]]]).astype(np.float32)
    protocol = by_lists([Query(6, (0, 2, 3), (), ())], 7)
    found = summary_of(features, protocol, metric="capped_mAP@2", cutoffs=(2,))
    # A hit at 1 and none at 2: 1 over min(3, 2), where mAP@2 is 1 over 3.
    assert (found["capped_mAP@2"], found["mAP@2"]) == (1 / 2, 1 / 3)


def test_what_is_asked_for_is_there_and_nothing_else_is() -> None:
    features = np.random.default_rng(0).standard_normal((12, 3))
    labels = [name for name in "abc" for _ in range(4)]
    plain = score_features(features, labels)
    assert not [name for name in plain if name.startswith(("capped", "mMP", "trec", "N-S", "2AFC", "micro"))]
    headline = dict(plain["headline"])
    for population, ends in headline.pop("intervals").items():
        assert ends == pytest.approx(plain["intervals"][population])
    assert headline == {"metric": "mAP", "value": plain["mAP"], "chance": plain["mAP_random"]}
    more = score_features(features, labels, more_metrics=["mMP@2", "recall@7"])
    assert more["headline"] == plain["headline"]
    assert set(more) - set(plain) == {"mMP@2"} | {f"{name}@7" for name in ("P", "recall", "nDCG", "mAP")}


@settings(max_examples=30, derandomize=True)
@given(metric=st.sampled_from(["recall@1", "MAP@R", "N-S", "micro_AP@2"]), seed=st.integers(0, 99))
def test_comparisons_are_by_the_metric(metric: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = [str(number // 4) for number in range(32)]
    features = rng.standard_normal((2, 32, 4))
    found = compare_features(features[0], features[1], labels, metric=metric)
    values = [score_features(one, labels, metric=metric)["headline"]["value"] for one in features]
    assert (found["a"], found["b"]) == pytest.approx(values)
    assert found["difference"] == pytest.approx(values[0] - values[1])
    assert found["low"] <= found["difference"] <= found["high"]
    assert found["population"] == ("queries" if metric.startswith("micro") else "classes")


NAMES = [*MEANS, *(f"{name}@2" for name in (*MEANS_AT, *POOLED))]
PROTOCOLS = {
    "labels": by_labels([(str(number % 4),) for number in range(16)]),
    "listed": by_lists([Query(14, (0, 1), (), (2,)), Query(15, (), (), ())], 16),
    "choice": by_choice([Query(14, (0,), (1,), ()), Query(15, (3,), (2,), ())], 16),
    "medium": by_landmarks([Query(14, (0, 1), (3,), (2,)), Query(15, (5,), (6,), ())], 16, difficulty="medium"),
}
# What a protocol does not have.
WITHOUT = {"labels": {"mP@2", "2AFC", "t_mAP@2"}, "listed": {"mP@2", "2AFC"}, "choice": {"mP@2", "t_mAP@2"}}
WITHOUT["medium"] = {"2AFC", "t_mAP@2"}


@pytest.mark.parametrize("asked", ["metric", "more_metrics"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", NAMES)
def test_each_metric_of_each_protocol_is_computed_or_refused(name: str, protocol: str, asked: str) -> None:
    features = np.random.default_rng(3).standard_normal((16, 4)).astype(np.float32)
    options = {asked: name if asked == "metric" else [name], "similarity": "cosine"}
    if name in WITHOUT[protocol]:
        with pytest.raises(RetrievalError, match=rf"^{name} (is no metric of this dataset|needs queries that are out)"):
            summary_of(features, PROTOCOLS[protocol], **options)
        return
    found = summary_of(features, PROTOCOLS[protocol], **options)
    assert 0 <= found[name] <= (4 if name == "N-S" else 1)
    if asked == "metric":
        ends = found["headline"]["intervals"]["queries"]
        assert found["headline"]["value"] == found[name] and ends["low"] <= found[name] <= ends["high"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metric": "R@1"}, "unknown metric 'R@1': one of mAP, .*recall@k"),
        ({"more_metrics": ["mAP@0"]}, "unknown metric 'mAP@0'"),
        ({"metric": "mP@1"}, "mP@1 is no metric of this dataset, whose protocol is 'labels'"),
        ({"more_metrics": ["mP@1"]}, "mP@1 is no metric of this dataset"),
        ({"metric": "2AFC"}, "2AFC is no metric of this dataset, whose protocol is 'labels'"),
        ({"more_metrics": ["2AFC"]}, "2AFC is no metric of this dataset"),
        ({"metric": "t_mAP@1"}, "t_mAP@1 needs queries that are out of distribution"),
        ({"more_metrics": ["t_mAP@1"]}, "t_mAP@1 needs queries that are out of distribution"),
    ],
)
def test_what_is_no_metric(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RetrievalError, match=said):
        score_features(np.eye(4), ["a", "a", "b", "b"], **options)


def test_metrics_of_all_queries_do_not_depend_on_top() -> None:
    rng = np.random.default_rng(1)
    features, labels = rng.standard_normal((40, 4)).astype(np.float32), [(str(number % 8),) for number in range(40)]
    protocol = by_labels(labels)
    values = {summary_of(features, protocol, metric="micro_AP@3", top=top)["micro_AP@3"] for top in (0, 3, 10)}
    assert len(values) == 1
