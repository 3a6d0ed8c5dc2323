"""What batch norm normalises by: the statistics of training, or those of each image by itself."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import choose


class OneByOne(nn.Module):
    """A network that sees one image a batch."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap ``network``."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the features ``(image, dim)`` of images, each as if it came alone.

        Raises:
            RetrievalError: a layer has one value a channel of an image, which is its own mean.
        """
        try:
            return torch.cat([self.network(image[None]) for image in images])
        except ValueError as error:
            raise RetrievalError(
                f"batch_norm is 'image', but one image is not enough for a layer of the network ({error}): leave it out"
            ) from None


def running(network: nn.Module, *, where: str) -> nn.Module:
    """Leave batch norm to its running statistics, as it is meant to be used after training."""
    return network


def by_image(network: nn.Module, *, where: str) -> nn.Module:
    """Make every batch norm of a network normalise each image by its own mean and variance.

    That is what a network gives that was left in training mode and sees one image a batch, as in the
    report's published features. Dropout stays off.

    Raises:
        RetrievalError: it has no batch norm.
    """
    layers = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if not layers:
        raise RetrievalError(f"{where}: batch_norm is 'image', but the network has no batch norm: leave the key out")
    for layer in layers:
        # Without running statistics batch norm takes those of the batch, in eval mode too; so do layers
        # of other libraries that derive from torch's.
        layer.running_mean = layer.running_var = None
        layer.track_running_stats = False
    return OneByOne(network).eval()


MODES: Mapping[str, Callable[..., nn.Module]] = {"running": running, "image": by_image}


def with_batch_norm(network: nn.Module, mode: str, *, where: str) -> nn.Module:
    """Return ``network`` with batch norm as the YAML's ``batch_norm`` says.

    Args:
        network: in eval mode, from images ``(image, 3, height, width)`` to features ``(image, dim)``; changed
            in place.
        mode: ``running`` or ``image``.
        where: what to call the YAML in an error.

    Raises:
        RetrievalError: an unknown mode, or no batch norm to change.
    """
    return choose(MODES, mode, key="batch_norm", where=where)(network, where=where)
