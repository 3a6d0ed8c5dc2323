"""Finished parts of an extraction, kept until the whole is done: what was killed goes on from them.

They lie in a folder that neither Git nor DVC looks at, below a key of everything that determines them. Each part is a
``.npy`` with a ``.json`` beside it, written last, that has its SHA-256: a part without it, or changed since, is made
again.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from pipeline.frame.files import replacing_file, sha256_of, write_json
from pipeline.frame.upstream import UNUSABLE
from pipeline.retrieval.reading.regular import regular_file

PART = 512  # images


@dataclass(frozen=True)
class Scratch:
    """The finished parts of one extraction.

    Attributes:
        folder: of the encoder on the dataset; parts of another key in it are stale.
        key: see :func:`key_of`.
    """

    folder: Path
    key: str

    def path(self, number: int) -> Path:
        """Return where a part lies."""
        return self.folder / self.key / f"{number}.npy"

    def read(self, number: int, *, rows: int, dim: int) -> tuple[Float[np.ndarray, "item dim"], float] | None:
        """Return a part and the seconds it took; None if it is not there whole."""
        path = self.path(number)
        try:
            regular_file(path.with_suffix(".json"))
            regular_file(path)
            said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            if sha256_of(path) != said["sha256"]:
                return None
            part = np.load(path, allow_pickle=False)
            return (part, float(said["seconds"])) if part.shape == (rows, dim) else None
        except UNUSABLE:
            return None

    def write(self, number: int, part: Float32[np.ndarray, "item dim"], *, seconds: float) -> None:
        """Keep a part."""
        path = self.path(number)
        with replacing_file(path) as partial, partial.open("wb") as file:
            np.save(file, part, allow_pickle=False)
        write_json(path.with_suffix(".json"), {"sha256": sha256_of(path), "seconds": seconds})

    def drop_stale(self) -> None:
        """Remove the parts of other keys."""
        for other in self.folder.glob("*"):
            if other.name != self.key:
                shutil.rmtree(other, ignore_errors=True)

    def clear(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)


def key_of(determining: Mapping[str, Any]) -> str:
    """Return a short name of all that determines features: what is given, and the code of this project in use."""
    code = hashlib.sha256()
    for name in sorted(name for name in sys.modules if name.split(".")[0] == "pipeline"):
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None:
            code.update(f"{name}\0".encode() + Path(file).read_bytes())
    text = json.dumps({**determining, "code": code.hexdigest()}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
