"""Means without groups of classes or images, against evaluating what is left when they are really removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.retrieval import partitions
from pipeline.retrieval.evaluation import Evaluation, evaluate, scores_of
from pipeline.retrieval.left_out import Sums, leave_out_each, left_out_of, sums_of
from pipeline.retrieval.metrics import Rule
from pipeline.retrieval.partitions import Partition
from pipeline.retrieval.protocols import Difficulty, Protocol, by_labels, by_landmarks
from pipeline.retrieval.queries import Query
from pipeline.retrieval.similarity import Kind, Scorer
from pipeline.retrieval.wanted import Settings

RULES: tuple[Rule, ...] = ("rectangle", "trapezoid")
METRICS = ["mAP", "mAP_rectangle", "mAP_trapezoid", "mAP_interpolated", "MAP@R", "R-precision", "MRR"]
METRICS += ["recall@1", "recall@3", "P@3", "mAP@3", "nDCG@1", "nDCG@3", "capped_mAP@3", "mMP@3", "trec_recall@3", "N-S"]


@dataclass(frozen=True)
class Case:
    """A set whose items are judged by labels; features are whole numbers, so that scores are exact and often equal."""

    features: np.ndarray
    labels: list[tuple[str, ...]]
    roles: list[str]
    groups: list[str | None]

    def protocol(self) -> Protocol:
        return by_labels(self.labels, roles=self.roles, groups=self.groups)

    def kept(self, kept: Sequence[int], labels: Sequence[tuple[str, ...]]) -> "Case":
        """Some of the items, with the labels that all would have."""
        return Case(
            self.features[list(kept)],
            [labels[item] for item in kept],
            [self.roles[item] for item in kept],
            [self.groups[item] for item in kept],
        )


@st.composite
def cases(draw: st.DrawFn, *, names: str = "abcde", several: bool = False) -> Case:
    count = draw(st.integers(6, 24))
    listed = st.lists(st.sampled_from(names), min_size=0, max_size=3 if several else 1, unique=True)
    # A label that only the gallery has, and distractors without any.
    labels = draw(st.lists(listed, min_size=count, max_size=count))
    roles = draw(st.lists(st.sampled_from(["both", "both", "query", "gallery"]), min_size=count, max_size=count))
    bursts = draw(st.lists(st.sampled_from([None, None, None, "p", "q"]), min_size=count, max_size=count))
    only = draw(st.booleans())
    rows = [
        tuple([*row, "z"] if only and role == "gallery" and number % 3 == 0 else row)
        for number, (row, role) in enumerate(zip(labels, roles, strict=True))
    ]
    # What only asks has a label.
    roles = ["gallery" if role == "query" and not row else role for role, row in zip(roles, rows, strict=True)]
    # At least one query that has something to find.
    rows[:2], roles[:2], bursts[:2] = [("a",), ("a",)], ["both", "both"], [None, None]
    features = np.random.default_rng(draw(st.integers(0, 999))).integers(-2, 3, (count, 3)).astype(np.float32)
    return Case(features, rows, roles, bursts)


def chosen(rule: Rule, similarity: Kind = "dot", **more: Any) -> Settings:
    return Settings(similarity, ap=rule, queries_without_positives="skip", cutoffs=(1,), top=0, **more)


def evaluated(features: np.ndarray, protocol: Protocol, options: Settings) -> Evaluation:
    names = [str(item) for item in range(len(features))]
    return evaluate(scores_of(features, protocol, options), protocol, names=names, settings=options)


def means_of(evaluation: Evaluation) -> np.ndarray:
    return np.array(
        [evaluation.ap.mean(), *evaluation.interpolated.mean(axis=0), evaluation.value / evaluation.measure.most]
    )


def columns_of(hits: Sequence[bool], rule: Rule) -> np.ndarray | None:
    """Return AP, the interpolated precisions and AP as the metric, from their definitions; None without positives."""
    ranks = [rank for rank, hit in enumerate(hits, start=1) if hit]
    if not ranks:
        return None
    total, area = len(ranks), 0.0
    for found, rank in enumerate(ranks, start=1):
        before = 1.0 if rank == 1 else (found - 1) / (rank - 1)
        area += found / rank if rule == "rectangle" else (before + found / rank) / 2
    curve = [
        max(found / rank for found, rank in enumerate(ranks, start=1) if 10 * found >= level * total)
        for level in range(11)
    ]
    return np.array([area / total, *curve, area / total])


def all_scores(scorer: Scorer) -> np.ndarray:
    scores = np.empty((scorer.queries, scorer.items), np.float32)
    scorer.fill(slice(0, scorer.queries), slice(0, scorer.items), scores)
    return scores


def bits(masks: np.ndarray, group: int) -> np.ndarray:
    """Return what goes with a group: what has just its bit."""
    return masks == np.uint64(1) << np.uint64(group)


def groups_of_labels(case: Case, partition: Partition) -> dict[str, int]:
    """Return the group of each label that a query has."""
    queries = case.protocol().queries
    asked = sorted({name for item in queries.tolist() for name in case.labels[item]})
    if partition.label_groups is not None:
        return {name: int(mask).bit_length() - 1 for name, mask in zip(asked, partition.label_groups, strict=True)}
    return {
        case.labels[item][0]: int(mask).bit_length() - 1
        for item, mask in zip(queries.tolist(), partition.queries, strict=True)
    }


def without_classes(case: Case, gone: set[str]) -> Case | None:
    """Return the set without these classes: what has no other label is gone; None if there is nothing to ask."""
    labels = [tuple(name for name in row if name not in gone) for row in case.labels]
    kept = [item for item, row in enumerate(case.labels) if labels[item] or not row]
    left = case.kept(kept, labels)
    asked = any(row and role != "gallery" for row, role in zip(left.labels, left.roles, strict=True))
    return left if asked and any(role != "query" for role in left.roles) else None


def check_classes(case: Case, rule: Rule) -> None:
    found = evaluated(case.features, case.protocol(), chosen(rule))
    partition = case.protocol().partitions(0).get("classes")
    assert ("classes" in found.left_out) == (partition is not None)
    if partition is None:
        return
    numbers = groups_of_labels(case, partition)
    left_out = found.left_out["classes"]
    assert left_out.values.shape == (13, partition.groups) and left_out.units == len(numbers)
    for group in range(partition.groups):
        left = without_classes(case, {name for name, number in numbers.items() if number == group})
        expected = means_of(found)  # where there is nothing left to ask for
        if left is not None:
            judged = [columns_of(hits, rule) for hits in rankings_of(left)]
            if any(one is not None for one in judged):
                expected = means_of(evaluated(left.features, left.protocol(), chosen(rule, left_out=False)))
                np.testing.assert_allclose(expected, np.mean([one for one in judged if one is not None], axis=0))
        np.testing.assert_allclose(left_out.values[:, group], expected, rtol=0, atol=1e-9)


def rankings_of(case: Case) -> list[list[bool]]:
    """Return for each query in turn which items of its ranking share a label with it, from the definition."""
    rows = []
    for query, (role, row) in enumerate(zip(case.roles, case.labels, strict=True)):
        if role == "gallery" or not row:
            continue
        scores = case.features @ case.features[query]
        ranked = [
            item
            for item in np.argsort(-scores, kind="stable").tolist()
            if item != query
            and case.roles[item] != "query"
            and (case.groups[item] is None or case.groups[item] != case.groups[query])
        ]
        rows.append([bool(set(case.labels[item]) & set(row)) for item in ranked])
    return rows


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=40, derandomize=True)
@given(case=cases())
def test_classes_as_if_they_had_never_been_there(rule: Rule, case: Case) -> None:
    check_classes(case, rule)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=40, derandomize=True)
@given(case=cases(several=True))
def test_classes_of_items_that_have_several(rule: Rule, case: Case) -> None:
    check_classes(case, rule)


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=15, derandomize=True)
@given(case=cases(several=True))
def test_another_metric_without_classes(metric: str, case: Case) -> None:
    options = chosen("trapezoid", metric=metric)
    found = evaluated(case.features, case.protocol(), options)
    partition = case.protocol().partitions(0).get("classes")
    if partition is None:
        return
    numbers = groups_of_labels(case, partition)
    for group in range(partition.groups):
        left = without_classes(case, {name for name, number in numbers.items() if number == group})
        expected = found.value
        if left is not None and any(any(hits) for hits in rankings_of(left)):
            expected = evaluated(left.features, left.protocol(), options).value
        value = found.left_out["classes"].values[-1, group] * options.measure.most
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-9)


@settings(max_examples=40, derandomize=True)
@given(case=cases(names="abcdefgh", several=True), rule=st.sampled_from(RULES), most=st.integers(2, 4))
def test_several_classes_in_a_group(case: Case, rule: Rule, most: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(partitions, "GROUPS", most)
        check_classes(case, rule)


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_ties_and_rounded_scores_are_those_of_the_ranking(similarity: Kind) -> None:
    """With scores that are no whole numbers: the ones that are removed change nothing about the others' products."""
    rng = np.random.default_rng(3)
    features = rng.standard_normal((60, 5)).astype(np.float32)
    features[::4] = features[1]
    labels = [(str(number),) for number in rng.integers(0, 6, 60)]
    protocol = by_labels(labels)
    options = chosen("rectangle", similarity)
    scorer = scores_of(features, protocol, options)
    scores = all_scores(scorer)
    found = evaluate(scorer, protocol, names=[], settings=options)
    partition = protocol.partitions(0)["classes"]
    for group in range(partition.groups):
        kept = ~bits(partition.items, group)
        expected = []
        for query in np.flatnonzero(kept).tolist():
            order = [item for item in np.argsort(-scores[query], kind="stable") if item != query and kept[item]]
            expected.append(columns_of([labels[item] == labels[query] for item in order], "rectangle"))
        np.testing.assert_allclose(found.left_out["classes"].values[:, group], np.mean(expected, axis=0), atol=1e-9)


@st.composite
def landmarks(draw: st.DrawFn) -> tuple[np.ndarray, list[tuple[int, list[int], list[int], list[int]]]]:
    """Features and queries, whose lists overlap with others' or do not; some items are on no list."""
    gallery, asked = draw(st.integers(8, 20)), draw(st.integers(3, 7))
    queries: list[tuple[int, list[int], list[int], list[int]]] = [(gallery, [0, 1], [2], [3])]
    for number in range(1, asked):
        # Near each other, so that some lists overlap enough to be of one landmark.
        start = draw(st.integers(0, gallery - 4))
        listed = draw(st.permutations(range(start, min(start + 6, gallery))))
        first, second = sorted(draw(st.tuples(st.integers(0, len(listed)), st.integers(0, len(listed)))))
        junk = listed[second:][: draw(st.integers(0, 2))]
        queries.append((gallery + number, listed[:first], listed[first:second], junk))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    return rng.integers(-2, 3, (gallery + asked, 3)).astype(np.float32), queries


@settings(max_examples=40, derandomize=True)
@given(case=landmarks(), difficulty=st.sampled_from(["easy", "medium"]), rule=st.sampled_from(RULES))
def test_landmarks_go_with_the_images_that_their_queries_list(
    case: tuple[np.ndarray, list[tuple[int, list[int], list[int], list[int]]]], difficulty: Difficulty, rule: Rule
) -> None:
    features = case[0]
    queries = [Query(item, tuple(easy), tuple(hard), tuple(junk)) for item, easy, hard, junk in case[1]]
    protocol = by_landmarks(queries, len(features), difficulty=difficulty)
    found = evaluated(features, protocol, chosen(rule))
    partition = protocol.partitions(0).get("classes")
    if partition is None:
        return
    for group in range(partition.groups):
        stays = [query for query, gone in zip(queries, bits(partition.queries, group), strict=True) if not gone]
        listed, others = (
            {item for query in some for item in (*query.easy, *query.hard, *query.junk)}
            for some in ([query for query in queries if query not in stays], stays)
        )
        asked = [query.item for query in queries]
        kept = [item for item in range(len(features)) if item not in asked and item not in listed - others]
        place = {item: number for number, item in enumerate([*kept, *(query.item for query in stays)])}
        left = [
            Query(place[one.item], *(tuple(place[i] for i in some) for some in (one.easy, one.hard, one.junk)))
            for one in stays
        ]
        expected = means_of(found)
        if any(one.easy or (difficulty == "medium" and one.hard) for one in left):
            reduced = by_landmarks(left, len(place), difficulty=difficulty)
            expected = means_of(evaluated(features[list(place)], reduced, chosen(rule, left_out=False)))
        np.testing.assert_allclose(found.left_out["classes"].values[:, group], expected, rtol=0, atol=1e-9)


@settings(max_examples=40, derandomize=True)
@given(case=cases(several=True), rule=st.sampled_from(RULES), most=st.sampled_from([3, 50]))
def test_the_sums_of_every_stratum_without_images(case: Case, rule: Rule, most: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(partitions, "GROUPS", most)
        protocol = case.protocol()
        partition = protocol.partitions(0)["images"]
    scorer = scores_of(case.features, protocol, chosen(rule))
    [found] = sums_of(
        scorer, protocol.judge, [partition], range(len(protocol.queries)), len(protocol.queries), rule, (0, 0, 1.0)
    )
    expected = np.zeros_like(found.sums)
    counts = np.zeros_like(found.counts)
    for group in range(partition.groups):
        gone = {
            *protocol.queries[bits(partition.queries, group)].tolist(),
            *protocol.gallery[bits(partition.items, group)].tolist(),
        }
        kept = [item for item in range(len(case.labels)) if item not in gone]
        stays = [place for place, item in enumerate(protocol.queries.tolist()) if item not in gone]
        judged = [columns_of(hits, rule) for hits in rankings_of(case.kept(kept, case.labels))]
        for place, columns in zip(stays, judged, strict=True):
            if columns is not None:
                expected[group, partition.strata[place]] += columns
                counts[group, partition.strata[place]] += 1
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_allclose(found.sums, expected, rtol=0, atol=1e-9)


def dealt(groups: Sequence[int], strata: Sequence[int], count: int) -> Partition:
    masks = np.left_shift(np.uint64(1), np.array(groups, np.uint64))
    return Partition(len(groups), count, masks, masks, np.array(strata, np.int64))


def sums_for(means: Sequence[Sequence[float]], counts: int) -> Sums:
    """Return the sums of so many queries with these means, the same in each column."""
    table = np.repeat(np.array(means)[:, :, None], 13, axis=2)
    return Sums(table * counts, np.full(table.shape[:2], counts))


def test_strata_are_held_as_they_are_by_hand() -> None:
    # Two kinds of three queries, one of each kind in each group.
    partition = dealt([0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 1], 3)
    full = np.repeat([[0.1], [0.3], [0.5], [0.6], [0.7], [0.8]], 13, axis=1)  # mean 0.5
    found = left_out_of(partition, sums_for([[0.2, 0.5], [0.4, 0.5], [0.6, 0.8]], 2), full)
    # Means without each group deviate by -0.2, 0, 0.2 and by -0.1, -0.1, 0.2; each kind is half of all queries.
    np.testing.assert_allclose(found.values, np.tile([0.5 - 0.15, 0.5 - 0.05, 0.5 + 0.2], (13, 1)))
    np.testing.assert_allclose(found.shares, [1 / 3] * 3)
    assert found.units == 6


def test_a_stratum_in_some_of_the_groups_by_hand() -> None:
    # Four groups with a query each of the first kind; the second has a query in two of them alone.
    partition = dealt([0, 1, 2, 3, 0, 1], [0, 0, 0, 0, 1, 1], 4)
    full = np.repeat([[0.5]], 6, axis=0).repeat(13, axis=1)
    means = [[0.5, 0.2], [0.5, 0.6], [0.5, 0.41], [0.5, 0.43]]
    found = left_out_of(partition, sums_for(means, 3), full)
    # The second kind is a third of all queries. In the groups that have one its mean deviates by -0.2 and 0.2; in the
    # others, where just the gallery changes, by -0.01 and 0.01. The factor of the jackknife is 3 / 4 for all groups and
    # 1 / 2 for two, so that deviations are multiplied with the root of (1 / 2) / (3 / 4).
    scale = np.sqrt(2 / 3) / 3
    np.testing.assert_allclose(found.values[0], 0.5 + scale * np.array([-0.2, 0.2, -0.01, 0.01]))
    np.testing.assert_allclose(found.shares, [2 / 6, 2 / 6, 1 / 6, 1 / 6])


def test_queries_without_positives_have_no_share() -> None:
    partition = dealt([0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 0, 0], 3)
    full = np.repeat([[0.1], [np.nan], [0.3], [0.5], [np.nan], [np.nan]], 13, axis=1)
    sums = Sums(np.ones((3, 1, 13)), np.array([[2], [0], [4]]))
    found = left_out_of(partition, sums, full)
    np.testing.assert_allclose(found.shares, [1 / 3, 2 / 3, 0])
    np.testing.assert_allclose(found.values[0], [1 / 2, 0.3, 1 / 4])  # in the middle nothing is left: the mean of all


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_memory_and_threads_change_nothing(similarity: Kind) -> None:
    rng = np.random.default_rng(0)
    count, asked = 5600, 600  # more queries than are scored at once, more items than a column of products
    features = rng.standard_normal((count, 4)).astype(np.float32)
    features[::9] = features[5]
    labels = [(str(number),) for number in rng.integers(0, 12, count)]
    roles = ["query"] * asked + ["gallery"] * (count - asked)
    protocol = by_labels(labels, roles=roles)
    options = chosen("rectangle", similarity)
    scorer = scores_of(features, protocol, options)
    evaluation = evaluate(scorer, protocol, names=[], settings=options)
    full = evaluation.columns
    for memory, threads in ((0.0, 1), (0.0, 2), (1.0, 1), (1.0, 2)):
        found = leave_out_each(
            scorer,
            protocol.judge,
            protocol.partitions(0),
            full=full,
            rule="rectangle",
            measure=options.measure,
            memory=memory,
            threads=threads,
        )
        assert list(found) == ["classes", "images"]
        for name, left_out in found.items():
            expected = evaluation.left_out[name]
            np.testing.assert_allclose(left_out.values, expected.values, rtol=0, atol=1e-12)
            np.testing.assert_array_equal(left_out.shares, expected.shares)


def test_without_it_there_are_queries_alone() -> None:
    labels = [(name,) for name in "aabbccddeeff"]
    features = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    options = chosen("rectangle", "cosine")
    assert evaluated(features, by_labels(labels), options).populations == ["classes", "images", "queries"]
    none = chosen("rectangle", "cosine", left_out=False)
    found = evaluated(features, by_labels(labels), none)
    assert found.left_out == {} and found.populations == ["queries"]


def test_the_seed_deals_anew() -> None:
    rng = np.random.default_rng(0)
    labels = [(str(number % 60),) for number in range(180)]
    features = rng.standard_normal((180, 3)).astype(np.float32)
    found = {
        seed: evaluated(features, by_labels(labels), chosen("rectangle", "cosine", seed=seed)).left_out["classes"]
        for seed in (0, 1)
    }
    again = evaluated(features, by_labels(labels), chosen("rectangle", "cosine", seed=0)).left_out["classes"]
    np.testing.assert_array_equal(found[0].values, again.values)
    assert found[0].values.shape == (13, 50) and not np.allclose(found[0].values, found[1].values)
