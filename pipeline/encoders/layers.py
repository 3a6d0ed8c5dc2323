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
        channels_last: whether the last map is known to be ``(image, height, width, dim)``; other layers may differ.
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
        values: tokens ``(image, token, dim)``, or a feature map ``(image, dim, height, width)`` or ``(image, height,
            width, dim)``; float32.
        extent: height and width of the images, in pixels.
        anatomy: of the network.
        where: what to call the network in an error.
        channels_last: which of the two a map is; None where that is not known.
    """

    values: Float[Tensor, "image token dim"] | Float[Tensor, "image _ _ _"]
    extent: tuple[int, int]
    anatomy: Anatomy
    where: str
    channels_last: bool | None = None

    @property
    def first(self) -> Float[Tensor, "image dim"]:
        """The class token; RetrievalError where there is none, as in a layer before it joins the patches."""
        if self.values.dim() == 4 or self.known_prefix == 0 or not self.anatomy.class_token:
            raise RetrievalError(f"{self.where}: it has no class token: use pooling: patch_mean, gem or another")
        count = self.values.shape[1]
        if not self.grids(count - self.known_prefix):
            raise RetrievalError(
                f"{self.where}: a layer gives {count} tokens for images of {self.extent}, which are no class token and "
                "a grid of patches: name another layer"
            )
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
        """Return whether a map's channels come last; RetrievalError where that is not known."""
        if self.channels_last is not None:
            return self.channels_last
        problem, remedy = "which is no feature map of their aspect", "name another layer"
        if fits(self.values.shape[2], self.values.shape[3], self.extent):
            problem, remedy = "whose channels may come first or last", f"{remedy}, or take another side in 'input'"
        raise RetrievalError(
            f"{self.where}: a layer gives {tuple(self.values.shape)} for images of {self.extent}, {problem}: {remedy}"
        )

    def grid_of(self, patches: int) -> tuple[int, int]:
        """Return the height and width, in patches, of a grid that has the image's aspect and so many patches.

        Raises:
            RetrievalError: there is none, as where one of the tokens is no patch.
        """
        grids = self.grids(patches)
        if not grids:
            raise RetrievalError(
                f"{self.where}: {patches} tokens after the first {self.anatomy.prefix} are no grid of patches of "
                f"images of {self.extent}: name another layer"
            )
        return min(grids, key=lambda grid: off(grid[0], grid[1], self.extent))

    def grids(self, patches: int) -> list[tuple[int, int]]:
        """Return all grids that have the image's aspect and so many patches."""
        grids = [(height, patches // height) for height in range(1, patches + 1) if patches % height == 0]
        return [grid for grid in grids if fits(*grid, self.extent)]


def order_by_aspect(shape: Sequence[int], extent: tuple[int, int]) -> bool | None:
    """Return whether a map's channels come last, if only one order has the image's aspect.

    Args:
        shape: of the map, the first number that of images.
        extent: height and width of the images, in pixels.
    """
    _, first, second, third = shape
    orders = fits(second, third, extent), fits(first, second, extent)
    return None if orders[0] == orders[1] else orders[1]


def order_by_size(shape: Sequence[int], other: Sequence[int]) -> bool | None:
    """Return whether a map's channels come last, if one order alone explains maps of inputs of two sizes.

    Sides of maps change with the input, the number of channels does not.
    """
    first, second, third = (one != changed for one, changed in zip(shape[1:], other[1:], strict=True))
    orders = second and third and not first, first and second and not third
    return None if orders[0] == orders[1] else orders[1]


def fits(height: int, width: int, extent: tuple[int, int]) -> bool:
    """Return whether a grid has the image's aspect, up to what is lost of a cell at the margins."""
    return off(height, width, extent) < max(extent)


def off(height: int, width: int, extent: tuple[int, int]) -> int:
    """Return by how much a grid misses the image's aspect."""
    return abs(height * extent[1] - width * extent[0])
