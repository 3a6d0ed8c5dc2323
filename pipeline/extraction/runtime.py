"""How extraction runs on this machine: device, batch size, decoding processes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call


@dataclass(frozen=True)
class Runtime:
    """How to run, which must not change the features beyond rounding; conf/runtime/*.yaml.

    Attributes:
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; ``auto`` takes a GPU if torch sees one.
        batch_size: images a pass through the network; ``auto`` takes 16 on a CPU, 64 on a GPU.
        workers: processes that decode ahead; 0 decodes by threads, in turns with the network. ``auto`` takes 0 on a
            CPU and one a core with a GPU.
        threads: of the CPU, for the network and for decoding without workers; ``auto`` takes one a core.
    """

    device: str
    batch_size: int | str
    workers: int | str
    threads: int | str = "auto"

    def __post_init__(self) -> None:
        """Check the numbers."""
        numbers = (
            ("batch_size", self.batch_size, 1, 65_536),
            ("workers", self.workers, 0, 1024),
            ("threads", self.threads, 1, 1024),
        )
        for name, value, least, most in numbers:
            if value != "auto" and not (isinstance(value, int) and least <= value <= most):
                raise RetrievalError(
                    f"conf/runtime: {name} is '{value}': give a number from {least} to {most}, or auto"
                )

    def resolved_device(self) -> torch.device:
        """Return the device to use.

        Raises:
            RetrievalError: torch does not know it or cannot reach it.
        """
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            device = torch.device(name)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            problem = str(error).splitlines()[0]
            raise RetrievalError(f"device '{name}' cannot be used ({problem}): set device in conf/runtime") from None
        return device

    def resolved_batch_size(self) -> int:
        """Return the number of images a pass."""
        if self.batch_size != "auto":
            return int(self.batch_size)
        return 16 if self.resolved_device().type == "cpu" else 64

    def resolved_workers(self) -> int:
        """Return the number of decoding processes."""
        if self.workers != "auto":
            return int(self.workers)
        return 0 if self.resolved_device().type == "cpu" else cores()

    def resolved_threads(self) -> int:
        """Return the number of threads."""
        return cores() if self.threads == "auto" else int(self.threads)


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def read_runtime(config: Mapping[str, Any]) -> Runtime:
    """Return the part of conf/runtime that says how a process encodes."""
    options = {key: value for key, value in config.items() if key not in ("weights", "ray")}
    return call(Runtime, options, where="conf/runtime")


def settle(runtime: Runtime) -> None:
    """Let torch compute with as many threads as ``runtime`` says, and in :func:`exact_float32`."""
    torch.set_num_threads(runtime.resolved_threads())
    exact_float32()


def exact_float32() -> None:
    """Let a GPU's convolutions and products round as float32 does, not to the 10 bits of TF32.

    Otherwise features would depend on the device, and on the batch by which the kernel is chosen.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
