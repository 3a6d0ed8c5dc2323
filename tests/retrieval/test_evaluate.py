"""evaluate, pr, compare and headline: from features to the table, by hand and by independent means."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from pipeline.evaluate import CONFIG
from pipeline.extraction.extraction import inspected
from pipeline.extraction.features import read_checked, read_features, refuse_stale, write_features
from pipeline.extraction.guards import Limits
from pipeline.frame.experiment import Experiment
from pipeline.frame.files import write_json
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest
from pipeline.results.comparison import Summary, compare, long_table, read_runs, summarise
from pipeline.results.cost import MEAN, cost_table
from pipeline.results.estimates import Curve, read_curve, read_estimates
from pipeline.results.evaluated import write_classes, write_per_query
from pipeline.results.pairs import Design, compare_pairs
from pipeline.results.runs import read_run
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import Evaluation, evaluate, scores_of
from pipeline.retrieval.matrix import empty_rows, taken
from pipeline.retrieval.protocols import by_labels
from pipeline.retrieval.settings import call
from pipeline.retrieval.summary import per_class
from pipeline.retrieval.summary import summarise as summarise_run
from pipeline.retrieval.uncertainty import Estimates, Population, average_of
from pipeline.retrieval.wanted import Settings
from pipeline.views.curves import draw
from pipeline.views.curves import long_table as pr_table
from pipeline.views.style import Style, save_png, save_svg
from pipeline.views.tables import cost_markdown, latex, markdown, tex


def settings(**changes: object) -> Settings:
    options = {"queries_without_positives": "error", "cutoffs": [1, 5, 10], "top": 10}
    return call(Settings, {**options, **changes}, where=CONFIG)


def run(features: np.ndarray, labels: list[str], missing: str = "error") -> Evaluation:
    names = [f"{index}.png" for index in range(len(labels))]
    return evaluated(features, [(label,) for label in labels], names, settings(queries_without_positives=missing))


def evaluated(features: np.ndarray, labels: list[tuple[str, ...]], names: list[str], chosen: Settings) -> Evaluation:
    protocol = by_labels(labels)
    return evaluate(scores_of(features, protocol, chosen), protocol, names=names, settings=chosen)


def random_run(items: int = 60, classes: int = 5) -> tuple[Evaluation, np.ndarray, list[str]]:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((items, 6)).astype(np.float32)
    labels = [str(value) for value in rng.integers(0, classes, items)]
    return run(features, labels), features, labels


def test_by_hand() -> None:
    # On a quarter circle at 0, 10, 30 and 90 degrees with labels a b a b.
    angles = np.radians([0, 10, 30, 90])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    evaluation = run(features, ["a", "b", "a", "b"])
    # Rankings: 0 -> 1 2 3, hit at rank 2; 1 -> 0 2 3, rank 3; 2 -> 1 0 3, rank 2; 3 -> 2 1 0, rank 2.
    assert evaluation.ap.tolist() == [1 / 2, 1 / 3, 1 / 2, 1 / 2]
    assert evaluation.top_items[:, :3].tolist() == [[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]]
    summary = summarise_run(evaluation, settings())
    assert summary["mAP"] == pytest.approx((3 / 2 + 1 / 3) / 4)
    assert (summary["P@1"], summary["P@5"], summary["P@10"]) == (0, pytest.approx(0.2), pytest.approx(0.1))
    assert (summary["queries"], summary["queries_without_positives"]) == (4, 0)
    assert summary["interpolated_precision"] == pytest.approx([(3 / 2 + 1 / 3) / 4] * 11)


def test_scikit_learn_gives_the_same_map() -> None:
    evaluation, features, labels = random_run()
    unit = features.astype(np.float64) / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    similarity = unit @ unit.T
    classes = np.array(labels)
    for query in range(len(labels)):
        others = np.arange(len(labels)) != query
        expected = average_precision_score(classes[others] == classes[query], similarity[query][others])
        assert evaluation.ap[query] == pytest.approx(expected, abs=1e-12)


def test_a_query_without_positives_is_an_error_or_a_recorded_choice() -> None:
    features = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    labels = ["a", "b", "a", "b", "alone"]
    with pytest.raises(RetrievalError, match=r"query 4 \(4\.png\) has no positives, as have 1 of 5: no other item"):
        run(features, labels)
    evaluation = run(features, labels, missing="skip")
    assert evaluation.skipped.tolist() == [4]
    assert evaluation.queries.tolist() == [0, 1, 2, 3]
    summary = summarise_run(evaluation, settings())
    assert (summary["queries"], summary["queries_without_positives"]) == (4, 1)
    # The lonely image still is a distractor in everybody's gallery.
    assert all(4 in row for row in evaluation.top_items.tolist())


def test_no_query_has_a_positive() -> None:
    with pytest.raises(RetrievalError, match="no two items share a label"):
        run(np.eye(3, dtype=np.float32), ["a", "b", "c"], missing="skip")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"queries_without_positives": "zero"}, "'queries_without_positives' is 'zero': expected error or skip"),
        ({"cutoffs": 3}, "'cutoffs' is 3: expected a list, each entry an integer"),
        ({"cutoffs": ["5"]}, r"'cutoffs' is \['5'\]: expected a list, each entry an integer"),
        ({"cutoffs": [1.5]}, r"'cutoffs' is \[1.5\]: expected a list, each entry an integer"),
        ({"cutoffs": []}, r"'cutoffs' is \[\]: expected one k or more"),
        ({"cutoffs": [5, 5]}, r"'cutoffs' is \[5, 5\]: expected one k or more, .* only once"),
        ({"cutoffs": [0]}, r"'cutoffs' is \[0\]: expected a list, each entry an integer from 1 to 1000000000"),
        ({"cutoffs": [1, 10**10]}, "expected a list, each entry an integer from 1 to 1000000000"),
        ({"cutoffs": [True]}, "expected a list, each entry an integer from 1"),
        ({"top": -1}, "'top' is -1: expected an integer from 0 to 1000000"),
        ({"top": 10**7}, "'top' is 10000000: expected an integer from 0 to 1000000"),
        ({"left_out": 1}, "'left_out' is 1: expected true or false"),
        ({"resamples": 2000}, "unknown key 'resamples'"),
        ({"seed": -1}, "'seed' is -1: expected an integer from 0 to 4294967295"),
        ({"seed": 10**30}, "'seed' is 1000000000000000000000000000000: expected finite numbers of at most 18 digits"),
        ({"memory": float("nan")}, "'memory' is nan: expected finite numbers"),
        ({"memory": float("-inf")}, "'memory' is -inf: expected finite numbers"),
        ({"top": "10"}, "'top' is '10': expected an integer"),
    ],
)
def test_settings_out_of_range(change: dict[str, Any], match: str) -> None:
    with pytest.raises(RetrievalError, match=match):
        settings(**change)


def test_no_top_is_a_choice() -> None:
    labels = [("a",), ("a",)]
    evaluation = evaluated(np.eye(2, dtype=np.float32), labels, ["0", "1"], settings(top=0))
    assert evaluation.top_items.shape == (2, 0)


def test_features_of_another_manifest_are_refused() -> None:
    manifest = Manifest("own", Path("r"), (), sha256="a" * 64)
    refuse_stale({"manifest_sha256": "a" * 64}, manifest)
    with pytest.raises(RetrievalError, match="features of hog were made from another manifest of own: run dvc repro"):
        refuse_stale({"manifest_sha256": "b" * 64, "encoder": "hog"}, manifest)


def test_per_query_results_are_readable_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    evaluation, _, _ = random_run()
    digests = set()
    for name in ("one", "two"):
        write_per_query(tmp_path / f"{name}.npz", evaluation, manifest_sha256="m")
        digests.add(hashlib.sha256((tmp_path / f"{name}.npz").read_bytes()).hexdigest())
    assert len(digests) == 1
    with np.load(tmp_path / "one.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["AP"], evaluation.ap)
        assert arrays["top_items"].shape == (60, 10)
        assert arrays["classes_values"].shape == (13, 5) and arrays["images_values"].shape == (13, 50)
        assert arrays["classes_units"] == 5 and arrays["images_units"] == 60
    for population in evaluation.populations:
        curve = read_curve(tmp_path / "one.npz", population)
        assert curve.population == population
        assert (curve.low < curve.mean).all() and (curve.mean < curve.high).all()
        np.testing.assert_allclose(curve.mean, evaluation.interpolated.mean(axis=0), atol=1e-15)
        expected = evaluation.estimates(population).intervals()[:, 1:-1]
        np.testing.assert_allclose([curve.low, curve.high], expected, rtol=0, atol=1e-12)
    assert read_curve(tmp_path / "one.npz", "widest").population == "classes"


@pytest.mark.parametrize("damage", ["empty", "half", "bit", "other"])
def test_damaged_results_are_an_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "digits" / "hog.npz"
    write_per_query(path, random_run()[0], manifest_sha256="m")
    path.write_bytes(damaged(path.read_bytes(), damage))
    with pytest.raises(RetrievalError, match="no usable results in .*: run dvc repro evaluate@hog-digits"):
        read_curve(path, "widest")


@pytest.mark.parametrize("damage", ["empty", "half", "bit", "other"])
def test_damaged_features_are_an_error(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "hog" / "digits"
    write_features(folder, np.eye(3, dtype=np.float32), {"encoder": "hog", "manifest_sha256": "0"})
    assert read_features(folder)[1] == {"encoder": "hog", "manifest_sha256": "0"}
    path = folder / "features.npy"
    path.write_bytes(damaged(path.read_bytes(), damage))
    with pytest.raises(RetrievalError, match="no usable features in .*: run dvc repro extract@hog-digits"):
        read_features(folder)


def damaged(data: bytes, how: str) -> bytes:
    """Damage a .npy or .npz file: each way leads NumPy to another exception."""
    header = data.index(b"{'descr'", max(data.find(b"interpolated.npy"), 0))
    return {
        "empty": b"",
        "half": data[: len(data) // 2],
        "bit": data[:header] + b"(" + data[header + 1 :],
        "other": b"PK\x03\x04 no archive",
    }[how]


def write_run(folder: Path, encoder: str, dataset: str, value: float) -> None:
    (folder / encoder).mkdir(parents=True, exist_ok=True)
    metrics = {
        "mAP": value,
        "mAP_low": value - 0.01,
        "mAP_high": value + 0.01,
        "population": "classes",
        "intervals": {"classes": {"low": value - 0.01, "high": value + 0.01}, "queries": {"low": value, "high": value}},
        "headline": {"metric": "mAP", "value": value, "chance": 0.05, "intervals": {}},
        "mAP_random": 0.05,
        "tie_gap": 0.0,
        "feature_bytes": 8,
        "P@1": value,
        "queries": 3,
        "interpolated_precision": [value] * 11,
    }
    (folder / encoder / f"{dataset}.json").write_text(json.dumps(metrics))


@dataclass(frozen=True)
class Shown:
    """Runs side by side, as the stage makes them."""

    table: pd.DataFrame
    comparison: pd.DataFrame
    average: Estimates
    summary: Summary


DF = 30
SPREAD = 0.01 / float(stats.t.ppf(0.975, DF))  # so that intervals are of about 0.01 to both sides


def shown_of(folder: Path, values: dict[str, tuple[float, ...]], datasets: tuple[str, ...]) -> Shown:
    for encoder, row in values.items():
        for dataset, value in zip(datasets, row, strict=True):
            write_run(folder, encoder, dataset, value)
    runs = tuple(values)
    means = {dataset: np.array([values[run][place] for run in runs]) for place, dataset in enumerate(datasets)}
    covariance = np.eye(len(runs)) * SPREAD**2
    found = {dataset: Estimates(mean, covariance, float(DF), DF + 1) for dataset, mean in means.items()}
    average = average_of(list(found.values()))
    compared = compare_pairs(runs, {**found, "mean over datasets": average}, Design())
    populations: dict[str, Population] = dict.fromkeys(datasets, "classes")
    experiment = Experiment(runs, datasets, runs[0])
    table = long_table(read_runs(folder, experiment), experiment, found, populations, compared)
    comparison = compare(table)
    return Shown(table, comparison, average, summarise(comparison, average, compared))


@pytest.fixture
def published(tmp_path: Path) -> Shown:
    """The mAPs of the report's table."""
    values = {
        "resnet18": (0.10530075811849111, 0.1018226240947798, 0.133639227739859),
        "resnet34": (0.29445878440126283, 0.15855232366350816, 0.16612599510961454),
        "clip": (0.8082394504759162, 0.4447242899801713, 0.31346215150286516),
        "dinov2": (0.9310119448433457, 0.4695281361677895, 0.3989524094841454),
    }
    write_run(tmp_path, "removed", "simple1k", 0.99)
    return shown_of(tmp_path, values, ("simple1k", "voc_val", "paris"))


def test_the_comparison_is_the_reports(published: Shown) -> None:
    comparison = published.comparison
    assert list(comparison.index) == ["resnet18", "resnet34", "clip", "dinov2"]
    assert list(comparison.columns) == ["simple1k", "voc_val", "paris", "mean over datasets", "relative to best"]
    relative = (100 * comparison["relative to best"]).tolist()
    # As printed: 34.4, 87.04 and 100; and 19.283 for ResNet18, a slip: 0.3407 / 1.7995 is 18.93.
    assert relative == pytest.approx([18.93, 34.4, 87.04, 100], abs=0.02)
    assert comparison["mean over datasets"]["dinov2"] == pytest.approx(1.7994924904952806 / 3)
    assert published.summary["best"] == "dinov2"


def ends_by_hand(mean: float, half: float = 0.01) -> str:
    """Return an interval by t on the scale of log(m / (1 - m)), where a deviation is 1 / (m (1 - m)) times as large."""
    factor = np.exp(half / (mean * (1 - mean)))
    odds = mean / (1 - mean)
    return f"[{odds / factor / (1 + odds / factor):.3f}, {odds * factor / (1 + odds * factor):.3f}]"


def test_the_ends_of_intervals_are_in_the_table_and_in_the_summary(published: Shown) -> None:
    table = published.table.set_index(["encoder", "dataset"])
    row = table.loc[("dinov2", "simple1k")]
    assert f"[{row['value_low']:.3f}, {row['value_high']:.3f}]" == ends_by_hand(0.9310119) == "[0.920, 0.940]"
    assert (row["mAP_low_queries"], row["mAP_high_queries"]) == (row["mAP"], row["mAP"])  # what the run itself says
    assert set(table["population"]) == {"classes"}
    assert (row["rank_low"], row["rank_high"]) == (1, 1)
    assert "intervals" not in table and "interpolated_precision" not in table
    share = published.summary["encoders"]["clip"]
    # The mean of three has a third of the variance; Welch's degrees of freedom are three times as many.
    half = stats.t.ppf(0.975, 3 * DF) * SPREAD / np.sqrt(3)
    mean = (0.8082394504759162 + 0.4447242899801713 + 0.31346215150286516) / 3
    best = 1.7994924904952806 / 3
    assert f"[{share['low']:.3f}, {share['high']:.3f}]" == ends_by_hand(mean, half)
    assert share["mean_mAP"] == pytest.approx(mean) and share["relative"] == pytest.approx(mean / best)
    # The variance of log(a / b) is var(a) / a^2 + var(b) / b^2.
    factor = np.exp(half * np.hypot(1 / mean, 1 / best))
    assert share["relative_low"] == pytest.approx(mean / best / factor)
    assert share["relative_high"] == pytest.approx(mean / best * factor)
    leader = published.summary["encoders"]["dinov2"]
    assert (leader["relative"], leader["relative_low"], leader["relative_high"]) == (1, 1, 1)
    assert [(one["rank_low"], one["rank_high"]) for one in published.summary["encoders"].values()] == [
        (4, 4), (3, 3), (2, 2), (1, 1),
    ]  # fmt: skip


def pairs_of(*rows: tuple[str, str, str, bool]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["dataset", "a", "b", "distinguishable"])


PAIRS = (
    ("simple1k", "dinov2", "clip", True),
    ("voc_val", "dinov2", "clip", False),
    ("mean over datasets", "dinov2", "clip", False),
    ("mean over datasets", "dinov2", "resnet34", True),
)


def test_the_markdown_marks_the_best_and_who_is_as_good(published: Shown) -> None:
    text = markdown(published.comparison, published.table, pairs_of(*PAIRS), published.summary, "What it shows.")
    lines = text.splitlines()
    mean = ends_by_hand(1.7994924904952806 / 3, float(stats.t.ppf(0.975, 3 * DF)) * SPREAD / np.sqrt(3))
    assert [cell.strip() for cell in lines[5].split("|")[1:-1]] == [
        "dinov2", "**0.9310** [0.920, 0.940]", "**0.4695** [0.460, 0.480]", "**0.3990** [0.389, 0.409]",
        f"**0.5998** {mean}", "**100.00%**",
    ]  # fmt: skip
    assert "**" not in lines[4]
    cells = [cell.strip() for cell in lines[4].split("|")[2:-1]]
    assert cells[:2] == ["0.8082 [0.798, 0.818]", "0.4447 [0.435, 0.455] ~"]
    assert cells[3].startswith("0.5221 [0.") and cells[3].endswith("] ~")
    share = published.summary["encoders"]["clip"]
    assert cells[4] == f"87.05% [{100 * share['relative_low']:.0f}, {100 * share['relative_high']:.0f}]"
    assert text.count("~") == 2 and lines[6:] == ["", "What it shows."]


def test_the_latex_says_the_same(published: Shown) -> None:
    text = latex(published.comparison, published.table, pairs_of(*PAIRS), published.summary, "What it shows.")
    lines = text.splitlines()
    assert lines[3].endswith("{What it shows.}")
    [best] = [line for line in lines if line.strip().startswith("{}dinov2")]
    mean = ends_by_hand(1.7994924904952806 / 3, float(stats.t.ppf(0.975, 3 * DF)) * SPREAD / np.sqrt(3))
    assert [cell.strip() for cell in best.rstrip("\\ ").split("&")] == [
        "{}dinov2", r"\textbf{0.9310}", "[0.920, 0.940]", r"\textbf{0.4695}", "[0.460, 0.480]",
        r"\textbf{0.3990}", "[0.389, 0.409]", r"\textbf{0.5998}", mean, r"\textbf{100.00\%}", "",
    ]  # fmt: skip
    [other] = [line for line in lines if line.strip().startswith("{}clip")]
    assert r"0.4447 & [0.435, 0.455] $\sim$" in other and r"voc\_val" in lines[8]
    assert r"87.05\% & [" in other


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a_b", r"a\_b"),
        ("<script>alert(1)|", r"\textless{}script\textgreater{}alert(1)\textbar{}"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("50% & $x$ #1 ~^", r"50\% \& \$x\$ \#1 $\sim$\textasciicircum{}"),
        ("a/../../b 😀", "a/../../b 😀"),
    ],
)
def test_names_are_text_to_latex(name: str, shown: str) -> None:
    assert tex(name) == shown


def test_classes_count_each_of_their_queries(tmp_path: Path) -> None:
    labels = [("a",), ("a", "b"), ("b",)]
    features = np.array([[1, 0], [1, 0.1], [0, 1]], np.float32)
    evaluation = evaluated(features, labels, ["0", "1", "2"], settings())
    # Query 0 finds 1 first, query 1 has two positives and no negative, query 2 finds 1 first.
    assert per_class(evaluation, labels) == {"a": (2, 1.0), "b": (2, 1.0)}
    write_classes(tmp_path / "d.csv", {"a": (2, 1.0), 'b, "c"': (3, 0.1 + 0.2)})
    read = pd.read_csv(tmp_path / "d.csv")
    assert read.to_numpy().tolist() == [["a", 2, 1.0], ['b, "c"', 3, 0.1 + 0.2]]
    assert read.to_csv(index=False).encode() == (tmp_path / "d.csv").read_bytes()  # as pandas writes it


def test_encoders_are_compared_on_the_same_queries_only(tmp_path: Path) -> None:
    evaluation, features, labels = random_run()
    (tmp_path / "d").mkdir()
    write_per_query(tmp_path / "d" / "one.npz", evaluation, manifest_sha256="m")
    write_per_query(tmp_path / "d" / "two.npz", run(features[:50], labels[:50]), manifest_sha256="m")
    population, alone = read_estimates(tmp_path, "d", ["one"], "queries")
    assert population == "queries"
    np.testing.assert_array_equal(alone.parts, evaluation.ap[:, None])
    with pytest.raises(RetrievalError, match="two.npz has other queries than one.npz .*: run dvc repro evaluate@two-d"):
        read_estimates(tmp_path, "d", ["one", "two"], "widest")
    with pytest.raises(RetrievalError, match="no usable results in .*: run dvc repro evaluate@three-d"):
        read_estimates(tmp_path, "d", ["three"], "widest")


def test_a_missing_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="no usable metrics in .*: run dvc repro evaluate@hog-digits"):
        read_run(tmp_path, "hog", "digits")
    with pytest.raises(RetrievalError, match="no usable results in .*: run dvc repro evaluate@hog-digits"):
        read_curve(tmp_path / "digits" / "hog.npz", "widest")


def test_the_plot_has_a_line_a_band_and_a_legend_entry_an_encoder() -> None:
    means = {"_low": np.linspace(0.5, 0.1, 11), "a$b$": np.linspace(1, 0.5, 11)}
    curves = {name: Curve(mean, mean - 0.1, mean + 0.05, "classes") for name, mean in means.items()}
    figure = draw(curves, title="t", style=Style(4.0, 3.0, 80, ["#000000"], ["o", "s"]))
    [axes] = figure.axes
    legend = axes.get_legend()
    assert legend is not None
    names = [text.get_text().strip("\u200b") for text in legend.get_texts()]
    assert names == [r"a\$b\$", "_low"]
    np.testing.assert_array_equal(axes.get_lines()[0].get_ydata(), means["a$b$"])
    edges = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert edges.min() == pytest.approx(0.4) and edges.max() == pytest.approx(1.05)
    table = pd.DataFrame(pr_table(curves))
    assert list(table.columns) == ["encoder", "recall", "precision", "low", "high"] and len(table) == 22
    assert (table["low"] < table["precision"]).all() and (table["precision"] < table["high"]).all()


def test_figures_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    curves = {"a": Curve(*np.linspace((0.5, 0.4, 0.6), (0.1, 0.05, 0.2), 11).T, "queries")}
    for turn in ("one", "two"):
        figure = draw(curves, title="t", style=Style(4.0, 3.0, 80, ["#000000"], ["o"]))
        save_png(figure, tmp_path / f"{turn}.png", dpi=80)
        save_svg(figure, tmp_path / f"{turn}.svg")
    for kind in ("png", "svg"):
        assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()


def test_features_of_another_manifest_are_refused_for_evaluation_and_learning(tmp_path: Path) -> None:
    manifest = Manifest("d", tmp_path, (Item("a.png", ("x",), 9, 9, "0"), Item("b.png", ("x",), 9, 9, "1")), sha256="m")
    rows = np.eye(2, dtype=np.float32)
    write_features(tmp_path / "hog/d", rows, {"encoder": "hog", "manifest_sha256": "m"})
    np.testing.assert_array_equal(read_checked(tmp_path / "hog/d", manifest, cosine=True)[0], rows)
    write_features(tmp_path / "hog/d", rows, {"encoder": "hog", "manifest_sha256": "old"})
    with pytest.raises(RetrievalError, match="made from another manifest of d: run dvc repro extract@hog-d"):
        read_checked(tmp_path / "hog/d", manifest, cosine=True)
    write_features(tmp_path / "hog/d", np.tri(2, k=-1, dtype=np.float32), {"encoder": "hog", "manifest_sha256": "m"})
    with pytest.raises(RetrievalError, match=r"item 0 \(a\.png\) has only zeros, and so no cosine, as have 1 in all"):
        read_checked(tmp_path / "hog/d", manifest, cosine=True)
    np.testing.assert_array_equal(read_checked(tmp_path / "hog/d", manifest, cosine=False)[0], np.tri(2, k=-1))


def test_no_name_is_taken_for_a_mark(tmp_path: Path) -> None:
    shown = shown_of(tmp_path, {"BEST_a_BEST": (0.2,), "b": (0.9,)}, ("d",))
    pairs = pairs_of(("d", "BEST_a_BEST", "b", True))
    lines = latex(shown.comparison, shown.table, pairs, shown.summary, "").splitlines()
    [row] = [line for line in lines if line.strip().startswith(r"{}BEST\_a\_BEST")]
    assert "textbf" not in row and "0.2000" in row


def test_what_features_cost_stands_beside_their_map(tmp_path: Path) -> None:
    """At 400 images in 8 s a million take 20,000 s.

    Of the latencies 10, 20 and 30, 40, 50 ms of both datasets together the median is 30 ms. The 95th percentile is 0.95
    of the way from the first to the last: at place 0.95 * 4 = 3.8, 40 + 0.8 * 10 = 48 ms.
    """
    write_costs(tmp_path / "made", latencies=([0.02, 0.01], [0.05, 0.03, 0.04]))
    for dataset in "de":
        write_json(tmp_path / "elsewhere" / f"{dataset}.json", {"feature_bytes": 16})
    stored = {"made": 2048, "made+small": 128, "elsewhere": 16}
    costs = cost_table({"made": 0.5, "made+small": 0.375, "elsewhere": 0.25}, stored, ("d", "e"), tmp_path)
    assert costs["images_per_second"][0] == 50 and costs["peak_memory_bytes"][0] == 2**31
    assert costs["seconds_per_million_images"] == [20_000, 20_000, None]
    assert costs["latency_p50_seconds"][:2] == pytest.approx([0.03, 0.03])
    assert costs["latency_p95_seconds"][:2] == pytest.approx([0.048, 0.048])
    assert (costs["latency_images"], costs["threads"]) == ([5, 5, None], ["2", "2", ""])
    shown = cost_markdown(costs)
    assert cells_of(shown) == [
        ["encoder", MEAN, "bytes", "images/s", "h per million", "latency, ms", "M parameters", "GFLOP", "GiB"],
        ["made", "0.5000", "2,048", "50.0", "5.56", "30.0 (48.0)", "11.2", "3.63", "2.00"],
        ["made+small", "0.3750", "128", "50.0", "5.56", "30.0 (48.0)", "11.2", "3.63", "2.00"],
        ["elsewhere", "0.2500", "16", "–", "–", "–", "–", "–", "–"],
    ]
    assert shown.endswith(r"Computed in bf16. Measured on cpu (a\|b). Threads: 2." + "\n")


def test_what_differs_between_encoders_is_a_column_of_the_costs(tmp_path: Path) -> None:
    """Of b one extraction, written earlier, timed no image alone: what is known of the other is not of all datasets."""
    write_costs(tmp_path / "a", latencies=([0.02], [0.02]))
    write_costs(
        tmp_path / "b", latencies=([0.02], []), device="cuda (x)", peak_gpu_memory_bytes=2**30, precision="fp32"
    )
    shown = cost_markdown(cost_table({"a": 0.5, "b": 0.25}, {"a": 4, "b": 4}, ("d", "e"), tmp_path))
    head, a, b = cells_of(shown)
    assert head[-4:] == ["GiB", "GiB of the GPU", "precision", "device"]
    assert a[-5:] == ["3.63", "2.00", "–", "bf16", r"cpu (a\|b)"] and a[5] == "20.0 (20.0)"
    assert b[-3:] == ["1.00", "fp32", "cuda (x)"] and b[5] == "–"
    assert shown.endswith("GFLOP: of an image. Threads: 2.\n")


def write_costs(folder: Path, *, latencies: tuple[list[float], list[float]], **others: object) -> None:
    """Write what extractions of the datasets d and e cost."""
    known = {"device": "cpu (a|b)", "threads": 2, "precision": "bf16", "parameters": 11_200_000}
    known |= {"flops_per_image": 3_630_000_000, "feature_bytes": 2048, "peak_gpu_memory_bytes": None, **others}
    sizes = (("d", 100, 2.0, 2**30), ("e", 300, 6.0, 2**31))
    for (dataset, images, seconds, peak), timed in zip(sizes, latencies, strict=True):
        cost = {"images": images, "seconds": seconds, "peak_memory_bytes": peak}
        write_json(folder / f"{dataset}.json", known | cost | ({"latency_seconds": timed} if timed else {}))


def cells_of(table: str) -> list[list[str]]:
    """The cells of a Markdown table: its header and its rows."""
    head, _, *rows = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in (head, *rows)]


def test_large_features_stay_on_the_disk_and_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    features = rng.standard_normal((5000, 12)).astype(np.float32)
    labels = [(str(value),) for value in rng.integers(0, 9, 5000)]
    items = tuple(Item(f"{index}.png", label, 9, 9, str(index)) for index, label in enumerate(labels))
    manifest = Manifest("own", Path("r"), items, sha256="m")
    names = manifest.paths
    write_features(tmp_path / "hog/own", features, {"manifest_sha256": "m"})

    def results() -> tuple[np.ndarray, Evaluation]:
        read, _ = read_checked(tmp_path / "hog/own", manifest, cosine=True)
        return read, evaluated(read, labels, names, settings())

    here, expected = results()
    monkeypatch.setattr("pipeline.retrieval.matrix.LARGE", 1000)
    mapped, found = results()
    assert here.flags.writeable and not mapped.flags.writeable
    assert isinstance(mapped.base, np.memmap)
    assert isinstance(empty_rows(100, 12).base, np.memmap)
    places = np.arange(4999, 0, -50)
    assert isinstance(taken(mapped, places).base, np.memmap)
    np.testing.assert_array_equal(taken(mapped, places), features[places])
    assert taken(mapped, np.arange(5000)) is mapped
    assert found.ap.tobytes() == expected.ap.tobytes()
    assert found.top_items.tobytes() == expected.top_items.tobytes()
    limits = Limits(
        effective_rank=100.0, mean_cosine=0.9, constant_dimensions=0.0, equal_features=0.0, batch_difference=0.1
    )
    assert inspected(mapped, manifest, limits) == inspected(here, manifest, limits)
    data = (tmp_path / "hog/own/features.npy").read_bytes()
    (tmp_path / "hog/own/features.npy").write_bytes(data[:-5])
    with pytest.raises(RetrievalError, match="no usable features in .*: run dvc repro extract@hog-own"):
        read_checked(tmp_path / "hog/own", manifest, cosine=True)
