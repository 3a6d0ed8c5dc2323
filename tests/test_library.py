"""The room ``retrieval`` as people install it: built, and used where neither the checkout nor torch is to be had."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pipeline
from pipeline import retrieval, score_features
from tests.conftest import TOP

LABELS = [item % 6 for item in range(48)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, made from a wheel that was built from what the wheel is made of, and nothing else."""
    folder = tmp_path_factory.mktemp("library")
    source = folder / "source"
    shutil.copytree(
        TOP / "pipeline/retrieval", source / "pipeline/retrieval", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(TOP / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
    subprocess.run(
        [*pip, "wheel", str(source), "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)], check=True
    )
    [wheel] = folder.glob("*.whl")
    subprocess.run([*pip, "install", str(wheel), "--no-deps", "--target", str(folder / "installed")], check=True)
    # What an installation of its dependencies has not.
    for name in ("torch", "dvc", "hydra", "pandas", "PIL", "matplotlib", "pipeline"):
        (folder / "installed" / f"{name}.py").write_text("raise ImportError('not installed')\n")
    return folder / "installed"


def used(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=installed.parent,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_gives_the_same_numbers_without_the_checkout(installed: Path) -> None:
    features = np.random.default_rng(0).standard_normal((48, 8))
    np.save(installed.parent / "F.npy", features)
    code = f"""
import json, numpy as np, retrieval_bench
from retrieval_bench import RetrievalError, compare_features, score_features
features = np.load("F.npy")
try:
    score_features(features, [1])
except RetrievalError as error:
    said = str(error)
print(json.dumps([retrieval_bench.__file__, score_features(features, {LABELS}), said,
                  compare_features(features, features[:, :4], {LABELS})]))
"""
    done = used(installed, "-c", code)
    assert done.returncode == 0, done.stderr
    place, found, said, compared = json.loads(done.stdout)
    assert place.startswith(str(installed)) and said.startswith("1 labels for 48 rows of features")
    assert found == score_features(features, LABELS)
    assert compared == pipeline.compare_features(features, features[:, :4], LABELS)


def test_its_command(installed: Path) -> None:
    folder = installed.parent
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 48, 8)).astype(np.float32)
    np.save(folder / "a.npy", a)
    np.save(folder / "b.npy", b)
    (folder / "labels.txt").write_text("".join(f"{item}.jpg\t{label}\n" for item, label in enumerate(LABELS)))
    command = ("-m", "retrieval_bench.command")
    done = used(
        installed, *command, "score", "a.npy", "labels.txt", "--cutoffs", "1,3", "--per-query", "q.npz", "--top", "2"
    )
    assert done.returncode == 0, done.stderr
    expected = score_features(a, LABELS, cutoffs=[1, 3])
    assert json.loads(done.stdout) == expected
    with np.load(folder / "q.npz") as arrays:
        assert arrays["AP"].mean() == pytest.approx(expected["mAP"], rel=1e-12)
        assert arrays["top_items"].shape == (48, 2) and len(arrays["rank_starts"]) == 49
    done = used(installed, *command, "compare", "a.npy", "b.npy", "labels.txt", "--metric", "P@1")
    assert json.loads(done.stdout) == pipeline.compare_several({"a.npy": a, "b.npy": b}, LABELS, metric="P@1")
    assert used(installed, *command, "--version").stdout.startswith("retrieval-bench ")


def test_its_command_with_labels_alone(installed: Path) -> None:
    folder = installed.parent
    a, b = np.random.default_rng(3).standard_normal((2, 48, 8)).astype(np.float32)
    np.save(folder / "a.npy", a)
    np.save(folder / "b.npy", b)
    (folder / "alone.txt").write_text("".join(f"{label}\n" for label in LABELS))
    done = used(installed, "-m", "retrieval_bench.command", "score", "a.npy", "alone.txt")
    assert json.loads(done.stdout) == score_features(a, LABELS)
    done = used(installed, "-m", "retrieval_bench.command", "compare", "a.npy", "b.npy", "alone.txt")
    assert json.loads(done.stdout) == pipeline.compare_several({"a.npy": a, "b.npy": b}, LABELS)


def test_its_command_with_queries_and_gallery_apart(installed: Path) -> None:
    folder = installed.parent
    features = np.random.default_rng(2).standard_normal((48, 8))
    np.save(folder / "Q.npy", features[:12])
    np.save(folder / "G.npy", features[12:])
    (folder / "Q.txt").write_text("".join(f"q{item}\t{label}\n" for item, label in enumerate(LABELS[:12])))
    (folder / "G.txt").write_text("".join(f"g{item}\t{label}\n" for item, label in enumerate(LABELS[12:])))
    done = used(installed, "-m", "retrieval_bench.command", "score", "Q.npy", "Q.txt", "--gallery", "G.npy", "G.txt")
    given = {"queries": features[:12], "query_labels": LABELS[:12]}
    assert json.loads(done.stdout) == score_features(**given, gallery=features[12:], gallery_labels=LABELS[12:])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("score", "none.npy", "labels.txt"), "error: none.npy"),
        (("score", "F.npy", "none.txt"), "error: none.txt cannot be read"),
        (("score", "F.npy", "short.txt"), "error: F.npy has 48 rows, but short.txt lists 1 items"),
        (("score", "F.npy", "labels.txt", "--cutoffs", "0"), "'cutoffs' is "),
        (("score", "F.npy", "labels.txt", "--device", "cuda"), "device is 'cuda', which needs PyTorch"),
        (("score", "F.npy", "labels.txt", "--per-query", "labels.txt/q.npz"), "error: labels.txt: "),
        (("compare", "F.npy", "F.npy", "labels.txt"), "error: F.npy is given twice"),
        (("compare", "F.npy", "labels.txt"), "error: 1 features"),
    ],
)
def test_its_mistakes_are_one_line(installed: Path, arguments: tuple[str, ...], said: str) -> None:
    folder = installed.parent
    np.save(folder / "F.npy", np.random.default_rng(0).standard_normal((48, 8)))
    (folder / "labels.txt").write_text("".join(f"{item}.jpg\t{label}\n" for item, label in enumerate(LABELS)))
    (folder / "short.txt").write_text("a.jpg\t1\n")
    done = used(installed, "-m", "retrieval_bench.command", *arguments)
    assert done.returncode == 2 and done.stdout == "" and said in done.stderr and done.stderr.count("\n") == 1
    assert not list(folder.glob(".q.npz*"))


def test_what_type_checkers_are_told_is_what_there_is() -> None:
    told = (TOP / "pipeline/retrieval/__init__.pyi").read_text().split()
    assert sorted(told[3::6]) == retrieval.__all__
    assert all(getattr(pipeline, name) is getattr(retrieval, name) for name in retrieval.__all__)
    with pytest.raises(AttributeError, match="no attribute 'score'"):
        retrieval.score  # noqa: B018
