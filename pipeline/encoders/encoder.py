"""What every source of encoders returns."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor, nn

from pipeline.encoders.text import TextTower
from pipeline.manifest.images import decode_part
from pipeline.retrieval.errors import RetrievalError

Decode = Callable[..., Image.Image | Tensor]
Extent = Callable[[int, int], tuple[int, int]]
# What an encoder is tried with before it is used: also an oblong image where the input keeps the aspect ratio.
GREY, SQUARE, OBLONG = (127, 127, 127), (64, 64), (96, 64)


@dataclass(frozen=True)
class Encoder:
    """A network and the preprocessing that belongs to its weights.

    Attributes:
        network: from a batch of preprocessed images to features, ``(image, dim)``; in eval mode.
        preprocess: from an RGB image, or what ``decode`` returns, to the network's input; runs in the decoding
            workers, hence picklable.
        dim: of a feature.
        weights: which weights these are, for the provenance: where from, and their SHA-256.
        dtype: in which products and convolutions are computed; see :mod:`pipeline.encoders.precision`.
        decode: from a file's bytes, and the box of the part that counts, to an image.
        decoder: its name; see :mod:`pipeline.encoders.decoding`.
        patch: side of the patches that the network cuts its input into; 1 where any side will do.
        text: what gives texts features in the same space; None where nothing does.
        where: what to call its YAML in an error.
    """

    network: nn.Module
    preprocess: Callable[[Any], Tensor]
    dim: int
    weights: dict[str, Any]
    dtype: torch.dtype = torch.float32
    decode: Decode = decode_part
    decoder: str = "pillow"
    patch: int = 1
    text: TextTower | None = None
    where: str = "the encoder"

    @property
    def preprocessing(self) -> str:
        """The preprocessing in words, on one line."""
        return " ".join(str(self.preprocess).split())

    @property
    def extent(self) -> Extent | None:
        """From an image's width and height to its input's height and width; None where all inputs are alike."""
        return getattr(self.preprocess, "extent", None)

    @torch.inference_mode()
    def encode(self, batch: Float[Tensor, "image ..."]) -> Float[Tensor, "image dim"]:
        """Return the features of a batch that :attr:`preprocess` made, in float32 whatever :attr:`dtype` is.

        Raises:
            RuntimeError: a module is in training mode, where batch norm would mix the images of a batch.
        """
        return self._computed(self.network, batch)

    @torch.inference_mode()
    def encode_tokens(self, ids: Int64[Tensor, "text token"]) -> Float[Tensor, "text dim"]:
        """Return the features of texts whose tokens the tokeniser of :attr:`text` made, in float32.

        Raises:
            RuntimeError: there is no text tower; or see :meth:`encode`.
        """
        if self.text is None:
            raise RuntimeError("the encoder has no text tower")
        return self._computed(self.text.network, ids)

    def _computed(self, network: nn.Module, batch: Tensor) -> Tensor:
        training = [name for name, module in network.named_modules() if module.training]
        if training:
            raise RuntimeError(f"the network is in training mode ({training[0] or 'as a whole'}): call eval()")
        with torch.autocast(batch.device.type, self.dtype, enabled=self.dtype != torch.float32):
            features: Tensor = network(batch)
        return features.float()


def measured(
    network: nn.Module,
    preprocess: Callable[[Image.Image], Tensor],
    weights: dict[str, Any],
    *,
    dim: int | None,
    where: str,
    patch: int = 1,
    remedy: str = "mend the preprocessing",
) -> Encoder:
    """Return an encoder after one grey image has been through it, or two where inputs keep the aspect ratio.

    Args:
        network: in eval mode.
        preprocess: see :class:`Encoder`.
        weights: see :class:`Encoder`.
        dim: what the YAML says that a feature has, or None.
        where: what to call the YAML in an error.
        patch: see :class:`Encoder`.
        remedy: for a network that does not take the input.

    Raises:
        RetrievalError: the network does not take what the preprocessing makes, gives no feature an
            image, or one of another dimension.
    """
    encoder = Encoder(network, preprocess, 0, weights, patch=patch)
    for extent in (SQUARE, OBLONG) if encoder.extent else (SQUARE,):
        found = tried(network, preprocess(Image.new("RGB", extent, GREY)), where=where, remedy=remedy)
        dim = found if dim is None else dim
        if found != dim:
            raise RetrievalError(f"{where}: a feature has {found} dimensions, not the {dim} that 'dim' says: mend one")
    return replace(encoder, dim=found)


def tried(network: nn.Module, image: Tensor, *, where: str, remedy: str) -> int:
    """Return the dimensions that a network gives an input; see :func:`measured`."""
    try:
        with torch.inference_mode():
            found = network(image[None])
    except RetrievalError:
        raise
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        problem = " ".join(str(error).split())[:200]
        raise RetrievalError(
            f"{where}: the network does not take an input of {tuple(image.shape)} ({problem}): {remedy}"
        ) from None
    shape = tuple(found.shape) if isinstance(found, Tensor) else None
    if shape is None or len(shape) != 2 or shape[0] != 1:
        raise RetrievalError(f"{where}: the network gives {shape or type(found).__name__}, not (1, dim), for one image")
    return shape[1]
