"""On a Ray cluster of two machines, simulated on this one: the same results as here, also when a machine dies."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from upath import UPath

from pipeline.cluster.connection import Cluster, Node, connected, read_cluster
from pipeline.encoders.encoder import Encoder
from pipeline.extraction.encoding import DecodedImages
from pipeline.extraction.extraction import extract
from pipeline.extraction.runtime import Runtime
from pipeline.extraction.scratch import Scratch
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.distances import Distances
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import Evaluation, evaluate, scores_of
from pipeline.retrieval.postprocessing import KReciprocal
from pipeline.retrieval.protocols import Protocol, by_labels
from pipeline.retrieval.similarity import Products, Scorer
from pipeline.retrieval.wanted import Settings
from tests.conftest import TOP, Project
from tests.encoders.test_encoders import build, config_of

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[data]'")

from ray.cluster_utils import Cluster as Simulated  # noqa: E402

from pipeline.cluster import ranking as ranking_by_ray  # noqa: E402
from pipeline.cluster.ranking import rank_on  # noqa: E402
from pipeline.extraction import parts_by_ray  # noqa: E402
from pipeline.extraction.parts_by_ray import OnRay, pool_of  # noqa: E402

ONE = Runtime(device="cpu", batch_size=4, workers=0, threads=1)


@dataclass
class Two:
    """A cluster of two machines, of a CPU each; the driver is on the first."""

    simulated: Simulated
    nodes: list[Node]

    def kill_second(self) -> None:
        """As if its power failed."""
        (second,) = self.simulated.worker_nodes
        self.simulated.remove_node(second, allow_graceful=False)


# A machine that does not answer at all is dead after a second, not after a quarter of a minute.
PATIENCE = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 300, "health_check_failure_threshold": 3}


@pytest.fixture(scope="module")
def head() -> Iterator[Simulated]:
    one = {"num_cpus": 1, "num_gpus": 0, "include_dashboard": False}
    simulated = Simulated(initialize_head=True, head_node_args={**one, "_system_config": PATIENCE})
    try:
        with connected(Cluster(simulated.address)) as nodes:
            assert nodes == [Node(1, 0)]
            yield simulated
    finally:
        simulated.shutdown()


@pytest.fixture
def two(head: Simulated) -> Two:
    if not head.worker_nodes:  # never was, or was killed
        head.add_node(num_cpus=1, num_gpus=0)
    return Two(head, [Node(1, 0), Node(1, 0)])


@pytest.fixture
def manifest(draw: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    monkeypatch.setattr("pipeline.extraction.extraction.PART", 4)
    items = []
    for seed in range(38):
        path = draw(f"{seed}.png", seed=seed)
        items.append(Item(path.name, ("a",), 32, 24, hashlib.sha256(path.read_bytes()).hexdigest()))
    return Manifest("own", tmp_path, tuple(items))


class Slowly(nn.Module):
    """Passes images on after a while, and counts them in a file."""

    def __init__(self, seen: Path) -> None:
        super().__init__()
        self.seen = seen

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        time.sleep(0.3)
        with self.seen.open("a") as file:
            file.write(f"{os.getpid()} {len(batch)}\n")
        return batch


class Deadly(nn.Module):
    """Ends the process, as a lack of memory does."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        os._exit(9)


def slow_encoder(seen: Path) -> Encoder:
    return replace(build("x", config_of("raw_pixels")), network=Slowly(seen).eval())


def test_images_of_different_sizes(two: Two, draw: Callable[..., Path], manifest: Manifest) -> None:
    items = []
    for seed in range(13):
        width, height = [(32, 24), (48, 24), (24, 32)][seed % 3]
        path = draw(f"sized/{seed}.png", seed=seed, size=(width, height))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        items.append(Item(f"sized/{path.name}", ("a",), width, height, sha256))
    manifest = replace(manifest, items=tuple(items))
    encoder = build("x", {**config_of("resnet18_random"), "input": {"side": 32, "fit": "shortest", "multiple": 8}})
    assert len(DecodedImages.of(manifest, encoder).alike(range(13))) == 3
    expected, _ = extract(encoder, manifest, ONE)
    features, _ = extract(encoder, manifest, ONE, engine=OnRay(two.nodes))
    assert features.tobytes() == expected.tobytes()


def test_features_and_their_origin_are_those_made_here(two: Two, manifest: Manifest, tmp_path: Path) -> None:
    encoder, engine = build("x", config_of("resnet18_random")), OnRay(two.nodes)
    expected, _ = extract(encoder, manifest, ONE)
    features, seconds = extract(encoder, manifest, ONE, engine=engine)
    # A machine of another make may round otherwise; this is one.
    assert features.tobytes() == expected.tobytes() and seconds > 0
    machine = engine.machine(ONE)
    assert (machine["machines"], machine["threads"], machine["batch_size"]) == (2, 1, 4)
    assert machine["device"].startswith("cpu (") and machine["peak_memory_bytes"] > 1e8
    assert "node" not in machine


def test_a_machine_that_dies_costs_what_it_was_at(two: Two, manifest: Manifest, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    encoder = slow_encoder(seen)
    engine, scratch = OnRay(two.nodes), Scratch(tmp_path / "scratch", "key")
    original = engine.encoded

    def killed(*arguments: Any) -> Iterator[Any]:
        for number, done in enumerate(original(*arguments)):
            if number == 3:
                two.kill_second()
            yield done

    engine.encoded = killed  # type: ignore[method-assign]
    features, _ = extract(encoder, manifest, ONE, scratch, engine)
    expected, _ = extract(build("x", config_of("raw_pixels")), manifest, ONE)
    assert features.tobytes() == expected.tobytes()
    assert len(list((tmp_path / "scratch/key").glob("*.npy"))) == 10
    counted = [line.split() for line in seen.read_text().splitlines()]
    assert len({process for process, _ in counted}) >= 2  # both worked
    # Each worker has two parts at most: those of the dead one are made again, and nothing else.
    assert 38 <= sum(int(images) for _, images in counted) <= 38 + 2 * 4


def test_a_worker_that_dies_every_time_is_an_error(
    two: Two, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_by_ray, "RETRIES", 1)
    encoder = replace(build("x", config_of("raw_pixels")), network=Deadly().eval())
    few = replace(manifest, items=manifest.items[:2])
    with pytest.raises(RetrievalError, match="workers died again and again .*: if they lack memory, lower batch_size"):
        extract(encoder, few, ONE, engine=OnRay(two.nodes[:1]))  # a worker starts for seconds: one is enough


def test_errors_name_the_image_and_keep_what_is_finished(two: Two, manifest: Manifest, tmp_path: Path) -> None:
    (manifest.root / "37.png").unlink()
    scratch = Scratch(tmp_path / "scratch", "key")
    encoder = slow_encoder(tmp_path / "seen")
    with pytest.raises(RetrievalError, match=r"37\.png cannot be read") as caught:
        extract(encoder, manifest, ONE, scratch, OnRay(two.nodes[:1]))
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "scratch/key").glob("*.npy"))


def test_the_driver_tries_some_images_without_a_gpu() -> None:
    encoder = build("x", {**config_of("resnet18_random"), "decoder": "nvjpeg"})
    tried, runtime = OnRay([]).trial(encoder, replace(ONE, device="cuda"))
    assert (tried.decoder, runtime.device) == ("torchcodec", "cpu")


def test_other_versions_of_the_libraries_are_an_error(
    two: Two, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_by_ray, "versions", lambda: {"torch": "0.1"})
    with pytest.raises(RetrievalError, match=r"[\d.]+ has torch \d.* instead of 0\.1: install the same there as here"):
        extract(build("x", config_of("raw_pixels")), manifest, ONE, engine=OnRay(two.nodes))


def test_images_are_found_from_another_folder(two: Two, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = build("x", config_of("raw_pixels"))
    expected, _ = extract(encoder, manifest, ONE)
    monkeypatch.chdir(manifest.root)  # the workers were not started here
    for root in (Path(), UPath(f"file://{manifest.root}")):
        features, _ = extract(encoder, replace(manifest, root=root), ONE, engine=OnRay(two.nodes[:1]))
        assert features.tobytes() == expected.tobytes()


def test_other_versions_are_an_error_of_a_ranking_too(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    features, protocol, names = case(600)
    scorer = scores_of(features, protocol, Settings())
    monkeypatch.setattr(ranking_by_ray, "versions", lambda: {"numpy": "0.1"})
    with pytest.raises(RetrievalError, match=r"has numpy \d.* instead of 0\.1: install the same there as here"):
        evaluate(scorer, protocol, names=names, settings=Settings(), rank=rank_on(two.nodes, Settings()))


class SlowProducts(Products):
    """Scores that take their time, where there is a choice."""

    def fill(self, rows: slice, columns: slice, out: np.ndarray) -> None:
        time.sleep(0.02)
        super().fill(rows, columns, out)


def same(found: Evaluation, expected: Evaluation) -> None:
    for name in vars(expected):
        one, other = getattr(found, name), getattr(expected, name)
        if name == "left_out":
            assert list(one) == list(other)
            for key, left_out in other.items():
                np.testing.assert_allclose(one[key].values, left_out.values, rtol=0, atol=1e-12)
                assert one[key].shares.tobytes() == left_out.shares.tobytes() and one[key].units == left_out.units
        elif isinstance(other, dict):
            assert list(one) == list(other)
            for key in other:
                assert one[key].tobytes() == other[key].tobytes(), key
        elif isinstance(other, np.ndarray):
            assert one.tobytes() == other.tobytes(), name
        else:
            assert one == other, name


def case(items: int) -> tuple[np.ndarray, Protocol, list[str]]:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((items, 8)).astype(np.float32)
    features[items // 2 :: 7] = features[0]  # ties
    labels = [(str(value),) for value in rng.integers(0, 20, items)]
    return features, by_labels(labels), [f"{index}.png" for index in range(items)]


def test_rankings_are_those_made_here(two: Two) -> None:
    features, protocol, names = case(3000)
    steps: Sequence[KReciprocal]
    for steps in ((), (KReciprocal(k1=5, k2=2, weight=0.3),)):
        scorer = scores_of(features, protocol, Settings(), steps=steps)
        expected = evaluate(scorer, protocol, names=names, settings=Settings())
        same(
            evaluate(scorer, protocol, names=names, settings=Settings(), rank=rank_on(two.nodes, Settings())), expected
        )
        small = Settings(memory=0.001)
        same(evaluate(scorer, protocol, names=names, settings=small, rank=rank_on(two.nodes, small)), expected)


def test_distances_far_from_the_origin_are_those_made_here(two: Two) -> None:
    features, protocol, names = case(1500)
    for settings in (Settings(similarity="euclidean"), Settings()):
        scorer = scores_of(features + 4000, protocol, settings)
        assert isinstance(scorer, Distances)
        expected = evaluate(scorer, protocol, names=names, settings=settings)
        same(evaluate(scorer, protocol, names=names, settings=settings, rank=rank_on(two.nodes, settings)), expected)


def test_a_machine_that_dies_while_ranking(two: Two) -> None:
    features, protocol, names = case(9000)
    settings = Settings(left_out=False)
    fast = scores_of(features, protocol, settings)
    assert isinstance(fast, Products)
    scorer: Scorer = SlowProducts(fast.item_rows, fast.item_rows, fast.twins)
    expected = evaluate(fast, protocol, names=names, settings=settings)
    original = ranking_by_ray.ray.get
    got = []

    def get(*arguments: Any) -> Any:
        found = original(*arguments)
        got.append(time.perf_counter())
        if len(got) == 2:
            two.kill_second()
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ranking_by_ray.ray, "get", get)
        found = evaluate(scorer, protocol, names=names, settings=settings, rank=rank_on(two.nodes, settings))
    assert len(got) > 4
    same(found, expected)


def test_an_error_of_a_ranking_is_one_line(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    features, protocol, names = case(600)
    scorer = scores_of(features, protocol, Settings())
    with pytest.raises(RetrievalError, match="device 'abc' cannot be used .*: set device: cpu") as caught:
        list(ranking_by_ray.each_ranking(ranking_on_abc, repr, scorer, protocol.judge, top=1, nodes=two.nodes))
    assert "\n" not in str(caught.value)
    with pytest.raises(RetrievalError, match="no machine of the cluster has a GPU and a CPU"):
        evaluate(
            scorer,
            protocol,
            names=names,
            settings=Settings(device="cuda"),
            rank=rank_on(two.nodes, Settings(device="cuda")),
        )


def ranking_on_abc(*arguments: Any, **more: Any) -> Iterator[Any]:
    from pipeline.retrieval.ranking_by_torch import each_ranking

    return each_ranking(*arguments, **more, device="abc")


# ---- without a cluster


@pytest.mark.parametrize(
    ("runtime", "nodes", "expected"),
    [
        ({}, [(8, 0)], (1, 8, 0, "cpu", 0)),
        ({}, [(8, 0), (16, 0), (0, 0)], (3, 8, 0, "cpu", 0)),
        ({"threads": 2}, [(5, 0), (2, 0), (1, 0)], (3, 2, 0, "cpu", 0)),
        ({}, [(2, 0), (16, 2), (24, 4)], (6, 6, 1, "cuda", 6)),
        ({"workers": 3}, [(16, 2)], (2, 8, 1, "cuda", 3)),
        ({"device": "cpu"}, [(4, 1)], (1, 4, 0, "cpu", 0)),
        ({"device": "cuda"}, [(4, 0), (2, 8)], (2, 1, 1, "cuda", 1)),
    ],
)
def test_the_pool(runtime: dict[str, Any], nodes: list[tuple[int, int]], expected: tuple[Any, ...]) -> None:
    asked = Runtime(**{"device": "auto", "batch_size": "auto", "workers": "auto", **runtime})
    pool = pool_of(asked, [Node(*node) for node in nodes])
    assert (pool.actors, pool.cpus, pool.gpus, pool.runtime.device, pool.runtime.workers) == expected
    assert pool.runtime.threads == pool.cpus


@pytest.mark.parametrize(
    ("runtime", "nodes", "match"),
    [
        ({"device": "cuda:1"}, [(4, 2)], "device 'cuda:1' in conf/runtime: Ray gives each worker a GPU of its own"),
        ({"device": "cuda"}, [(4, 0)], "no machine of the cluster has a GPU: set device: cpu"),
        ({"threads": 8}, [(4, 0)], "no machine of the cluster has 8 CPUs for a worker: lower 'threads'"),
        ({}, [(0, 0)], "no machine of the cluster has 1 CPUs for a worker"),
    ],
)
def test_a_pool_that_cannot_be(runtime: dict[str, Any], nodes: list[tuple[int, int]], match: str) -> None:
    asked = Runtime(**{"device": "auto", "batch_size": "auto", "workers": "auto", **runtime})
    with pytest.raises(RetrievalError, match=match):
        pool_of(asked, [Node(*node) for node in nodes])


def test_a_gpu_that_decodes_has_no_workers() -> None:
    asked = Runtime(device="auto", batch_size="auto", workers="auto")
    assert pool_of(asked, [Node(16, 1)], "nvjpeg").runtime.workers == 0


@pytest.mark.parametrize(("queries", "wanted", "lengths"), [(100, 8, [100]), (2000, 2, [1024, 976]), (0, 4, [])])
def test_bands(queries: int, wanted: int, lengths: list[int]) -> None:
    found = ranking_by_ray.bands(queries, wanted)
    assert [len(band) for band in found] == lengths
    assert [query for band in found for query in band] == list(range(queries))


def test_which_cluster() -> None:
    assert read_cluster({"ray": None}) is None and read_cluster({}) is None
    assert read_cluster({"ray": {"address": "auto"}}) == Cluster("auto")
    with pytest.raises(RetrievalError, match="ray in conf/runtime: unknown key 'adress'; its keys are address"):
        read_cluster({"ray": {"adress": "auto"}})
    for address in ("127.0.0.1:1", "127.0.0.1:99999"):
        with (
            pytest.raises(RetrievalError, match=f"ray in conf/runtime: no cluster at '{address}' .*: mend 'address'"),
            connected(Cluster(address)),
        ):
            pass


def test_the_stages_on_a_cluster_of_this_machine(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["encoder=color_histogram", "dataset=digits"]
    out = [f"{key}={project.top.parent}/{key}" for key in ("metrics", "per_query", "per_class", "similarities")]
    costs = project.top.parent / "costs.json"
    project.stage("extract", *names, "runtime=ray", f"out={project.top.parent}/features", f"costs={costs}")
    project.stage("evaluate", *names, "runtime=ray", *out)
    here = project.top / "features/color_histogram/digits"
    assert (project.top.parent / "features/features.npy").read_bytes() == (here / "features.npy").read_bytes()
    made = json.loads((project.top.parent / "features/provenance.json").read_text())
    cost = json.loads(costs.read_text())
    assert made["images"] == 40 and made["ray"] and cost["machines"] == 1 and "latency_seconds" not in cost
    run = project.top / "metrics/runs/color_histogram/digits.json"
    assert json.loads((project.top.parent / "metrics").read_text()) == json.loads(run.read_text())
    # How it runs is no reason to run again.
    monkeypatch.setenv("RETRIEVAL_RUNTIME", "ray")
    assert project.repro() == set()


WITHOUT = "import sys\nsys.modules['ray'] = None\nimport pipeline.{stage} as stage\nstage.main()\n"


@pytest.mark.parametrize("stage", ["extract", "evaluate"])
def test_without_ray(project: Project, stage: str) -> None:
    command = [sys.executable, "-c", WITHOUT.format(stage=stage), "encoder=color_histogram", "dataset=digits"]
    project.run(*command)
    done = project.run(*command, "runtime=ray", check=False)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "Ray" in line]
    assert line.startswith("error: runtime=ray needs Ray, which is not here")
    assert "pip install 'ray[data]', or choose runtime=default" in line


def test_ray_is_imported_only_where_asked_for() -> None:
    code = "import sys, pipeline.extract, pipeline.evaluate\nprint('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
