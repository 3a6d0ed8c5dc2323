"""Images of a manifest through a network, a batch at a time."""

import math
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.encoders.encoder import SQUARE, Encoder
from pipeline.extraction.runtime import Runtime
from pipeline.frame.places import as_written, place_of
from pipeline.manifest.images import read_prepared
from pipeline.manifest.items import Box, whole_pixels
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.errors import RetrievalError

# Where an image is, the SHA-256 that its file had, the part of it that counts, and the width and height of that.
File = tuple[str, str, Box | None, int, int]

# The path of an image, and the network's input of it or, where it cannot be used, the error's text.
Sample = tuple[str, Tensor | str]
# What networks raise on an input that they cannot take.
FAILURES = (RuntimeError, ValueError, TypeError, AssertionError, IndexError, ZeroDivisionError)

# Full batches that threads decode before the network has its turn: at each change some cores wait for the last image,
# and the network's threads go on looking for work for a while.
TURN = 4


class Files(Sequence[File]):
    """Where the images of a manifest are, put together when asked for; its texts are not among them."""

    def __init__(self, manifest: Manifest) -> None:
        """Take the manifest."""
        self.manifest = manifest

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.manifest.pictures)

    def __getitem__(self, index: Any) -> Any:
        """Return where image ``index`` is."""
        item = self.manifest.items[self.manifest.pictures[index]]
        path = str(place_of(self.manifest.folder(item)) / item.path)
        return path, item.sha256, item.box, *counted(item.width or 1, item.height or 1, item.box)


def counted(width: int, height: int, box: Box | None) -> tuple[int, int]:
    """Return width and height of the part of an image that counts, as Pillow crops it."""
    if box is None:
        return width, height
    left, top, right, bottom = whole_pixels(box)
    return right - left, bottom - top


class DecodedImages(Dataset[Sample]):
    """The preprocessed images of a manifest; for one that cannot be used, the error's text.

    An exception would cross from a worker process wrapped in the worker's traceback.
    """

    def __init__(self, dataset: str, files: Sequence[File], encoder: Encoder) -> None:
        """Take what a worker needs: the files, and how they are decoded and prepared; not the network."""
        self.dataset, self.files = dataset, files
        self.decode, self.preprocess, self.decoder = encoder.decode, encoder.preprocess, encoder.decoder
        self.extent = encoder.extent

    @classmethod
    def of(cls, manifest: Manifest, encoder: Encoder) -> "DecodedImages":
        """Return those of a manifest, as an encoder takes them."""
        return cls(manifest.dataset, Files(manifest), encoder)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        """Return the path of image ``index``, and the network's input."""
        [name] = self.names([index])
        try:
            return name, self.prepared(index, self.read(index))
        except RetrievalError as error:
            return name, str(error)

    def names(self, places: Sequence[int]) -> list[str]:
        """Return the paths of the images at some places."""
        return [self.files[place][0] for place in places]

    def alike(self, places: Sequence[int]) -> list[Sequence[int]]:
        """Return places in groups whose inputs are of one size, each in its order: all together where all are alike.

        Nothing is decoded: the manifest has the sizes of its images.

        Raises:
            RetrievalError: an image is of a shape that the preprocessing refuses.
        """
        if self.extent is None:
            return [places]
        groups: dict[tuple[int, int], list[int]] = {}
        for place in places:
            path, _, _, width, height = self.files[place]
            try:
                groups.setdefault(self.extent(width, height), []).append(place)
            except RetrievalError as error:
                raise RetrievalError(f"{path}: {error}") from None
        return list(groups.values())

    def typical(self) -> tuple[int, int]:
        """Return width and height of the image whose input is nearest to the mean in pixels: any, if all are alike."""
        if self.extent is None:
            return SQUARE
        sizes = Counter((width, height) for *_, width, height in self.files)
        pixels = {size: math.prod(self.extent(*size)) for size in sizes}
        mean = sum(pixels[size] * count for size, count in sizes.items()) / sizes.total()
        return min(sorted(sizes), key=lambda size: abs(pixels[size] - mean))

    def read(self, index: int) -> bytes:
        """Return the file of image ``index``; RetrievalError if it is not the one that was prepared."""
        path, sha256, *_ = self.files[index]
        return read_prepared(as_written(path), sha256, dataset=self.dataset)

    def prepared(self, index: int, data: bytes) -> Tensor:
        """Return image ``index``, whose file is ``data``, as the network's input; RetrievalError if it is no image."""
        path, _, box, *_ = self.files[index]
        return self.preprocess(self.decode(data, box, name=path))


def collate(samples: Sequence[Sample]) -> Tensor | str:
    """Stack the images of a batch; or return the first error among them, or that they are of different sizes."""
    images = []
    for _, image in samples:
        if isinstance(image, str):
            return image
        images.append(image)
    shapes = {image.shape: name for (name, _), image in reversed(list(zip(samples, images, strict=True)))}
    if len(shapes) > 1:
        some = sorted((" x ".join(map(str, shape)), name) for shape, name in shapes.items())[:2]
        made = " and ".join(f"{size} ({name})" for size, name in some)
        return f"images of one batch became inputs of {made}: write input: {{side: ..., fit: shortest}} in the YAML"
    return torch.stack(images)


def batches(images: DecodedImages, places: Sequence[Sequence[int]], runtime: Runtime) -> Iterator[Tensor]:
    """Yield the preprocessed images at each of the places, in their order.

    Without workers the images of a batch are decoded by as many threads as the network computes with, in turns with
    it: on a CPU both want the same cores, and every core is busy either way. With workers, processes decode ahead
    while the network computes: where that is done elsewhere, on a GPU.

    Raises:
        RetrievalError: an image is missing, cannot be decoded or is not the one that was prepared; a GPU decodes, and
            there is none, or there are workers.
    """
    workers = min(workers_of(images, runtime), len(places))
    if workers:
        loader: DataLoader[Any] = DataLoader(
            images,
            batch_sampler=[list(batch) for batch in places],
            num_workers=workers,
            collate_fn=collate,
            pin_memory=runtime.resolved_device().type == "cuda",
        )
        yield from map(usable, loader)
        return
    with ThreadPoolExecutor(runtime.resolved_threads()) as pool:
        for turn in turns(places):
            decoded = pool.map(images.__getitem__, chain.from_iterable(turn))
            # All of them: what is still being decoded would take its core from the network. Stacked at once, since
            # images that wait as they were decoded leave a gap in the memory of the thread that decoded them.
            ready = deque([collate([next(decoded) for _ in batch]) for batch in turn])
            while ready:
                yield usable(ready.popleft())


def turns(places: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    """Yield batches in their order, together as many as ``TURN`` full ones have images: short ones would idle cores."""
    most = TURN * max(map(len, places), default=0)
    turn: list[Sequence[int]] = []
    for batch in places:
        if turn and sum(map(len, turn)) + len(batch) > most:
            yield turn
            turn = []
        turn.append(batch)
    if turn:
        yield turn


def workers_of(images: DecodedImages, runtime: Runtime) -> int:
    """Return how many processes decode: none where a GPU does, which they could not share.

    Raises:
        RetrievalError: they are asked for all the same, or there is no GPU.
    """
    if images.decoder != "nvjpeg":
        return runtime.resolved_workers()
    if runtime.resolved_device().type != "cuda" or runtime.workers not in ("auto", 0):
        raise RetrievalError("decoder 'nvjpeg' needs a CUDA GPU and no workers: set device and workers in conf/runtime")
    return 0


def usable(batch: Tensor | str) -> Tensor:
    """Return a batch; :class:`RetrievalError` if it is an error's text."""
    if isinstance(batch, str):
        raise RetrievalError(batch)
    return batch


class Encoding:
    """An encoder on a device, which takes batches of any length.

    A batch that does not fit into the device's memory is halved until it does, and so are all later ones; that is
    said once. Each image's feature is its own, so that this changes nothing beyond rounding.
    """

    def __init__(self, encoder: Encoder, device: torch.device) -> None:
        """Move the encoder's network to the device."""
        self.encoder, self.device = encoder, device
        self.most: int | None = None
        encoder.network.to(device)

    def __call__(self, batch: Tensor, names: Sequence[str]) -> Float32[np.ndarray, "image dim"]:
        """Return the features of a batch of images, whose names are for errors.

        Raises:
            RetrievalError: the network does not take the input of an image that kept its aspect ratio, or refuses it;
                a feature has the wrong dimension; not even one image fits.
        """
        pieces = torch.split(batch, self.most or len(batch))
        try:
            encoded = [self.encoder.encode(piece.to(self.device, non_blocking=True)) for piece in pieces]
        except torch.OutOfMemoryError:
            self._ask_less(max(len(piece) for piece in pieces))
            return self(batch, names)
        except torch.AcceleratorError:
            raise
        except FAILURES as error:
            # All inputs are alike elsewhere, and one has been tried.
            if self.encoder.extent is None and not isinstance(error, RetrievalError):
                raise
            raise self._refusal(batch, names, error) from None
        features: Float32[np.ndarray, "image dim"] = torch.cat(encoded).cpu().numpy()
        if features.shape != (len(batch), self.encoder.dim):
            raise RetrievalError(
                f"{listed(names)}: {self.encoder.where} gave features of shape {features.shape}, not "
                f"{len(batch), self.encoder.dim}: take a network or a pooling that gives each image a feature of one "
                "length, or fit crop or squash in 'input'"
            )
        return features

    def _refusal(self, batch: Tensor, names: Sequence[str], error: Exception) -> RetrievalError:
        """Return an error that names the first image of a batch which alone makes it too, or all images."""
        for image, name in zip(batch, names, strict=True):
            try:
                self.encoder.encode(image[None].to(self.device))
            except FAILURES as alone:
                names, error = [name], alone
                break
        if isinstance(error, RetrievalError):
            return RetrievalError(f"{listed(names)}: {error}")
        problem = " ".join(str(error).split())[:200]
        return RetrievalError(
            f"{listed(names)}: the network of {self.encoder.where} does not take an input of {tuple(batch.shape[1:])} "
            f"({problem}): take a larger side in 'input', larger or fewer 'scales', or fit: crop, or drop such images"
        )

    def _ask_less(self, tried: int) -> None:
        """Halve the largest batch after one of ``tried`` images did not fit."""
        if tried == 1:
            raise RetrievalError(f"one image does not fit into the memory of {self.device}: use another device")
        if self.most is None:
            print(f"{tried} images at a time do not fit into the memory of {self.device}: fewer", file=sys.stderr)
        self.most = tried // 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def listed(names: Sequence[str]) -> str:
    """Return the first of some names, and how many others there are."""
    return names[0] if len(names) == 1 else f"{names[0]} or one of {len(names) - 1} others"
