"""How classes, images and landmarks are dealt into groups."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.retrieval import partitions
from pipeline.retrieval.partitions import by_classes, by_images, by_lists, linked_clusters, strata_of
from pipeline.retrieval.protocols import by_labels


def groups_of(masks: np.ndarray) -> list[list[int]]:
    """Return the groups of each mask."""
    return [[bit for bit in range(64) if int(mask) >> bit & 1] for mask in masks]


def everything(count: int) -> np.ndarray:
    return np.arange(count)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 99), min_size=2, max_size=200), st.integers(0, 99))
def test_every_class_is_in_one_group_and_groups_are_of_one_size(kinds: list[int], seed: int) -> None:
    labels = [(str(kind),) for kind in kinds]
    found = by_classes(labels, queries=everything(len(kinds)), gallery=everything(len(kinds)), seed=seed)
    classes = set(kinds)
    if len(classes) < 2:
        assert found is None
        return
    assert found is not None
    assert found.units == len(classes) and found.groups == min(len(classes), 50)
    np.testing.assert_array_equal(found.items, found.queries)
    assert not found.strata.any()  # classes themselves are drawn
    of_class: dict[int, set[int]] = {}
    for kind, groups in zip(kinds, groups_of(found.items), strict=True):
        of_class.setdefault(kind, set()).update(groups)
    assert all(len(groups) == 1 for groups in of_class.values())
    sizes = Counter(next(iter(groups)) for groups in of_class.values())
    assert set(sizes) == set(range(found.groups)) and max(sizes.values()) - min(sizes.values()) <= 1


def test_what_has_several_classes_goes_with_the_last_of_them() -> None:
    labels = [("a",), ("b",), ("a", "b"), (), ("z",), ("a", "z"), ("b", "a")]
    # z is the gallery's alone: nobody asks for it, so that it is no class, and what has it stays.
    queries, gallery = np.array([0, 1, 2, 6]), np.array([0, 1, 2, 3, 4, 5])
    found = by_classes(labels, queries=queries, gallery=gallery)
    assert found is not None and (found.units, found.groups) == (2, 2)
    assert found.label_groups is not None and found.item_labels is not None and found.query_labels is not None
    a, b = found.label_groups.tolist()
    assert sorted((a, b)) == [1, 2]
    assert found.items.tolist() == [a, b, a | b, 0, 0, 0]
    assert found.queries.tolist() == [a, b, a | b, a | b]
    assert [row.tolist() for row in found.item_labels.rows()] == [[0], [1], [0, 1], [], [], [0]]
    assert [row.tolist() for row in found.query_labels.rows()] == [[0], [1], [0, 1], [0, 1]]


def test_distractors_never_go_with_classes() -> None:
    labels = [(str(number % 7),) if number % 3 else () for number in range(60)]
    found = by_labels(labels).partitions(0)["classes"]
    assert [mask == 0 for mask in found.items.tolist()] == [not row for row in labels]
    assert (found.queries != 0).all()


@settings(max_examples=50)
@given(st.data(), st.integers(2, 150), st.integers(0, 99))
def test_images_of_a_kind_are_spread_over_the_groups(data: st.DataObject, count: int, seed: int) -> None:
    kinds = np.array(data.draw(st.lists(st.integers(-1, 5), min_size=count, max_size=count)))
    roles = np.array(data.draw(st.lists(st.integers(1, 3), min_size=count, max_size=count)))
    queries, gallery = np.flatnonzero(roles & 1), np.flatnonzero(roles & 2)
    found = by_images(kinds, queries=queries, gallery=gallery, seed=seed)
    assert found is not None
    assert found.units == count and found.groups == min(count, 50)
    masks = np.zeros(count, np.uint64)
    masks[queries], masks[gallery] = found.queries, found.items
    # An image that is both asked for and ranked goes as one.
    np.testing.assert_array_equal(masks[queries], found.queries)
    listed = groups_of(masks)
    assert all(len(groups) == 1 for groups in listed)
    group = np.array([groups[0] for groups in listed])
    sizes = np.bincount(group, minlength=found.groups)
    assert sizes.max() - sizes.min() <= 1
    for role in (1, 2, 3):
        for kind in set(kinds.tolist()):
            spread = np.bincount(group[(kinds == kind) & (roles == role)], minlength=found.groups)
            assert spread.max() - spread.min() <= 1


def test_images_of_one_group_go_together() -> None:
    rng = np.random.default_rng(0)
    together = rng.integers(-1, 90, 150)
    kinds = rng.integers(0, 4, 150)
    found = by_images(kinds, queries=everything(150), gallery=everything(150), together=together)
    assert found is not None
    alone = int((together < 0).sum())
    assert found.units == alone + len(set(together[together >= 0].tolist()))
    for number in set(together[together >= 0].tolist()):
        assert len(set(found.items[together == number].tolist())) == 1
    first = [together.tolist().index(number) for number in set(together[together >= 0].tolist())]
    sizes = Counter(found.items[np.append(first, np.flatnonzero(together < 0))].tolist())  # of each unit one image
    assert len(sizes) == found.groups == 50 and max(sizes.values()) - min(sizes.values()) <= 1


def test_groups_of_a_protocol_go_together() -> None:
    labels = [("a",), ("a",), ("b",), ("b",), ("a",), ("b",)]
    found = by_labels(labels, groups=["p", None, "p", None, "q", "q"]).partitions(0)["images"]
    assert found.units == 4
    assert found.items[0] == found.items[2] and found.items[4] == found.items[5]
    assert len(set(found.items.tolist())) == 4


@pytest.mark.parametrize("count", [49, 50, 51, 500])
def test_there_are_at_most_fifty_groups_each_a_bit_of_a_mask(count: int) -> None:
    labels = [(str(number),) for number in range(count)]
    for found in (
        by_classes(labels, queries=everything(count), gallery=everything(count)),
        by_images(everything(count), queries=everything(count), gallery=everything(count)),
        by_lists(everything(count), [np.array([number]) for number in range(count)], count),
    ):
        assert found is not None
        assert found.groups == min(count, 50) and found.units == count
        assert set(found.items.tolist()) == {1 << bit for bit in range(found.groups)}


def test_another_seed_is_another_deal_and_the_same_one_the_same() -> None:
    rng = np.random.default_rng(0)
    labels = [(str(number),) for number in rng.integers(0, 120, 400)]
    protocol = by_labels(labels)
    for name in ("classes", "images"):
        first, again, other = (protocol.partitions(seed)[name].items for seed in (0, 0, 1))  # type: ignore[index]
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


def test_too_few_are_no_partition() -> None:
    one = np.array([0])
    assert by_classes([("a",), ("a",)], queries=everything(2), gallery=everything(2)) is None
    assert by_images(np.array([0]), queries=one, gallery=one) is None
    assert by_lists(np.array([3, 3]), [one, one], 4) is None
    assert set(by_labels([("a",), ("a",)]).partitions(0)) == {"images"}


def test_landmarks_take_along_what_only_they_list() -> None:
    lists = [np.array(row, np.int64) for row in ([0, 1], [1, 2], [3, 4], [4, 2])]
    found = by_lists(np.array([5, 5, 9, 9]), lists, 6)
    assert found is not None and (found.units, found.groups) == (2, 2)
    first, _, second, _ = found.queries.tolist()
    assert {first, second} == {1, 2} and found.queries.tolist() == [first, first, second, second]
    # 2 is on lists of both and goes with neither alone; 5 is on none.
    assert found.items.tolist() == [first, first, first | second, second, second, 0]


def test_clusters_of_queries_whose_lists_overlap() -> None:
    found = linked_clusters([np.array(row, np.int64) for row in ([1, 9], [2, 3], [3, 4], [], [4, 1, 9])])
    assert found[1] == found[2] and found[0] == found[4] and len(set(found.tolist())) == 3


def test_kinds_of_one_query_are_a_stratum_together() -> None:
    found = strata_of(np.array([7, 3, 7, 5, 3, 9, 7]))
    assert found.tolist() == [1, 0, 1, 2, 0, 2, 1]
    assert strata_of(np.array([4, 2, 9])).tolist() == [0, 0, 0]


def test_there_are_not_more_strata_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "STRATA", 3)
    kinds = np.repeat(np.arange(7), 2)
    found = strata_of(np.append(kinds, 99))
    assert found.max() + 1 <= 4
    for kind in range(7):
        assert len(set(found[:14][kinds == kind].tolist())) == 1
