"""``source: python``: a network of one's own, made by a function of one's own."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.encoders.batch_norm import with_batch_norm
from pipeline.encoders.encoder import Encoder, measured
from pipeline.encoders.inputs import NATIVE, Sizes
from pipeline.encoders.layers import Anatomy
from pipeline.encoders.loading import with_weights
from pipeline.encoders.pooling import Pooled, read_pooling
from pipeline.encoders.preprocessing import build_preprocessing
from pipeline.frame.files import sha256_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call


def build(
    factory: str,
    weights: Any,
    native: Mapping[str, Any],
    directory: Path,
    settings: Mapping[str, Any] | None = None,
    pooling: str | Mapping[str, Any] | None = None,
    preprocessing: str = "native",
    batch_norm: str = "running",
    dim: int | None = None,
    sizes: Sizes = NATIVE,
) -> Encoder:
    """Build what a function returns: a network from images ``(image, 3, height, width)`` to ``(image, dim)``.

    With ``pooling`` it gives a feature map ``(image, dim, height, width)``, or tokens ``(image, token, dim)``. Of the
    latter its attribute ``num_prefix_tokens`` says how many come before the patches, as in networks of timm.

    The provenance has the SHA-256 of the function's module. DVC watches it only in ``pipeline/own/``.

    Args:
        factory: ``package.module:function``, importable from the top of the project, such as
            ``pipeline.own.my_networks:resnet20``.
        weights: see :func:`pipeline.encoders.loading.with_weights`.
        native: see :func:`pipeline.encoders.preprocessing.build_preprocessing`.
        directory: where its weights are.
        settings: the function's arguments.
        pooling: see :func:`pipeline.encoders.pooling.read_pooling`; None where the network gives features.
        preprocessing: see :func:`pipeline.encoders.preprocessing.build_preprocessing`.
        batch_norm: see :func:`pipeline.encoders.batch_norm.with_batch_norm`.
        dim: of a feature, to be checked.
        sizes: of inputs; an integer ``patch_size`` of the network is taken for the side of its patches.

    Raises:
        RetrievalError: there is no such function, or it does not return a network.
    """
    where = f"python encoder '{factory}'"
    function, module = imported(factory, where=where)

    def made() -> nn.Module:
        network = call(function, settings or {}, where=f"{where}, settings")
        if not isinstance(network, nn.Module):
            raise RetrievalError(f"{where}: it returned {type(network).__name__}, not a torch.nn.Module")
        return network

    network, identity = with_weights(made, weights, directory, where=where)
    side = getattr(network, "patch_size", 1)
    patch = side if isinstance(side, int) else 1
    if pooling is not None:
        anatomy = Anatomy(prefix=getattr(network, "num_prefix_tokens", None))
        network = Pooled(network, anatomy, read_pooling(pooling, where=where), where=where).eval()
    preprocess = build_preprocessing(preprocessing, native, lambda: native, where=where, sized=sizes.sized, patch=patch)
    network = with_batch_norm(network, batch_norm, where=where)
    identity = {**identity, "factory": factory, "factory_sha256": sha256_of(module)}
    return measured(network.eval(), preprocess, identity, dim=dim, where=where, patch=patch, remedy=sizes.remedy)


def imported(factory: str, *, where: str) -> tuple[Callable[..., Any], Path]:
    """Return the function that ``package.module:function`` names, and its module's file.

    Raises:
        RetrievalError: the module cannot be imported, or has no such function.
    """
    name, _, attribute = factory.partition(":")
    try:
        module = import_module(name)
        function = getattr(module, attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise RetrievalError(f"{where}: {error}: give factory as package.module:function, from the top") from None
    if not callable(function) or module.__file__ is None:
        raise RetrievalError(f"{where}: it is not a function: give factory as package.module:function")
    return function, Path(module.__file__)
