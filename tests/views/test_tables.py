"""What the caption of the comparative table says, and the marks that it explains."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.results.comparison import Summary, compare, relative_to_best, summarise
from pipeline.results.pairs import Compared, Design, compare_pairs
from pipeline.results.titles import Titles
from pipeline.retrieval.measures import measure_of
from pipeline.retrieval.uncertainty import Estimates, average_of
from pipeline.views.tables import caption, latex, like_chance, markdown

WORDS = "Intervals and tests are about other classes like these, each with its images."
RUNS = ("a", "b", "c")


def shown(
    values: dict[str, Sequence[float]],
    *,
    random: float = 0.05,
    tie_gap: float = 0.0,
    metrics: Mapping[str, str] | None = None,
    **design: Any,
) -> tuple[pd.DataFrame, Compared, Summary, Design, str]:
    """Return runs side by side, each mean with a standard error of 0.01, and their caption."""
    runs = RUNS[: len(next(iter(values.values())))]
    found = {name: Estimates(np.array(means), np.eye(len(means)) * 0.01**2, 20.0, 21) for name, means in values.items()}
    average = average_of(list(found.values()))
    chosen = Design(**design)
    compared = compare_pairs(runs, {**found, **({"mean over datasets": average} if len(found) > 1 else {})}, chosen)
    rows = []
    for place, run in enumerate(runs):
        for name, one in found.items():
            low, high = one.intervals()[:, place]
            metric = (metrics or {}).get(name, "mAP")
            most = measure_of(metric).most
            row = {"encoder": run, "dataset": name, "metric": metric, "value": most * one.means[place]}
            row |= {"value_low": most * low, "value_high": most * high, "value_chance": random}
            rows.append({**row, "tie_gap": tie_gap * (place + 1)})
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


def test_each_column_names_its_metric() -> None:
    table, compared, summary, _, text = shown(
        {"d": [0.5, 0.2], "e": [0.25, 0.75]}, metrics={"d": "recall@1", "e": "N-S"}, random=float("nan")
    )
    assert text.startswith("Each dataset's metric with its 95 % interval. ") and "?" not in text
    head, _, first, second, *_ = markdown(compare(table), table, compared.pairs, summary, text).splitlines()
    names = [cell.strip() for cell in head.split("|")[1:-1]]
    assert names == ["encoder", "d (recall@1)", "e (N-S)", "mean metric", "relative to best"]
    # N-S is shown as it is, up to 4, and divided by 4 in the mean: (0.5 + 1 / 4) / 2 and (0.2 + 3 / 4) / 2.
    assert [cell.split()[0] for cell in first.split("|")[2:5]] == ["**0.5000**", "1.0000", "0.3750"]
    assert [cell.split()[0] for cell in second.split("|")[2:5]] == ["0.2000", "**3.0000**", "**0.4750**"]
    tex = latex(compare(table), table, compared.pairs, summary, text)
    assert "e (N-S)" in tex and r"\caption[metric of each encoder" in tex


def test_many_datasets_have_places() -> None:
    few = {name: [0.5, 0.49, 0.1] for name in "def"}
    table, compared, summary, _, text = shown(few)
    assert "place" not in markdown(compare(table), table, compared.pairs, summary, text)
    table, compared, summary, _, text = shown({**few, "g": [0.5, 0.52, 0.1]})
    head, _, *rows = markdown(compare(table), table, compared.pairs, summary, text).splitlines()
    assert head.split("|")[-2].strip() == "place"
    assert [row.split("|")[-2].strip() for row in rows[:3]] == ["1–2", "1–2", "3"]
    table, compared, summary, _, text = shown({**few, "g": [0.5, 0.52, 0.1]}, family="b")  # other pairs are not tested
    rows = markdown(compare(table), table, compared.pairs, summary, text).splitlines()[2:5]
    assert [row.split("|")[-2].strip() for row in rows] == ["–", "–", "–"]


def test_one_metric_of_all_columns() -> None:
    table, compared, summary, _, text = shown({"d": [0.5, 0.2], "e": [0.3, 0.6]}, metrics={"d": "MAP@R", "e": "MAP@R"})
    assert text.startswith("MAP@R with its 95 % interval. ")
    head = markdown(compare(table), table, compared.pairs, summary, text).splitlines()[0]
    assert "d (MAP@R)" in head and "mean MAP@R" in head


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


TITLES = Titles({"a": r"A_1 & {50 %} #$^~\x", "b": "ResNet–50|B"}, {"d": "D & D"})


def parsed(text: str) -> tuple[list[str], list[list[str]]]:
    """Read a table for LaTeX as LaTeX would: the columns, and the cells of each row; for want of LaTeX itself.

    Braces and environments must be closed in their order, and what means something to LaTeX be escaped.
    """
    text = re.sub(r"(?<!\\)%.*", "", text)  # comments
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    start = text.index("\\begin{tabular}{") + len("\\begin{tabular}{")
    columns = re.findall(r"[lr]", re.sub(r"@\{ \}", "", text[start : text.index("\n", start) - 1]))
    body = text[text.index("\n", start) : text.index("\\end{tabular}")]
    lines = re.sub(r"\\(top|mid|bottom)rule", "", body).split(r"\\" + "\n")[:-1]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)&", line)] for line in lines]
    for cell in (cell for row in rows for cell in row):
        # Mathematics and commands apart, no letter is left that means something.
        plain = re.sub(r"\$\\sim\$|\\(multicolumn\{2\}\{c\}|textbf|text\w+\{\}|[&%$#_{}])", "", cell)
        assert not set(plain) & set("\\&%$#_^~"), cell
    return columns, rows


def test_the_table_for_latex_is_whole_and_its_numbers_are_aligned() -> None:
    table, compared, summary, design, _ = shown({"d": [0.5, 0.49, 0.2], "e": [0.3, 0.6, 0.049]}, random=0.05)
    words = caption(table, compared, summary, design, WORDS, TITLES)
    text = latex(compare(table), table, compared.pairs, summary, words, TITLES)
    columns, (head, *rows) = parsed(text)
    assert columns == ["l", *"rl" * 4] and len(head) == 5 and {len(row) for row in rows} == {9}
    assert head[:2] == ["encoder", r"\multicolumn{2}{c}{D \& D}"]
    assert [row[0] for row in rows] == [
        r"{}A\_1 \& \{50 \%\} \#\$\textasciicircum{}$\sim$\textbackslash{}x", r"{}ResNet–50\textbar{}B", "{}c",
    ]  # fmt: skip
    assert [row[1] for row in rows] == [r"\textbf{0.5000}", "0.4900", "0.2000"]
    assert rows[1][2].endswith(r"] $\sim$") and rows[2][4].endswith("] ?") and rows[1][8] == ""
    for column in (1, 3, 5, 7):  # as many digits in each
        assert len({len(row[column].replace(r"\textbf{", "").split(".")[1].rstrip("}")) for row in rows}) == 1
    assert (
        r"\label{tab:map}" in text and r"\caption[mAP of each encoder on each dataset]{mAP with its 95 \% int" in text
    )


def test_titles_stand_in_the_table_and_its_caption() -> None:
    table, compared, summary, design, _ = shown({"d": [0.5, 0.49, 0.2], "e": [0.3, 0.6, 0.1]}, family="a", tie_gap=0.01)
    words = caption(table, compared, summary, design, WORDS, TITLES)
    assert "ResNet–50|B on D & D" in words and f"distinguishable from {TITLES.run('a')} (" in words
    text = markdown(compare(table), table, compared.pairs, summary, words, TITLES)
    assert text.startswith("| encoder ") and r"| ResNet–50\|B " in text and "| D & D " in text
    assert r"ResNet–50\|B on D & D" in text.splitlines()[-1]


def test_the_relative_mean_by_hand() -> None:
    covariance = np.array([[0.0004, 0.0001, 0.0], [0.0001, 0.0004, 0.0], [0.0, 0.0, 0.0]])
    ratio, low, high = relative_to_best(Estimates(np.array([0.4, 0.5, 0.0]), covariance, 10.0, 11))
    np.testing.assert_allclose(ratio, [0.8, 1, 0])
    # 0.0004 / 0.4^2 + 0.0004 / 0.5^2 - 2 x 0.0001 / (0.4 x 0.5) = 0.0025 + 0.0016 - 0.001; t of 10 is 2.228139.
    factor = np.exp(2.228139 * np.sqrt(0.0031))
    np.testing.assert_allclose([low[0], high[0]], [0.8 / factor, 0.8 * factor], rtol=1e-6)
    assert (low[1], high[1]) == (1, 1) and (low[2], high[2]) == (0, 0)
