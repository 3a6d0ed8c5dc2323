"""``pooling`` of a YAML: what of a network's layers is pooled and joined, in one pass."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pipeline.encoders.layers import Anatomy, Layer, order_by_aspect, order_by_size
from pipeline.encoders.poolings import KINDS, Part
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call

FORMER = "mean"  # a kind that was called by the wrong name
# What layers gave in the pass that runs now, by their modules. Of its own in each thread.
KEPT: ContextVar[dict[nn.Module, Any] | None] = ContextVar("kept", default=None)
# By which inputs are made larger or smaller, to see which sides of a map change with them.
OTHER_SIZES = ((1, 2), (3, 2), (2, 1))

Power = Annotated[int | float, Field(gt=0, le=1)]


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
        # Whether channels come last in a layer's maps, by its name. Found with the first images, which are those that
        # the network is built with: a map of oblong ones whose margins are lost need not have their aspect.
        self.orders: dict[str, bool] = {}
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
        output, kept = self.seen(images)
        features = [one for part in self.pooling.parts for one in self.features(part, output, kept, images)]
        return torch.cat([self.pooling.finished(one) for one in features], dim=1)

    def seen(self, images: Tensor) -> tuple[Any, Mapping[nn.Module, Any]]:
        """Return what the network gives for images, and what its layers gave on the way."""
        kept: dict[nn.Module, Any] = {}
        before = KEPT.set(kept)
        try:
            return self.anatomy.run(self.network, images), kept
        finally:
            KEPT.reset(before)

    def features(
        self, part: Part | Own, output: Any, kept: Mapping[nn.Module, Any], images: Tensor
    ) -> list[Float[Tensor, "image dim"]]:
        """Return the features of a part, one a layer, from what a pass gave."""
        if isinstance(part, Own):
            return [part.read(output).float()]
        anatomy, extent = self.anatomy, extent_of(images)
        layers = []
        for name in self.names(part):
            values = self.values(name, output, kept)
            if anatomy.norm and (name in anatomy.blocks and part.layers or not name and not anatomy.normed):
                values = self.module(anatomy.norm)(values)
            order = self.order(name, values, images) if values.dim() == 4 else None
            layers.append(Layer(values.float(), extent, anatomy, self.where, order))
        return [part.pool(layer) for layer in layers]

    def order(self, name: str, values: Tensor, images: Tensor) -> bool | None:
        """Return whether channels come last in the map that a layer gave for images; None where none can tell."""
        if not name and self.anatomy.channels_last:
            return True
        if name not in self.orders:
            order = order_by_aspect(values.shape, extent_of(images))
            order = self.order_by_trial(name, values, images) if order is None else order
            if order is None:
                return None
            self.orders[name] = order
        return self.orders[name]

    def order_by_trial(self, name: str, values: Tensor, images: Tensor) -> bool | None:
        """Return what :meth:`order` does, by a grey image of another size; None if the network takes no such."""
        for numerator, denominator in OTHER_SIZES:
            height, width = (side * numerator // denominator for side in extent_of(images))
            try:
                other = self.values(name, *self.seen(images.new_zeros(1, 3, height, width)))
            except (RuntimeError, ValueError, AssertionError):
                continue
            order = order_by_size(values.shape, other.shape) if other.dim() == 4 else None
            if order is not None:
                return order
        return None

    def values(self, name: str, output: Any, kept: Mapping[nn.Module, Any]) -> Tensor:
        """Return what a layer gave, or the network in the end, before a last layer norm that is left to poolings.

        Raises:
            RetrievalError: it was not run, or gave neither tokens nor a map.
        """
        if not name:
            tap = self.anatomy.tap
            last = self.anatomy.last(self.values(tap, output, kept) if tap else output)
            return tokens_or_map(last, name="the network", where=self.where)
        module = self.module(name)
        if module not in kept:
            raise RetrievalError(f"{self.where}: layer '{name}' is not run on images: name another")
        return tokens_or_map(kept[module], name=f"layer '{name}'", where=self.where)


def extent_of(images: Tensor) -> tuple[int, int]:
    """Return height and width of images."""
    return images.shape[2], images.shape[3]


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
