"""Everything needed to make the same features again; and, apart from it, what they cost."""

import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pipeline.encoders.encoder import GREY, SQUARE, Encoder
from pipeline.encoders.precision import TYPES
from pipeline.extraction.runtime import Runtime
from pipeline.frame.machine import processor_name
from pipeline.frame.versions import versions_of
from pipeline.manifest.manifest import Manifest

# Whatever can change a feature by more than the encoder's own config.
LIBRARIES = ("torch", "torchvision", "transformers", "numpy", "pillow", "scikit-image", "scikit-learn")
OPTIONAL = ("timm", "torchcodec")
OF_TEXTS = ("tokenizers", "ftfy", "regex")  # what tokenisers of Hugging Face and open_clip run on
PRECISIONS = {dtype: name for name, dtype in TYPES.items()}


def device_name(device: torch.device) -> str:
    """Return the kind of device and the model of the chip."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({processor_name()})"


def provenance(
    name: str,
    config: Mapping[str, Any],
    manifest: Manifest,
    made: Mapping[str, Any],
    guards: Mapping[str, Any],
) -> dict[str, Any]:
    """Return everything needed to make the same features again; ``made`` says how they were."""
    return {
        "encoder": name,
        "config": config,
        "guards": guards,
        "dataset": manifest.dataset,
        "images": len(manifest.pictures),
        **({"texts": len(manifest.texts)} if manifest.texts else {}),
        "manifest_sha256": manifest.sha256,
        **made,
    }


def made_by(encoder: Encoder, machine: Mapping[str, Any], *, texts: bool = False) -> dict[str, Any]:
    """Return how features were made by an encoder, on what :func:`machine_of` or the like describes.

    Nothing in it is measured: whoever makes the same features on the same kind of machine gets the same. ``texts`` is
    whether some are of texts.
    """
    return {
        "weights": encoder.weights,
        "preprocessing": encoder.preprocessing,
        "decoder": encoder.decoder,
        "precision": PRECISIONS[encoder.dtype],
        "dim": encoder.dim,
        **{name: machine[name] for name in ("device", "ray") if name in machine},
        "python": platform.python_version(),
        "versions": versions(texts=texts),
    }


def costs_of(
    encoder: Encoder,
    images: int,
    seconds: float,
    machine: Mapping[str, Any],
    latencies: Sequence[float] = (),
    *,
    typical: tuple[int, int] = SQUARE,
) -> dict[str, Any]:
    """Return what features cost: bytes of each in float32, what the network computes, and what was measured.

    Args:
        encoder: made them.
        images: how many there were.
        seconds: that they took.
        machine: see :func:`machine_of`.
        latencies: the seconds that each of some of them took alone; none where that was not measured.
        typical: width and height of an image that takes as much as they do on the average.
    """
    return {
        "feature_bytes": 4 * encoder.dim,
        "precision": PRECISIONS[encoder.dtype],
        "parameters": sum(parameter.numel() for parameter in encoder.network.parameters()),
        "flops_per_image": flops_of(encoder, typical),
        "images": images,
        "seconds": round(seconds, 3),
        "images_per_second": round(images / seconds, 1),
        **machine,
        **({"latency_seconds": [round(one, 6) for one in latencies]} if latencies else {}),
    }


def machine_of(runtime: Runtime) -> dict[str, Any]:
    """Return what this process computed with, and the memory that it took."""
    device = runtime.resolved_device()
    return {
        "device": device_name(device),
        "batch_size": runtime.resolved_batch_size(),
        "workers": runtime.resolved_workers(),
        "threads": runtime.resolved_threads(),
        "peak_memory_bytes": peak_memory(),
        "peak_gpu_memory_bytes": peak_gpu_memory(device),
    }


def flops_of(encoder: Encoder, typical: tuple[int, int] = SQUARE) -> int:
    """Return the floating-point operations of products and convolutions for an image of a size, two a multiply-add.

    As torch's counter has them; 0 for a descriptor, which has no weights. With plain attention, whose products it knows
    on every device.
    """
    if encoder.weights["kind"] == "none":
        return 0  # the counter imports torch's compiler, which takes two seconds
    image = encoder.preprocess(Image.new("RGB", typical, GREY))
    device = next(encoder.network.parameters(), torch.empty(0)).device
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter, sdpa_kernel(SDPBackend.MATH):
        encoder.encode(image[None].to(device))
    return int(counter.get_total_flops())


def peak_memory() -> int:
    """Return the most memory that this process has had, and that of its largest worker, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return sum(resource.getrusage(who).ru_maxrss * unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def peak_gpu_memory(device: torch.device) -> int | None:
    """Return the most memory of a GPU that tensors have had, in bytes; None without one."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def versions(*, texts: bool = False) -> dict[str, str]:
    """Return the versions of the libraries that features, of texts too, can depend on, as far as they are installed."""
    return versions_of((*LIBRARIES, *OPTIONAL, *(OF_TEXTS if texts else ())))
