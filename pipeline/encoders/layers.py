"""What a layer of a network gives for a batch of images, and where a network has its tokens and feature maps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from pipeline.retrieval.errors import RetrievalError


def output_itself(output: Any) -> Tensor:
    """Return what a network gives where that is a tensor."""
    tensor: Tensor = output
    return tensor


def called(network: nn.Module, images: Tensor) -> Any:
    """Return what a network gives for images."""
    return network(images)


@dataclass(frozen=True)
class Anatomy:
    """Where a network has what is pooled.

    Attributes:
        run: from the network and images to its output.
        last: from the output of ``tap`` to the last tokens or feature map.
        tap: the module that gives them; empty for the network itself.
        prefix: how many tokens come before the patches (class and register tokens); None where that is not known.
        class_token: whether the first of them is a class token.
        channels_last: whether maps are known to be ``(image, height, width, dim)``.
        blocks: names of a transformer's blocks, in their order; empty where they are not known.
        norm: the name of the layer norm after them; empty where there is none.
        normed: whether what ``last`` gives has been through it.
    """

    run: Callable[[nn.Module, Tensor], Any] = called
    last: Callable[[Any], Tensor] = output_itself
    tap: str = ""
    prefix: int | None = None
    class_token: bool = True
    channels_last: bool = False
    blocks: Sequence[str] = ()
    norm: str = ""
    normed: bool = True


@dataclass(frozen=True)
class Layer:
    """What a layer makes of a batch of images.

    Attributes:
        values: tokens ``(image, token, dim)``, or a feature map ``(image, dim, height, width)``; float32.
        extent: height and width of the images, in pixels.
        anatomy: of the network.
        where: what to call the network in an error.
    """

    values: Float[Tensor, "image token dim"] | Float[Tensor, "image dim height width"]
    extent: tuple[int, int]
    anatomy: Anatomy
    where: str

    @property
    def first(self) -> Float[Tensor, "image dim"]:
        """The class token; RetrievalError where there is none."""
        if self.values.dim() == 4 or self.known_prefix == 0 or not self.anatomy.class_token:
            raise RetrievalError(f"{self.where}: it has no class token: use pooling: patch_mean, gem or another")
        return self.values[:, 0]

    @property
    def patches(self) -> Float[Tensor, "image dim height width"]:
        """The patch tokens on their grid, or the feature map.

        Raises:
            RetrievalError: which tokens are patches is not known, or their number is that of no grid of the image.
        """
        if self.values.dim() == 4:
            return self.values.permute(0, 3, 1, 2) if self.is_channels_last() else self.values
        patches = self.values[:, self.known_prefix :]
        images, count, dim = patches.shape
        return patches.transpose(1, 2).reshape(images, dim, *self.grid_of(count))

    @property
    def tokens(self) -> Float[Tensor, "image token dim"]:
        """All tokens, or all places of the feature map."""
        return self.values if self.values.dim() == 3 else self.patches.flatten(2).transpose(1, 2)

    @property
    def known_prefix(self) -> int:
        """How many tokens come before the patches; RetrievalError where that is not known."""
        if self.anatomy.prefix is None:
            raise RetrievalError(
                f"{self.where}: which of its tokens are patches is not known here: use a pooling of the network's own, "
                "or token_mean"
            )
        return self.anatomy.prefix

    def is_channels_last(self) -> bool:
        """Return whether a map's channels come last: known, or the only order that has the image's aspect."""
        _, first, second, third = self.values.shape
        if self.anatomy.channels_last:
            return True
        if self.fits(second, third):
            return False
        if self.fits(first, second):
            return True
        raise RetrievalError(
            f"{self.where}: a layer gives {tuple(self.values.shape)} for images of {self.extent}, which is no feature "
            "map of their aspect: name another layer"
        )

    def grid_of(self, patches: int) -> tuple[int, int]:
        """Return the height and width, in patches, of a grid that has the image's aspect and so many patches.

        Raises:
            RetrievalError: there is none, as where one of the tokens is no patch.
        """
        grids = [(height, patches // height) for height in range(1, patches + 1) if patches % height == 0]
        grids = [grid for grid in grids if self.fits(*grid)]
        if not grids:
            raise RetrievalError(
                f"{self.where}: {patches} tokens after the first {self.anatomy.prefix} are no grid of patches of "
                f"images of {self.extent}: name another layer"
            )
        return min(grids, key=lambda grid: self.off(*grid))

    def fits(self, height: int, width: int) -> bool:
        """Return whether a grid has the image's aspect, up to what is lost of a cell at the margins."""
        return self.off(height, width) < max(self.extent)

    def off(self, height: int, width: int) -> int:
        """Return by how much a grid misses the image's aspect."""
        return abs(height * self.extent[1] - width * self.extent[0])
