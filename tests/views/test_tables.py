"""What the caption of the comparative table says, and the marks that it explains."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.results.comparison import Summary, compare, relative_to_best, summarise
from pipeline.results.pairs import Compared, Design, compare_pairs
from pipeline.retrieval.uncertainty import Estimates, average_of
from pipeline.views.tables import caption, like_chance, markdown

WORDS = "Intervals and tests are about other classes like these, each with its images."
RUNS = ("a", "b", "c")


def shown(
    values: dict[str, Sequence[float]], *, random: float = 0.05, tie_gap: float = 0.0, **design: Any
) -> tuple[pd.DataFrame, Compared, Summary, Design, str]:
    """Return runs side by side, each mean with a standard error of 0.01, and their caption."""
    runs = RUNS[: len(next(iter(values.values())))]
    found = {name: Estimates(np.array(means), np.eye(len(means)) * 0.01**2, 20.0, 21) for name, means in values.items()}
    average = average_of(list(found.values()))
    chosen = Design(**design)
    compared = compare_pairs(runs, {**found, **({"mean mAP": average} if len(found) > 1 else {})}, chosen)
    rows = []
    for place, run in enumerate(runs):
        for name, one in found.items():
            low, high = one.intervals()[:, place]
            row = {"encoder": run, "dataset": name, "mAP": one.means[place], "mAP_low": low, "mAP_high": high}
            rows.append({**row, "mAP_random": random, "tie_gap": tie_gap * (place + 1)})
    table = pd.DataFrame(rows)
    summary = summarise(compare(table), average, compared)
    return table, compared, summary, chosen, caption(table, compared, summary, chosen, WORDS)


def test_it_says_what_the_tilde_means() -> None:
    table, compared, summary, _, text = shown({"d": [0.5, 0.49, 0.2], "e": [0.3, 0.6, 0.1]})
    assert text == (
        f"mAP with its 95 % interval. {WORDS} ~: not distinguishable from the best of the column (paired t test, "
        "corrected for all pairs of a dataset by Holm, 5 %)."
    )
    lines = markdown(compare(table), table, compared.pairs, summary, text).splitlines()
    assert [line.split("|")[2].count("~") for line in lines[2:5]] == [0, 1, 0]
    assert lines[-1] == text


def test_a_mean_alone_that_cannot_be_told_apart() -> None:
    table, compared, summary, _, text = shown({"d": [0.5, 0.4, 0.2], "e": [0.5, 0.605, 0.2]})
    assert summary["best"] == "b" and "~: not distinguishable from the best of the column" in text
    lines = markdown(compare(table), table, compared.pairs, summary, text).splitlines()
    assert [[cell.count("~") for cell in line.split("|")[2:6]] for line in lines[2:5]] == [
        [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0],
    ]  # fmt: skip
    assert (summary["encoders"]["a"]["rank_low"], summary["encoders"]["a"]["rank_high"]) == (1, 2)


@pytest.mark.parametrize(
    ("design", "how"),
    [
        ({}, "(paired t test, corrected for all pairs of a dataset by Holm, 5 %)"),
        ({"family": "pairs"}, "(paired t test, corrected for all pairs of a dataset by Holm, 5 %)"),
        ({"correction": "all"}, "(paired t test, corrected for all pairs of all datasets by Holm, 5 %)"),
    ],
)
def test_all_are_told_apart(design: dict[str, Any], how: str) -> None:
    text = shown({"d": [0.5, 0.4, 0.2], "e": [0.5, 0.3, 0.2]}, **design)[-1]
    assert text.endswith(f"All are distinguishable from the best of their column {how}.") and "~" not in text


def test_only_pairs_with_one_run_were_tested() -> None:
    _, _, summary, _, text = shown({"d": [0.5, 0.49, 0.2], "e": [0.3, 0.6, 0.1]}, family="a")
    how = "(paired t test, corrected for its pairs of a dataset by Holm, 5 %)"
    assert f"Not distinguishable from a {how}: b on d." in text
    assert summary["encoders"]["b"]["rank_low"] is summary["encoders"]["b"]["rank_high"] is None
    assert text.count("~") == 0
    assert f"Not distinguishable from c {how}: none." in shown({"d": [0.5, 0.49, 0.2]}, family="c")[-1]


def test_one_run() -> None:
    _, _, summary, _, text = shown({"d": [0.5]})
    assert text.endswith("One encoder: there is nothing to tell apart.")
    assert (summary["encoders"]["a"]["rank_low"], summary["encoders"]["a"]["rank_high"]) == (1, 1)


def test_what_is_no_better_than_chance_has_a_question_mark() -> None:
    table, compared, summary, _, text = shown({"d": [0.5, 0.2, 0.12]}, random=0.11)
    assert like_chance(table) == {("c", "d")}
    assert "?: not distinguishable from a random ranking." in text
    lines = markdown(compare(table), table, compared.pairs, summary, text).splitlines()
    assert [line.count("?") for line in lines[2:5]] == [0, 0, 1]
    assert "?" not in shown({"d": [0.5, 0.2, 0.12]})[-1]


def test_ties_that_move_map_are_named() -> None:
    assert shown({"d": [0.5, 0.4, 0.2]}, tie_gap=0.002)[-1].endswith(
        "The order of equal scores moves mAP by up to 0.006 (c on d; tie_gap in table.csv)."
    )
    assert "equal scores" not in shown({"d": [0.5, 0.4, 0.2]}, tie_gap=0.001)[-1]


def test_what_is_out_of_reach_is_said() -> None:
    table, compared, summary, design, _ = shown({"d": [0.5, 0.4, 0.2]})
    nothing = Compared(compared.pairs, compared.ranks, "No difference on d could be told from chance: so.")
    assert " No difference on d could be told from chance: so." in caption(table, nothing, summary, design, WORDS)


def test_the_relative_mean_by_hand() -> None:
    covariance = np.array([[0.0004, 0.0001, 0.0], [0.0001, 0.0004, 0.0], [0.0, 0.0, 0.0]])
    ratio, low, high = relative_to_best(Estimates(np.array([0.4, 0.5, 0.0]), covariance, 10.0, 11))
    np.testing.assert_allclose(ratio, [0.8, 1, 0])
    # 0.0004 / 0.4^2 + 0.0004 / 0.5^2 - 2 x 0.0001 / (0.4 x 0.5) = 0.0025 + 0.0016 - 0.001; t of 10 is 2.228139.
    factor = np.exp(2.228139 * np.sqrt(0.0031))
    np.testing.assert_allclose([low[0], high[0]], [0.8 / factor, 0.8 * factor], rtol=1e-6)
    assert (low[1], high[1]) == (1, 1) and (low[2], high[2]) == (0, 0)
