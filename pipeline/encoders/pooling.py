"""``pooling`` of a YAML: tokens or feature maps of a network's layers -> one feature an image, in one pass."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call

LEAST = 1e-6  # what GeM raises smaller values to, as Radenovic et al.'s code does
FORMER = "mean"  # a kind that was called by the wrong name
OVERLAP = 0.4  # of neighbouring regions of R-MAC, as near as can be
MOST_REGIONS = 7  # of R-MAC along the longer side of a map, at the first level
# What layers gave in the pass that runs now, by their modules. Of its own in each thread.
KEPT: ContextVar[dict[nn.Module, Any] | None] = ContextVar("kept", default=None)

Depth = Annotated[int, Field(ge=1, le=1000)]
Power = Annotated[int | float, Field(gt=0, le=1)]


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


@dataclass(frozen=True, kw_only=True)
class Part:
    """A pooling, and of which layers; several are joined, from the earlier to the later.

    Attributes:
        layers: how many of a transformer's last blocks, each after the last layer norm, as ``get_intermediate_layers``
            of DINOv2 has them; None for what the network gives in the end.
        layer: a module's name, of whose output; without the last layer norm.
    """

    layers: Depth | None = None
    layer: str | None = None

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ClassToken(Part):
    """The class token."""

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        return layer.first


@dataclass(frozen=True, kw_only=True)
class TokenMean(Part):
    """The mean of all tokens, class and register tokens too."""

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        return layer.tokens.mean(dim=1)


@dataclass(frozen=True, kw_only=True)
class PatchMean(Part):
    """The mean of the patches: SPoC without its weights (Babenko and Lempitsky, ICCV 2015)."""

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        return layer.patches.mean(dim=(2, 3))


@dataclass(frozen=True, kw_only=True)
class PatchMax(Part):
    """The maximum of the patches in each dimension: MAC (Tolias et al., ICLR 2016)."""

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        return layer.patches.amax(dim=(2, 3))


@dataclass(frozen=True, kw_only=True)
class Gem(Part):
    """The generalised mean of the patches (Radenovic et al., TPAMI 2018).

    ``(mean of max(x, 1e-6)^p)^(1/p)`` in each dimension. With p = 1 it is the mean, with p towards infinity the
    maximum, of what is positive.

    Attributes:
        p: 3 as a rule for feature maps; DINO's copy detection has 4 for patch tokens.
    """

    p: Annotated[int | float, Field(gt=0, le=100)] = 3.0

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        values = layer.patches.clamp(min=LEAST)
        largest = values.amax(dim=(2, 3), keepdim=True)  # so that no power is too large or small for float32
        means = ((values / largest) ** self.p).mean(dim=(2, 3))
        return largest[:, :, 0, 0] * means ** (1 / self.p)


@dataclass(frozen=True, kw_only=True)
class Rmac(Part):
    """Maxima of regions of the map, each of unit length, summed: R-MAC (Tolias et al., ICLR 2016).

    Level l has l squares along the shorter side, of 2 / (l + 1) of its length, and l + m - 1 along the longer, evenly
    spaced; m is such that neighbours at level 1 overlap by as near 40 % as can be, and 1 for a square map. Without the
    paper's whitening. Departs from cnnimageretrieval-pytorch, which adds the maximum of the whole map.

    Attributes:
        levels: the paper's L.
    """

    levels: Annotated[int, Field(ge=1, le=10)] = 3

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        patches = layer.patches
        corners = regions(*patches.shape[2:], levels=self.levels)
        maxima = [patches[:, :, y : y + side, x : x + side].amax(dim=(2, 3)) for y, x, side in corners]
        return torch.stack([functional.normalize(one, dim=1) for one in maxima]).sum(dim=0)


def regions(height: int, width: int, *, levels: int) -> list[tuple[int, int, int]]:
    """Return the regions of R-MAC on a map: top, left and side of each, in cells; none of less than a cell."""
    shorter, longer = min(height, width), max(height, width)
    extra = 0
    if shorter != longer:
        gaps = {count: (longer - shorter) / (count - 1) for count in range(2, MOST_REGIONS + 1)}
        extra = min(gaps, key=lambda count: abs(1 - gaps[count] / shorter - OVERLAP)) - 1
    found = []
    for level in range(1, levels + 1):
        side = 2 * shorter // (level + 1)
        if side == 0:
            break
        tops = starts(height, side, level + (extra if height == longer else 0))
        lefts = starts(width, side, level + (extra if width == longer else 0))
        found += [(top, left, side) for top in tops for left in lefts]
    return found


def starts(length: int, side: int, count: int) -> list[int]:
    """Return where ``count`` evenly spaced pieces of a length begin, the first at its start, the last at its end."""
    return [place * (length - side) // max(count - 1, 1) for place in range(count)]


KINDS: Mapping[str, type[Part]] = {
    "cls": ClassToken,
    "patch_mean": PatchMean,
    "patch_max": PatchMax,
    "gem": Gem,
    "rmac": Rmac,
    "token_mean": TokenMean,
}


@dataclass(frozen=True)
class Own:
    """A feature that the network itself makes: how to read it from the network's output."""

    read: Callable[[Any], Tensor]


@dataclass(frozen=True)
class Pooling:
    """What ``pooling`` in a YAML says.

    Attributes:
        parts: at least one; joined in their order.
        power: to which the absolute value of each number of a part is raised, its sign kept; None for as it is.
        normalise: whether each part then gets unit length.
    """

    parts: Sequence[Part | Own]
    power: Power | None = None
    normalise: bool = False

    def finished(self, feature: Float[Tensor, "image dim"]) -> Float[Tensor, "image dim"]:
        """Return the feature of a part as it is joined with others."""
        if self.power is not None:
            feature = feature.sign() * feature.abs() ** self.power
        return functional.normalize(feature, dim=1) if self.normalise else feature


def read_pooling(said: Any, *, where: str, own: Mapping[str, Callable[[Any], Tensor]] | None = None) -> Pooling:
    """Return what a YAML says under ``pooling``.

    Args:
        said: a kind, such as ``cls``; ``{kind: gem, p: 3}``, with ``layers`` or ``layer``; or ``{join: [...]}`` of
            these. A mapping may have ``power`` and ``normalise``.
        where: what to call the YAML in an error.
        own: kinds that the network itself makes, by their names: from its output.

    Raises:
        RetrievalError: an unknown kind or key, a value out of range.
    """
    where = f"{where}, pooling"
    if not isinstance(said, Mapping):
        said = {"kind": said}
    options = {key: value for key, value in said.items() if key in ("join", "power", "normalise")}
    rest = {key: value for key, value in said.items() if key not in options}
    if "join" not in said:
        return call(joined, {**options, "join": [rest]}, where=where, given={"own": own or {}, "where": where})
    return call(joined, {**options, **rest}, where=where, given={"own": own or {}, "where": where})


def joined(
    join: list[str | Mapping[str, Any]],
    own: Mapping[str, Callable[[Any], Tensor]],
    where: str,
    power: Power | None = None,
    normalise: bool = False,
) -> Pooling:
    """Return a pooling of parts as the YAML has them; see :func:`read_pooling`."""
    if not join:
        raise RetrievalError(f"{where}: 'join' is empty: name what to join, such as [cls, patch_mean]")
    return Pooling([read_part(part, own=own, where=where) for part in join], power, normalise)


def read_part(said: Any, *, own: Mapping[str, Callable[[Any], Tensor]], where: str) -> Part | Own:
    """Return a part of a pooling; see :func:`read_pooling`."""
    options = dict(said) if isinstance(said, Mapping) else {"kind": said}
    kind = options.pop("kind", None)
    if kind is None:
        raise RetrievalError(f"{where}: missing key 'kind', in {said!r}: name one of {', '.join([*KINDS, *own])}")
    if kind == FORMER:
        raise RetrievalError(
            f"{where}: 'mean' was the mean of all tokens, class and register tokens too: write patch_mean for the mean "
            "of the patches, or token_mean for what it was"
        )
    if isinstance(kind, str) and kind in own:
        if options:
            raise RetrievalError(
                f"{where}: '{kind}' is the network's own and has no '{next(iter(options))}': remove it"
            )
        return Own(own[kind])
    if kind not in KINDS:
        raise RetrievalError(f"{where}: unknown kind '{kind}'; one of {', '.join(sorted([*KINDS, *own]))}")
    part = call(KINDS[kind], options, where=f"{where} '{kind}'")
    if part.layers is not None and part.layer is not None:
        raise RetrievalError(f"{where} '{kind}': 'layers' and 'layer' say two things: leave one")
    if part.layer == "":
        raise RetrievalError(f"{where} '{kind}': 'layer' is empty: name one, or leave the key out for the last")
    return part


class Pooled(nn.Module):
    """A network with poolings after it: from images to one feature each, in one pass whatever is asked for."""

    def __init__(self, network: nn.Module, anatomy: Anatomy, pooling: Pooling, *, where: str) -> None:
        """Wrap a network.

        Args:
            network: in eval mode.
            anatomy: of the network.
            pooling: what to make of its layers.
            where: what to call the network in an error.

        Raises:
            RetrievalError: it has no such layers.
        """
        super().__init__()
        self.network, self.anatomy, self.pooling, self.where = network, anatomy, pooling, where
        named = [name for part in pooling.parts if not isinstance(part, Own) for name in self.names(part)]
        for name in {*named, anatomy.tap} - {""}:
            self.module(name).register_forward_hook(keep)

    def names(self, part: Part) -> Sequence[str]:
        """Return the modules whose outputs a part is made of; empty text for the network in the end."""
        if part.layer is not None:
            return [part.layer]
        if part.layers is None:
            return [""]
        blocks = self.anatomy.blocks
        if part.layers > len(blocks):
            known = f"has {len(blocks)} blocks" if blocks else "is no transformer whose blocks are known here"
            raise RetrievalError(f"{self.where}: it {known}, of which 'layers' asks for {part.layers}: name a 'layer'")
        return blocks[-part.layers :]

    def module(self, name: str) -> nn.Module:
        """Return a module of the network; RetrievalError if it has none of that name."""
        try:
            if not name:
                raise AttributeError
            return self.network.get_submodule(name)
        except AttributeError:
            some = ", ".join([one for one, _ in self.network.named_children()][:8])
            raise RetrievalError(
                f"{self.where}: it has no layer '{name}': name one below {some}, as its named_modules() has it"
            ) from None

    def forward(self, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image dim"]:
        """Return the features of images.

        Raises:
            RetrievalError: the network has no such tokens, or a layer gives none.
        """
        kept: dict[nn.Module, Any] = {}
        before = KEPT.set(kept)
        try:
            output = self.anatomy.run(self.network, images)
        finally:
            KEPT.reset(before)
        extent = (images.shape[2], images.shape[3])
        features = [one for part in self.pooling.parts for one in self.features(part, output, kept, extent)]
        return torch.cat([self.pooling.finished(one) for one in features], dim=1)

    def features(
        self, part: Part | Own, output: Any, kept: Mapping[nn.Module, Any], extent: tuple[int, int]
    ) -> list[Float[Tensor, "image dim"]]:
        """Return the features of a part, one a layer, from what a pass gave."""
        if isinstance(part, Own):
            return [part.read(output).float()]
        anatomy = self.anatomy
        layers = []
        for name in self.names(part):
            values = self.values(name, kept) if name else self.last(output, kept)
            if anatomy.norm and (name in anatomy.blocks and part.layers or not name and not anatomy.normed):
                values = self.module(anatomy.norm)(values)
            layers.append(Layer(values.float(), extent, anatomy, self.where))
        return [part.pool(layer) for layer in layers]

    def last(self, output: Any, kept: Mapping[nn.Module, Any]) -> Tensor:
        """Return what the network gives in the end, before the last layer norm where that is left to poolings."""
        tap = self.anatomy.tap
        return tokens_or_map(
            self.anatomy.last(self.values(tap, kept) if tap else output), name="the network", where=self.where
        )

    def values(self, name: str, kept: Mapping[nn.Module, Any]) -> Tensor:
        """Return what a layer gave; RetrievalError if it was not run, or gave neither tokens nor a map."""
        module = self.module(name)
        if module not in kept:
            raise RetrievalError(f"{self.where}: layer '{name}' is not run on images: name another")
        return tokens_or_map(kept[module], name=f"layer '{name}'", where=self.where)


def keep(module: nn.Module, _: Any, output: Any) -> None:
    """Keep what a module gave, during a pass of :class:`Pooled`."""
    kept = KEPT.get()
    if kept is not None:
        first = first_of(output)
        # A copy, as what comes after may change it in place.
        kept[module] = first.clone() if isinstance(first, Tensor) else first


def first_of(output: Any) -> Any:
    """Return what a module gave, or the first of it where that is several."""
    if isinstance(output, Mapping):
        output = list(output.values())
    return output[0] if isinstance(output, tuple | list) else output


def tokens_or_map(given: Any, *, name: str, where: str) -> Tensor:
    """Return what a layer gave; RetrievalError if it is neither tokens nor a map."""
    if not isinstance(given, Tensor) or given.dim() not in (3, 4):
        shape = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise RetrievalError(
            f"{where}: {name} gives {shape}, neither tokens (image, token, dim) nor a feature map: name another 'layer'"
        )
    return given
