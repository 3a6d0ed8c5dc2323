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

from pipeline.encoders.layers import Anatomy, Layer
from pipeline.encoders.poolings import KINDS, Part
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call

FORMER = "mean"  # a kind that was called by the wrong name
# What layers gave in the pass that runs now, by their modules. Of its own in each thread.
KEPT: ContextVar[dict[nn.Module, Any] | None] = ContextVar("kept", default=None)

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
