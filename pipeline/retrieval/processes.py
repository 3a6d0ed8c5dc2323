"""Several processes of one training, by torch.distributed where it runs; nothing here imports torch."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .errors import RetrievalError

Kept = TypeVar("Kept")
Made = TypeVar("Made")


def in_several() -> bool:
    """Return whether this is one of several processes that torch.distributed has joined."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return False
    return int(torch.distributed.get_world_size()) > 1


def made_of_all(own: Sequence[Kept], make: Callable[[list[list[Kept]]], Made], *, most: int) -> Made:
    """Return in every process what the first makes of what all have; every process must call this.

    Args:
        own: what this process has, which can be pickled, as must what is made of it.
        make: called in the first process, with what each process has, in their order.
        most: how much all may have together.

    Raises:
        RetrievalError: there is more, or ``make`` raises one; in every process alike.
    """
    together = sys.modules["torch"].distributed
    first, processes = together.get_rank() == 0, together.get_world_size()
    counts: list[Any] = [None] * processes
    together.all_gather_object(counts, len(own))
    if sum(counts) > most:
        raise RetrievalError(
            f"{processes} processes have {sum(counts)} items together, over max_items={most}: set max_items higher"
        )
    parts: list[Any] | None = [None] * processes if first else None
    together.gather_object(list(own), parts, dst=0)
    answer: list[Any] = [None]
    if parts is not None:
        try:
            answer = [make(parts)]
        except RetrievalError as error:  # the others wait for an answer
            answer = [error]
    together.broadcast_object_list(answer, src=0)
    if isinstance(answer[0], RetrievalError):
        raise answer[0]
    made: Made = answer[0]
    return made
