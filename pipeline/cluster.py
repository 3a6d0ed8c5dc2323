"""The Ray cluster that a stage spreads its work over, where conf/runtime asks for one. Only then Ray is imported."""

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import RetrievalError
from pipeline.options import call

WHERE = "ray in conf/runtime"
LOCAL = "local"
PATIENCE = 10  # seconds for a first answer


@dataclass(frozen=True)
class Cluster:
    """Where work is spread.

    Attributes:
        address: ``local`` is a cluster of this machine alone, for as long as the stage runs; ``auto`` the one that
            this machine belongs to; ``host:6379`` the one of that head.
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
    code = {} if own else {"py_modules": [str(Path(__file__).parent)]}
    quiet = logging.ERROR
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(quiet)
    try:
        if ":" in cluster.address:  # Ray itself would try for minutes
            host, _, port = cluster.address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=PATIENCE).close()
        ray.init(cluster.address, log_to_driver=False, logging_level=quiet, runtime_env=code, **more)
    except (OSError, ValueError, RuntimeError) as error:
        problem = " ".join(str(error).split())[:300]
        raise RetrievalError(f"{WHERE}: no cluster at '{cluster.address}' ({problem}): mend 'address'") from None
    try:
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        alive = [node["Resources"] for node in nodes if node["Alive"]]
        yield [Node(int(has.get("CPU", 0)), int(has.get("GPU", 0))) for has in alive]
    finally:
        ray.shutdown()
