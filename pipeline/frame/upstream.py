"""What another stage made: one error for all that cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.retrieval.errors import RetrievalError


@contextmanager
def output_of(stage: str, what: str) -> Iterator[None]:
    """Read what a stage made inside the block: if it is missing or of another form, say what, and to run the stage.

    Raises:
        RetrievalError: the block raised OSError, ValueError, KeyError, TypeError or AttributeError.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = " ".join(str(error).split())
        raise RetrievalError(f"no usable {what} ({problem}): run dvc repro {stage}") from None
