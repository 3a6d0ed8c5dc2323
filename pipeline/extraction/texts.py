"""Texts through the text tower of an encoder, a batch at a time."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32

from pipeline.encoders.encoder import Encoder
from pipeline.encoders.fitting import without_text
from pipeline.extraction.runtime import Runtime


def encode_texts(
    name: str, encoder: Encoder, texts: Sequence[str], runtime: Runtime
) -> Float32[np.ndarray, "text dim"]:
    """Return the features of texts, in their order. All are as long once they are tokens, and no batch changes them.

    Args:
        name: of the encoder, for an error.
        encoder: with a text tower.
        texts: one a feature.
        runtime: how to run.

    Raises:
        RetrievalError: the encoder has no text tower; a text is empty or too long for it.
    """
    if encoder.text is None:
        raise without_text(name)
    device = runtime.resolved_device()
    encoder.text.network.to(device)
    ids = encoder.text.tokenise(texts)  # all of them, so that what is wrong with one is said before the rest is encoded
    size = runtime.resolved_batch_size()
    features = [encoder.encode_tokens(batch.to(device)) for batch in torch.split(ids, size)]
    return np.concatenate([part.float().cpu().numpy() for part in features])
