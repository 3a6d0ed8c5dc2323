"""The Ray cluster that a stage spreads its work over, where conf/runtime asks for one. Only then Ray is imported."""

import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call

WHERE = "ray in conf/runtime"
LOCAL = "local"
PATIENCE = 10  # seconds for a first answer
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Cluster:
    """Where work is spread.

    Attributes:
        address: ``local`` is a cluster of this machine alone, for as long as the stage runs; ``auto`` the one that
            this machine belongs to; ``host:6379`` the one of that head, to which this machine must belong too.
    """

    address: str = LOCAL


@dataclass(frozen=True)
class Node:
    """What a machine of the cluster gives Ray to use."""

    cpus: int
    gpus: int


def read_cluster(runtime: Mapping[str, Any]) -> Cluster | None:
    """Return the cluster that conf/runtime names; None: the work is done here."""
    options = runtime.get("ray")
    return None if options is None else call(Cluster, options, where=WHERE)


@contextmanager
def in_one_line(remedy: str) -> Iterator[None]:
    """Turn what Ray raises into one line; what the code in a task raised stays as it is.

    Args:
        remedy: against workers that die.

    Raises:
        RetrievalError: a task raised it; workers died again and again; Ray failed otherwise.
    """
    from ray import exceptions

    try:
        yield
    except exceptions.RayTaskError as error:
        if isinstance(error.cause, RetrievalError):
            raise error.cause from None
        raise
    except exceptions.RayError as error:
        lines = [line.strip() for line in COLOURS.sub("", str(error)).splitlines() if line.strip()]
        problem = f"{type(error).__name__}: {' '.join(lines)[:200]}"
        dead = exceptions.RayActorError, exceptions.WorkerCrashedError, exceptions.OutOfMemoryError
        if isinstance(error, dead):
            problem = f"workers died again and again ({problem}): {remedy}"
        raise RetrievalError(f"{WHERE}: {problem}") from None


def refusal(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Return why the machine that runs this may do no work: other versions than expected; empty if it may."""
    others = [
        f"{library} {found.get(library)} instead of {version}"
        for library, version in expected.items()
        if found.get(library) != version
    ]
    if not others:
        return ""
    from ray.util import get_node_ip_address

    node = get_node_ip_address()  # type: ignore[no-untyped-call]
    return f"{node} has {', '.join(others)}: install the same there as here"


@contextmanager
def connected(cluster: Cluster) -> Iterator[list[Node]]:
    """Stay connected to a cluster; yield what its machines have.

    A cluster that was running is given this project's code, so that every machine computes by the same.

    Raises:
        RetrievalError: Ray is not installed; there is no such cluster, or it does not take this version.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        import ray
        import ray.data
    except ImportError as error:
        problem = " ".join(str(error).split())
        raise RetrievalError(
            f"runtime=ray needs Ray, which is not here ({problem}): pip install 'ray[data]', or choose runtime=default"
        ) from None
    own = cluster.address == LOCAL
    more: dict[str, Any] = {"include_dashboard": False} if own else {}
    code = {} if own else {"py_modules": [str(Path(__file__).parent.parent)]}
    quiet = logging.ERROR
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(quiet)
    try:
        if ":" in cluster.address:  # Ray itself would try for minutes
            host, _, port = cluster.address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=PATIENCE).close()
        ray.init(cluster.address, log_to_driver=False, logging_level=quiet, runtime_env=code, **more)
    except (OSError, ValueError, OverflowError, RuntimeError, ray.exceptions.RayError) as error:
        problem = " ".join(str(error).split())[:300]
        raise RetrievalError(f"{WHERE}: no cluster at '{cluster.address}' ({problem}): mend 'address'") from None
    try:
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        alive = [node["Resources"] for node in nodes if node["Alive"]]
        yield [Node(int(has.get("CPU", 0)), int(has.get("GPU", 0))) for has in alive]
    finally:
        ray.shutdown()
