"""Torchvision's classification datasets, each by the name of its class: the files it is made of, and their labels."""

import hashlib
import inspect
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image

from pipeline.datasets.layouts import confine
from pipeline.datasets.listing import Listing
from pipeline.datasets.written import read_written
from pipeline.frame.places import as_written, located
from pipeline.frame.upstream import problem_of
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.queries import Role

FETCH = "python -m pipeline.fetch dataset=<its name>"
# What is not the YAML's to say: where the files are, whether to fetch them, and what becomes of an image.
KEPT = ("root", "download", "loader", "transform", "target_transform", "transforms")
COMPARED = 5  # items whose pixels are compared with their files
NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


class NotThere(RetrievalError):
    """The files of a dataset are not on this machine, or not whole.

    Attributes:
        reason: what torchvision says.
    """

    def __init__(self, name: str, top: Path, reason: str) -> None:
        """Say which dataset, where, and why."""
        super().__init__(f"torchvision's {name} is not usable in {top} ({reason}): {FETCH} gets what is missing")
        self.reason = reason


def read_torchvision(name: str, root: str, arguments: Mapping[str, Any] = NO_ARGUMENTS) -> Listing:
    """Read a dataset of ``torchvision.datasets`` that is on this machine; nothing is downloaded.

    A dataset of image files has these, byte by byte; of one that holds arrays, such as CIFAR-10, ``pipeline.fetch`` has
    written every image as a PNG file. The label is the name of the class where the dataset has names, else its number;
    an image of the class -1, as in STL-10's unlabelled split, is a distractor. The order is that of the dataset. Five
    items, the first, the last and three between, are decoded, to see that the dataset has the pixels of its files; a
    class that alters others only is not found out.

    Args:
        name: of the class, such as ``OxfordIIITPet``.
        root: the folder that torchvision calls so; relative to the top of the project if not absolute.
        arguments: the class' own ones, such as ``split: test`` or ``train: false``.

    Raises:
        NotThere: the files are missing or damaged.
        RetrievalError: no PNG files have been written; torchvision has no such dataset or argument; an item is no
            image with one label, or has other pixels than its file.
    """
    pictures = pictures_of(name, root, arguments)
    if located(pictures).is_dir():
        return read_written(pictures, asked_of(name, arguments))
    top = located(root)
    data = opened(name, top, arguments)
    if file_of(data, 0, name)[0] is None:
        raise RetrievalError(
            f"torchvision's {name} holds arrays, and no image files of them are in {pictures}: {FETCH} writes these"
        )
    names = names_of(data)
    entries = []
    for number in range(len(data)):
        path, target = file_of(data, number, name)
        if path is None:
            raise RetrievalError(f"{name}, item {number}, is no file, but others are: this cannot be read")
        entries.append((below(path, top, name), labels_of(target, names, where=f"{name}, item {number}")))
    for number in {place * (len(entries) - 1) // (COMPARED - 1) for place in range(COMPARED)}:
        refuse_altered(data, number, top / entries[number][0], name)
    roles: dict[int, Role] = {number: "gallery" for number, (_, labels) in enumerate(entries) if not labels}
    return Listing(as_written(root), tuple(entries), roles=roles)


def asked_of(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what says which images a written folder has (see ``pipeline.datasets.written``)."""
    return {"name": name, "arguments": dict(arguments)}


def pictures_of(name: str, root: str, arguments: Mapping[str, Any]) -> str:
    """Return the folder for the images of a dataset that holds arrays: one for each choice of arguments.

    Raises:
        RetrievalError: the name is none of a class.
    """
    if not name.isidentifier():
        raise RetrievalError(f"'name' is {name!r}: expected the name of a class of torchvision.datasets")
    said = "_".join(f"{key}-{value}" for key, value in sorted(arguments.items())) or "all"
    if not re.fullmatch(r"[\w.+-]{1,80}", said):
        said = hashlib.sha256(json.dumps(dict(arguments), sort_keys=True).encode()).hexdigest()[:16]
    return f"{root.rstrip('/')}/{name}-files/{said}"


def class_of(name: str) -> type[Any]:
    """Return a class of ``torchvision.datasets``; :class:`RetrievalError` if there is none of that name."""
    from torchvision import datasets  # slow to import, and for this kind of dataset only

    found = getattr(datasets, name, None) if name in datasets.__all__ else None
    if found is None or not hasattr(found, "__getitem__"):
        raise RetrievalError(f"torchvision has no dataset '{name}': one of {', '.join(sorted(datasets.__all__))}")
    kind: type[Any] = found
    return kind


def parameters_of(kind: type[Any]) -> list[str]:
    """Return the names of a class' arguments, with those of the classes below it that it hands others on to."""
    found: list[str] = []
    for one in kind.__mro__:
        if "__init__" not in vars(one):
            continue
        parameters = inspect.signature(vars(one)["__init__"]).parameters.values()
        found += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(dict.fromkeys(argument for argument in found if argument != "self"))


def opened(name: str, top: Path, arguments: Mapping[str, Any], *, download: bool = False) -> Any:
    """Return the dataset, an instance of its class.

    Args:
        name: of the class.
        top: its root.
        arguments: its own ones.
        download: let torchvision fetch what is missing, with its own checksums.

    Raises:
        NotThere: its files are missing or damaged, or could not be fetched.
        RetrievalError: there is no such dataset, argument or value, or a package that it needs is missing.
    """
    kind = class_of(name)
    known = parameters_of(kind)
    own = [argument for argument in known if argument not in KEPT]
    unknown = [argument for argument in arguments if argument not in own]
    if unknown:
        raise RetrievalError(f"{name} takes no argument '{unknown[0]}': its arguments are {', '.join(own) or 'none'}")
    more = {"download": True} if download else {}
    try:
        data = kind(root=str(top), **arguments, **more)
        count = len(data)
    except (ValueError, TypeError) as error:
        raise RetrievalError(
            f"torchvision's {name} refuses ({problem_of(error)}): mend 'arguments', or its files in {top}"
        ) from None
    except ImportError as error:
        raise RetrievalError(f"torchvision's {name} needs a package ({problem_of(error)}): install it") from None
    except Exception as error:  # each class raises its own for files that are missing or damaged
        raise NotThere(name, top, problem_of(error)) from None
    if not count:
        raise RetrievalError(f"torchvision's {name} has no image with these arguments: mend 'arguments'")
    return data


@contextmanager
def noting(paths: list[str]) -> Iterator[None]:
    """Let Pillow note what files it is told to open inside the block, and give a single pixel for each.

    Every class keeps its paths under a name of its own, or makes them up when it is asked for an item. What it opens
    is the one thing that all have in common. What is no file on this machine is opened as ever.
    """
    really_open = Image.open

    def note(fp: Any, *arguments: Any, **options: Any) -> Image.Image:
        path = fp if isinstance(fp, str | os.PathLike) else getattr(fp, "name", None)
        if isinstance(path, str | os.PathLike) and os.path.isfile(path):
            paths.append(os.fspath(path))
            return Image.new("RGB", (1, 1))
        return really_open(fp, *arguments, **options)

    Image.open = note  # type: ignore[assignment]
    try:
        yield
    finally:
        Image.open = really_open


def item_of(data: Any, number: int, name: str) -> tuple[Image.Image, object]:
    """Return an image of a dataset and its target; :class:`RetrievalError` if it is no such pair."""
    try:
        item = data[number]
    except Exception as error:  # each class raises its own
        raise RetrievalError(
            f"{name}, item {number}, cannot be read ({problem_of(error)}): put its file there"
        ) from None
    if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Image.Image)):
        raise RetrievalError(f"{name}, item {number}, is no image with a label: this is no dataset of classes")
    return item


def file_of(data: Any, number: int, name: str) -> tuple[str | None, object]:
    """Return the file that an item is made of, None if it comes from an array, and the item's target.

    Raises:
        RetrievalError: it is made of several files, or is no image with a target.
    """
    paths: list[str] = []
    with noting(paths):
        _, target = item_of(data, number, name)
    if len(paths) > 1:
        raise RetrievalError(f"{name}, item {number}, is made of {len(paths)} images: this is no dataset of classes")
    return next(iter(paths), None), target


def below(path: str, top: Path, name: str) -> str:
    """Return a path relative to the root; :class:`RetrievalError` if it is not below it."""
    relative = os.path.relpath(path, top)
    if relative.startswith(".."):
        raise RetrievalError(f"{name}: {shown(path)} is not below {top}: mend 'root'")
    inner = Path(relative).as_posix()
    confine(top, inner, where=name, follow_links=False)
    return inner


def refuse_altered(data: Any, number: int, path: Path, name: str) -> None:
    """Raise :class:`RetrievalError` if an item has not the pixels of its file, as where the class crops it."""
    image, _ = item_of(data, number, name)
    with Image.open(path) as file:
        same = image.size == file.size and image.convert("RGB").tobytes() == file.convert("RGB").tobytes()
    if not same:
        raise RetrievalError(
            f"{name}, item {number}, has other pixels than {path}: its files alone are not the dataset"
        )


def names_of(data: Any) -> list[str] | None:
    """Return the names of the classes by their numbers; None where a dataset has none.

    Synonyms, as of ImageNet, are joined by commas; a name that two classes share gets the number of each.
    """
    found = getattr(data, "classes", None) or getattr(data, "categories", None)
    if not found and (numbers := getattr(data, "class_to_idx", None)):
        found = sorted(numbers, key=numbers.__getitem__)
    if not found:
        return None
    names = [one if isinstance(one, str) else ", ".join(one) for one in found]
    count = Counter(names)
    return [name if count[name] == 1 else f"{name} ({number})" for number, name in enumerate(names)]


def labels_of(target: Any, names: Sequence[str] | None, *, where: str) -> tuple[str, ...]:
    """Return the label that a target stands for; none for the class -1.

    Raises:
        RetrievalError: it is no class.
    """
    if isinstance(target, str):
        return (target,)
    if getattr(target, "shape", None) == ():  # a number of NumPy or torch
        target = target.item()
    if not isinstance(target, int):
        raise RetrievalError(f"{where}: its target {target!r:.80} is no class: choose one by 'arguments'")
    if target < 0:
        return ()
    if names is None:
        return (str(target),)
    if target >= len(names):
        raise RetrievalError(f"{where}: its class is {target}, of {len(names)} that have a name: the files are damaged")
    return (names[target],)
