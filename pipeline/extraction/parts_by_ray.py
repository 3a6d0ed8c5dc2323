"""Parts of a dataset encoded by a pool of actors on a Ray cluster. Only what is asked to run there imports this.

Ray Data gives each actor one part after the other. What a worker or a machine that dies was at is given to another one.
"""

import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.data

from pipeline.cluster.connection import WHERE, Node, in_one_line, refusal
from pipeline.encoders.decoding import decoding_on_cpu
from pipeline.encoders.encoder import Encoder
from pipeline.extraction.encoding import DecodedImages, File
from pipeline.extraction.parts import Done, Encoded, Here, Part
from pipeline.extraction.provenance import machine_of, versions
from pipeline.extraction.runtime import Runtime, settle
from pipeline.retrieval.errors import RetrievalError

# Of a part whose worker died, before it is said to be the part's fault. While a machine is not yet known to be dead,
# every second takes one.
RETRIES = 60
GROUP = 8  # parts that an actor on a GPU gets at once, so that its workers go on decoding from one to the next


@dataclass(frozen=True)
class Pool:
    """The actors that a cluster has room for.

    Attributes:
        actors: how many.
        cpus: of each.
        gpus: of each, 0 or 1.
        runtime: of each.
    """

    actors: int
    cpus: int
    gpus: int
    runtime: Runtime


def pool_of(runtime: Runtime, nodes: Sequence[Node], decoder: str = "pillow") -> Pool:
    """Return the actors that ``nodes`` have room for, all alike: one a GPU, or, without any, of ``threads`` CPUs each.

    ``auto`` threads are, with GPUs, the CPUs that the poorest machine has for each of its own; else those of its
    smallest machine, so that of like machines each keeps the network in memory once.

    Raises:
        RetrievalError: no machine has what is asked for.
    """
    if runtime.device not in ("auto", "cpu", "cuda"):
        raise RetrievalError(
            f"device '{runtime.device}' in conf/runtime: Ray gives each worker a GPU of its own: set device to cuda, "
            "cpu or auto"
        )
    with_gpus = [node for node in nodes if node.gpus and node.cpus]
    if runtime.device == "cuda" and not with_gpus:
        raise RetrievalError(
            f"{WHERE}: no machine of the cluster has a GPU: set device: cpu, or add machines with GPUs"
        )
    gpus = 1 if with_gpus and runtime.device != "cpu" else 0
    usable = with_gpus if gpus else [node for node in nodes if node.cpus]
    least = min((node.cpus // (node.gpus if gpus else 1) for node in usable), default=0)
    cpus = max(least, 1) if runtime.threads == "auto" else int(runtime.threads)
    actors = sum(min(node.cpus // cpus, node.gpus if gpus else node.cpus) for node in usable)
    if not actors:
        raise RetrievalError(f"{WHERE}: no machine of the cluster has {cpus} CPUs for a worker: lower 'threads'")
    workers = runtime.workers
    if workers == "auto":
        workers = cpus if gpus and decoder != "nvjpeg" else 0
    own = replace(runtime, device="cuda" if gpus else "cpu", threads=cpus, workers=workers)
    return Pool(actors, cpus, gpus, own)


class PartEncoder:
    """An actor: it keeps the network and encodes parts."""

    def __init__(self, shared: "ray.ObjectRef[Any]", expected: Mapping[str, str]) -> None:
        """Take the encoder and its runtime, if the libraries have the versions that it must be used with."""
        self.refused = refusal(expected, versions())
        if self.refused:
            return
        self.encoder, self.dataset, self.runtime = ray.get(shared)
        settle(self.runtime)
        self.here = Here()

    def __call__(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the features of some parts, as bytes, or why there are none."""
        nothing = {"number": -1, "rows": b"", "error": "", "machine": ""}
        if self.refused:
            return [{**nothing, "error": self.refused}]
        files = [
            (path, sha256, box and tuple(box), width, height)
            for path, sha256, box, width, height in json.loads(row["files"])
        ]
        images = DecodedImages(self.dataset, files, self.encoder)
        ends = np.cumsum(row["lengths"]).tolist()
        parts = [
            Part(number, range(end - length, end))
            for number, length, end in zip(row["numbers"], row["lengths"], ends, strict=True)
        ]
        answers = []
        try:
            for part, rows, _ in self.here.encoded(self.encoder, images, self.runtime, parts, lambda _: None):
                machine = {"node": ray.get_runtime_context().get_node_id(), **machine_of(self.runtime)}
                answers.append(
                    {**nothing, "number": part.number, "rows": rows.tobytes(), "machine": json.dumps(machine)}
                )
        except RetrievalError as error:
            answers.append({**nothing, "error": str(error)})
        return answers


class OnRay:
    """The actors of a connected cluster encode."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Take what the machines of the cluster have."""
        self.nodes = nodes
        self.machines: list[dict[str, Any]] = []

    def trial(self, encoder: Encoder, runtime: Runtime) -> tuple[Encoder, Runtime]:
        """See :meth:`pipeline.extraction.parts.Engine.trial`; the machine that asks the cluster may have no GPU."""
        return decoding_on_cpu(encoder), replace(runtime, device="cpu")

    def encoded(
        self, encoder: Encoder, images: DecodedImages, runtime: Runtime, parts: Sequence[Part], done: Done
    ) -> Iterator[Encoded]:
        """See :meth:`pipeline.extraction.parts.Engine.encoded`.

        Raises:
            RetrievalError: see there; a machine has other versions of the libraries; workers die again and again.
        """
        if not parts:
            return
        pool = pool_of(runtime, self.nodes, encoder.decoder)
        by_number = {part.number: part for part in parts}
        started = time.perf_counter()
        with in_one_line("if they lack memory, lower batch_size; what is finished is kept"):
            shared = ray.put((encoder, images.dataset, pool.runtime))
            for answer in answers(images, parts, pool, shared):
                if answer["error"]:
                    raise RetrievalError(answer["error"])
                self.machines.append(json.loads(answer["machine"]))
                part = by_number[answer["number"]]
                rows = np.frombuffer(answer["rows"], np.float32).reshape(len(part.places), encoder.dim)
                done(len(part.places))
                finished = time.perf_counter()
                yield part, rows, finished - started
                started = finished

    def machine(self, runtime: Runtime) -> dict[str, Any]:
        """See :meth:`pipeline.extraction.parts.Engine.machine`; memory is that of the worker that had most."""
        if not self.machines:  # every part was there already
            return {"ray": ray.__version__}
        used = self.machines
        most = {
            name: max((machine[name] for machine in used if machine[name] is not None), default=None)
            for name in ("peak_memory_bytes", "peak_gpu_memory_bytes")
        }
        devices = sorted({machine["device"] for machine in used})
        nodes = {machine["node"] for machine in self.machines}
        described = {name: value for name, value in used[0].items() if name != "node"}
        return {**described, "device": " and ".join(devices), **most, "machines": len(nodes), "ray": ray.__version__}

    def latencies(self, encoder: Encoder, images: DecodedImages, runtime: Runtime) -> list[float]:
        """See :meth:`pipeline.extraction.parts.Engine.latencies`: a cluster is asked for many images, not for one."""
        return []


def answers(
    images: DecodedImages, parts: Sequence[Part], pool: Pool, shared: "ray.ObjectRef[Any]"
) -> Iterator[dict[str, Any]]:
    """Yield what the actors answer, in any order."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    together = GROUP if pool.gpus else 1
    rows = []
    for first in range(0, len(parts), together):
        group = parts[first : first + together]
        files = [absolute(images.files[place]) for part in group for place in part.places]
        rows.append(
            {
                "numbers": [part.number for part in group],
                "lengths": [len(part.places) for part in group],
                "files": json.dumps(files),
            }
        )
    strategy = ray.data.ActorPoolStrategy(
        min_size=1, max_size=pool.actors, initial_size=pool.actors, max_tasks_in_flight_per_actor=2
    )
    with warnings.catch_warnings():
        # Ray 2.64 takes max_task_retries away; without it a part that ends its worker would be tried for ever.
        warnings.simplefilter("ignore", DeprecationWarning)
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).flat_map(
            PartEncoder,
            fn_constructor_args=(shared, versions()),
            compute=strategy,
            num_cpus=pool.cpus,
            num_gpus=pool.gpus,
            max_task_retries=RETRIES,
        )
    yield from dataset.iter_rows()


def absolute(file: File) -> File:
    """Return where an image is for a process that was started in another folder."""
    path, sha256, box, width, height = file
    return (path if "://" in path else str(Path(path).absolute())), sha256, box, width, height
