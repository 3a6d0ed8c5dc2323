"""What batch norm normalises by: the statistics of training, or those of each image by itself."""

from collections.abc import Callable, Mapping

from torch import nn

from pipeline.retrieval.settings import choose


def running(network: nn.Module) -> nn.Module:
    """Leave batch norm to its running statistics, as it is meant to be used after training."""
    return network


def by_image(network: nn.Module) -> nn.Module:
    """Make each batch norm of a network normalise every image by its own mean and variance.

    That is what a network gives that was left in training mode and sees one image a batch, as in the
    report's published features. Instance norm computes the same without depending on the batch.
    """
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            own = nn.InstanceNorm2d(module.num_features, eps=module.eps, affine=module.affine)
            if module.affine:
                own.load_state_dict({"weight": module.weight, "bias": module.bias})
            network.set_submodule(name, own.eval())
    return network


MODES: Mapping[str, Callable[[nn.Module], nn.Module]] = {"running": running, "image": by_image}


def with_batch_norm(network: nn.Module, mode: str, *, where: str) -> nn.Module:
    """Return ``network`` with batch norm as the YAML's ``batch_norm`` says.

    Args:
        network: in eval mode; changed in place.
        mode: ``running`` or ``image``.
        where: what to call the YAML in an error.

    Raises:
        RetrievalError: an unknown mode.
    """
    return choose(MODES, mode, key="batch_norm", where=where)(network)
