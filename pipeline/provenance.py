"""Everything needed to make the same features again, and what they cost."""

import contextlib
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.encoders.encoder import Encoder
from pipeline.manifest import Manifest
from pipeline.runtime import Runtime

# Whatever can change a feature by more than the encoder's own config.
LIBRARIES = ("torch", "torchvision", "transformers", "numpy", "pillow", "scikit-image", "scikit-learn")
CPUINFO = Path("/proc/cpuinfo")  # on Linux


def device_name(device: torch.device) -> str:
    """Return the kind of device and the model of the chip."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({processor_name()})"


def processor_name() -> str:
    """Return the processor's model, as far as the operating system tells."""
    if CPUINFO.is_file():
        for line in CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def provenance(
    name: str,
    config: Mapping[str, Any],
    manifest: Manifest,
    made: Mapping[str, Any],
    guards: Mapping[str, Any],
) -> dict[str, Any]:
    """Return everything needed to make the same features again, and what they cost; ``made`` says how they were."""
    return {
        "encoder": name,
        "config": config,
        "guards": guards,
        "dataset": manifest.dataset,
        "images": len(manifest.items),
        "manifest_sha256": manifest.sha256,
        **made,
    }


def made_here(encoder: Encoder, images: int, runtime: Runtime, seconds: float) -> dict[str, Any]:
    """Return how features were made by an encoder on this machine."""
    return {
        "weights": encoder.weights,
        "preprocessing": encoder.preprocessing,
        "precision": "float32",
        "dim": encoder.dim,
        "device": device_name(runtime.resolved_device()),
        "batch_size": runtime.resolved_batch_size(),
        "workers": runtime.resolved_workers(),
        "threads": torch.get_num_threads(),
        "seconds": round(seconds, 3),
        "images_per_second": round(images / seconds, 1),
        "python": platform.python_version(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the libraries that features can depend on, timm's where it is installed."""
    found = {library: importlib.metadata.version(library) for library in LIBRARIES}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found["timm"] = importlib.metadata.version("timm")
    return found
