"""The text side of an encoder: a tokeniser and a network whose features lie in the space of the images'."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.labels import seen

# From texts to the ids of their tokens, in rows of one length.
Tokenise = Callable[[Sequence[str]], Int64[Tensor, "text token"]]
# From a text to the ids of its tokens, those that mark its ends among them.
Encode = Callable[[str], list[int]]
POOLINGS: Mapping[str, Callable[[Any], Tensor]] = {
    "projection": lambda output: output.text_embeds,
    "pooler": lambda output: output.pooler_output,
}


@dataclass(frozen=True)
class TextSettings:
    """The key ``text`` of an encoder's YAML.

    Attributes:
        network: the class of transformers, such as ``CLIPTextModelWithProjection``.
        tokens: of a text as the network gets it, those that mark its ends and padding among them.
        padding: the token that fills up shorter texts.
        end: the token that must end each text: another tokeniser than the network's would rarely give it.
        pooling: the output that is the feature: ``projection``, or what the network itself makes of its tokens,
            ``pooler``.
        settings: what differs from the defaults of the class's config; None for the repository's config.json.
        lowercase: whether texts are put into lower case before the tokeniser, which may do so itself, gets them.
        too_long: what becomes of a text with more tokens: ``refuse``, an error; or ``cut``, what is too many before the
            last one is left out.
    """

    network: str
    tokens: Annotated[int, Field(ge=2, le=8192)]
    padding: str
    end: str
    pooling: Literal["projection", "pooler"]
    settings: Mapping[str, Any] | None = None
    lowercase: bool = False
    too_long: Literal["refuse", "cut"] = "refuse"


@dataclass(frozen=True)
class TextTower:
    """What encodes texts.

    Attributes:
        network: from ids of tokens to features, ``(text, dim)``; in eval mode.
        tokenise: from texts to the network's input.
    """

    network: nn.Module
    tokenise: Tokenise


class PooledText(nn.Module):
    """A text network of transformers reduced to one feature a text."""

    def __init__(self, network: nn.Module, pooling: str) -> None:
        """Wrap ``network``; ``pooling`` is a key of ``POOLINGS``."""
        super().__init__()
        self.network = network
        self.pooling = pooling

    def forward(self, ids: Int64[Tensor, "text token"]) -> Float[Tensor, "text dim"]:
        """Return the features of texts. There is no mask: CLIP's look back only, and SigLIP's were trained without."""
        return POOLINGS[self.pooling](self.network(input_ids=ids))


@dataclass(frozen=True)
class Tokeniser:
    """From texts to the ids of their tokens, in rows of one length.

    Attributes:
        encode: from one text to its ids.
        tokens: of a row.
        padding: the id that fills up shorter texts.
        too_long: see :class:`TextSettings`.
        where: what to call the encoder in an error.
    """

    encode: Encode
    tokens: int
    padding: int
    too_long: str
    where: str

    def __call__(self, texts: Sequence[str]) -> Int64[Tensor, "text token"]:
        """Return a row for each text.

        Raises:
            RetrievalError: in a text there is nothing to see; it has too many tokens.
        """
        rows = [self.row(text) for text in texts]
        return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), self.tokens)

    def row(self, text: str) -> list[int]:
        """Return the ids of a text and its padding."""
        if not seen(text):
            raise empty(text)
        try:
            ids = self.encode(text)
        except RetrievalError:
            raise
        except Exception as error:  # the library ``tokenizers`` knows no other kind
            raise RetrievalError(
                f"the text {text[:60]!r} is not for {self.where} ({error}): say it otherwise"
            ) from None
        if len(ids) > self.tokens and self.too_long == "refuse":
            raise RetrievalError(
                f"the text {text[:60]!r} has {len(ids)} tokens, more than the {self.tokens} that {self.where} "
                "takes: shorten it, or set too_long: cut under 'text' in its YAML"
            )
        if len(ids) > self.tokens:
            ids = [*ids[: self.tokens - 1], ids[-1]]
        return ids + [self.padding] * (self.tokens - len(ids))


def empty(text: str) -> RetrievalError:
    """Return the error for a text in which there is nothing, or of which nothing is left."""
    return RetrievalError(f"the text {text[:60]!r} is empty: say what to look for")


def read_tokeniser(
    path: Path, padding: str, end: str, clean: Callable[[str], str] | None, *, where: str
) -> tuple[Encode, int]:
    """Return the tokeniser in a tokenizer.json, as the library ``tokenizers`` writes it, and the id of its padding.

    Args:
        path: the file.
        padding: the token that fills up shorter texts.
        end: the token that must end each text.
        clean: what is done to a text before the tokeniser gets it; None for nothing.
        where: what to call the encoder in an error.

    Raises:
        RetrievalError: the file is none; it has no such padding, or does not end a text as it should.
    """
    from tokenizers import Tokenizer  # encoders without texts do without it

    try:
        tokeniser = Tokenizer.from_file(str(path))
    except Exception as error:  # the library knows no other kind
        problem = " ".join(str(error).split())[:200]
        raise RetrievalError(f"{where}: {path} is no tokeniser ({problem}): get it again") from None
    tokeniser.no_truncation()
    tokeniser.no_padding()
    filling, last = tokeniser.token_to_id(padding), tokeniser.token_to_id(end)
    if filling is None or last is None:
        token = padding if filling is None else end
        raise RetrievalError(f"{where}: {path.name} has no token {token!r}: mend 'padding' or 'end' under 'text'")
    if tokeniser.encode("a").ids[-1:] != [last]:
        raise RetrievalError(
            f"{where}: {path.name} does not end a text with {end!r}: it is not the network's, or 'end' under 'text' is "
            "wrong"
        )
    return partial(encoded, tokeniser, clean), filling


def encoded(tokeniser: Any, clean: Callable[[str], str] | None, text: str) -> list[int]:
    """Return the ids of the tokens of a text.

    Raises:
        RetrievalError: nothing of it is left to see.
    """
    cleaned = text if clean is None else clean(text)
    if not seen(cleaned):
        raise empty(text)
    ids: list[int] = tokeniser.encode(cleaned).ids
    return ids


def refuse_other_space(tower: TextTower, dim: int, *, where: str) -> None:
    """Raise :class:`RetrievalError` for a tower that does not take its tokens, or whose features are not of ``dim``."""
    try:
        with torch.inference_mode():
            found = tower.network(tower.tokenise(["a"]))
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        problem = " ".join(str(error).split())[:200]
        raise RetrievalError(f"{where}: the text network gives no feature ({problem}): mend 'text'") from None
    if tuple(found.shape) != (1, dim):
        raise RetrievalError(
            f"{where}: the feature of a text has the shape {tuple(found.shape)}, not (1, {dim}), as that of an image: "
            "mend 'pooling' or 'network' under 'text'"
        )
