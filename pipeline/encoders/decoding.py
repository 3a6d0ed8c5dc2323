"""Which library decodes JPEGs and resizes images: a choice of the encoder, since it changes features a little."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module

from pipeline.encoders.encoder import Encoder
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import choose

DEVICES: Mapping[str, str | None] = {"pillow": None, "torchcodec": "cpu", "nvjpeg": "cuda"}


def with_decoder(encoder: Encoder, decoder: object, *, where: str) -> Encoder:
    """Return an encoder whose images are decoded, and then resized, by another library than Pillow.

    Args:
        encoder: as its source makes it.
        decoder: ``pillow``, what published weights were made with; ``torchcodec``, decoding by TorchCodec and resizing
            by torchvision on the CPU; ``nvjpeg``, the same on an NVIDIA GPU. Files that are no plain JPEG, and crops,
            are still decoded by Pillow.
        where: what to call the YAML in an error.

    Raises:
        RetrievalError: an unknown decoder, or one that is not installed; the encoder does not resize, crop and
            normalise.
    """
    device = choose(DEVICES, decoder, key="decoder", where=where)
    if device is None:
        return encoder
    try:
        import_module("torchcodec.decoders")
    except (ImportError, RuntimeError) as error:
        problem = str(error).splitlines()[0]
        raise RetrievalError(
            f"{where}: decoder '{decoder}' needs TorchCodec ({problem}): pip install torchcodec"
        ) from None
    # Imports torchvision, which takes two seconds, for encoders that do without it in vain.
    from pipeline.encoders.tensor_decoding import decoded, on_tensors

    preprocess = on_tensors(encoder.preprocess)
    if preprocess is None:
        raise RetrievalError(f"{where}: these images are prepared by Pillow only: remove 'decoder'")
    return replace(encoder, preprocess=preprocess, decode=partial(decoded, device=device), decoder=str(decoder))


def decoding_on_cpu(encoder: Encoder) -> Encoder:
    """Return an encoder that decodes as it does, but not on a GPU."""
    if encoder.decoder != "nvjpeg":
        return encoder
    from pipeline.encoders.tensor_decoding import decoded

    return replace(encoder, decode=partial(decoded, device="cpu"), decoder="torchcodec")
