"""A dataset in the formats of the package ``datasets``, read row by row and written as image files, once."""

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import fsspec
import numpy as np
from PIL import Image
from tqdm import tqdm

from pipeline.checkpoints.hub import out_of_reach
from pipeline.datasets.huggingface import Asked
from pipeline.datasets.written import Writer, png_of, refuse_other_origin, writing
from pipeline.fetching.download import reason
from pipeline.frame.places import located
from pipeline.frame.upstream import problem_of
from pipeline.frame.versions import versions_of
from pipeline.manifest.images import formats
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Role, as_role

OLDEST = 4  # before it the package ran code that came with a dataset
SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "JPEG2000": ".jp2", "TIFF": ".tif"}  # others are called by their format
AS_THEY_ARE, AS_PNG = "bytes as they are", "as PNG here"
INSTALL = "pip install 'datasets>=4', which is the extra huggingface-datasets of pyproject.toml"
BY_HAND = "or save it by save_to_disk where there is one, and give that folder as 'path'"


def fetch_huggingface(asked: Asked) -> None:
    """Write the images of a dataset, their labels and where they come from to a folder, whole or not at all.

    A folder that is there already is left alone.

    Raises:
        RetrievalError: the package ``datasets`` is missing; the dataset cannot be had; there is no such split or
            column; a row has no image, or no label that is a class, an integer or a text.
    """
    if "://" in asked.root:
        raise RetrievalError(f"'root' is {asked.root}: give a folder of this machine")
    target = located(asked.root)
    if target.is_dir():
        refuse_other_origin(target, asked.described)
        print(f"{target} is there already and is left as it is: remove it to have it made anew")
        return
    package = the_package()
    commit = None if asked.name is None else commit_of(asked.name, asked.revision)
    splits = splits_in(package, asked, commit)
    with writing(target) as writer:
        encoded: Counter[str] = Counter()
        for split, role in roles_of(asked, splits):
            write_rows(package, asked, splits[split], split, role, writer, encoded)
        made_with = versions_of(["datasets", "pillow"])
        writer.finish(asked.described, {"commit": commit, "encoded": dict(encoded), "versions": made_with})
    how = ", ".join(f"{count:,} {what}" for what, count in encoded.items())
    print(f"{target} is ready: {len(writer.rows):,} images ({how})" + (f", of the commit {commit}" if commit else ""))


def the_package() -> ModuleType:
    """Return the package ``datasets``; :class:`RetrievalError` if it is missing or too old."""
    try:
        import datasets
    except ImportError as error:
        raise RetrievalError(f"the package datasets cannot be imported ({error}): {INSTALL}") from None
    if int(datasets.__version__.partition(".")[0]) < OLDEST:
        raise RetrievalError(f"the package datasets is {datasets.__version__}, which is too old: {INSTALL}")
    package: ModuleType = datasets
    return package


def commit_of(name: str, revision: str) -> str:
    """Return the commit that a revision of a dataset of the hub is.

    Raises:
        RetrievalError: the hub cannot be reached, or has no such dataset or revision, or not for all.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    host = constants.ENDPOINT
    if problem := out_of_reach(None):
        raise RetrievalError(f"the dataset {name} cannot be fetched ({problem}): connect to the network, {BY_HAND}")
    try:
        return str(HfApi().dataset_info(name, revision=revision).sha)
    except GatedRepoError:
        remedy = f"accept its terms at {host}/datasets/{name}, then set HF_TOKEN to a token of your account"
        raise RetrievalError(f"the dataset {name} is gated: {remedy}") from None
    except RepositoryNotFoundError:
        raise RetrievalError(f"{host} has no dataset {name}, or not for you: mend 'name', or set HF_TOKEN") from None
    except RevisionNotFoundError:
        raise RetrievalError(f"{host}/datasets/{name} has no revision {revision}: mend 'revision'") from None
    except Exception as error:  # of its client, and what that makes of an answer
        raise RetrievalError(
            f"the dataset {name} cannot be fetched ({reason(error)}): run it again, {BY_HAND}"
        ) from None


def splits_in(package: ModuleType, asked: Asked, commit: str | None) -> Mapping[str | None, Any]:
    """Return the splits of a dataset by name, none read yet; one that was saved alone is that of the name None.

    Raises:
        RetrievalError: there is no such dataset or config.
    """
    place = asked.name or str(local_folder(asked))
    try:
        if asked.path is not None and is_saved(Path(place)):
            found = package.load_from_disk(place)
        else:
            found = package.load_dataset(place, asked.config, revision=commit, streaming=True)
    except Exception as error:  # the package raises its own, and those of all that it reads with
        remedy = "mend 'name', 'revision' or 'config'" if asked.name else "mend 'path' or 'config'"
        raise RetrievalError(f"the dataset {place} cannot be opened ({problem_of(error)}): {remedy}") from None
    return found if isinstance(found, Mapping) else {None: found}


def local_folder(asked: Asked) -> Path:
    """Return where the folder of ``path`` is; :class:`RetrievalError` if it is none."""
    folder = located(str(asked.path)).absolute()  # a relative one could be taken for a name on the hub
    if not folder.is_dir():
        raise RetrievalError(f"'path' is {asked.path}, which is no folder (looked for at {folder}): mend it")
    return folder


def is_saved(folder: Path) -> bool:
    """Return whether ``save_to_disk`` made a folder."""
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def roles_of(asked: Asked, splits: Mapping[str | None, Any]) -> list[tuple[str | None, Role]]:
    """Return the splits to be written, and the role of their rows.

    Raises:
        RetrievalError: none is named, though there are several; there is none of that name.
    """
    wanted: list[tuple[str | None, Role]] = [(asked.split, "both")]
    if asked.query_split is not None:
        wanted = [(asked.query_split, "query"), (asked.gallery_split, "gallery")]
    for split, _ in wanted:
        if split not in splits:
            known = ", ".join(str(name) for name in splits) if None not in splits else "none, since it was saved alone"
            raise RetrievalError(f"{asked.name or asked.path} has no split '{split}': its splits are {known}")
    return wanted


def write_rows(
    package: ModuleType, asked: Asked, rows: Any, split: str | None, role: Role, writer: Writer, encoded: Counter[str]
) -> None:
    """Write the images of a split; ``encoded`` counts how."""
    where = f"{asked.name or asked.path}" + (f", {split}" if split else "")
    features = dict(rows.features or {})
    columns = [column for column in (asked.image, asked.label, asked.role, asked.group) if column is not None]
    for column in columns if features else ():
        if column not in features:
            raise RetrievalError(f"{where}: no column '{column}': its columns are {', '.join(features)}")
    if features:
        rows = rows.select_columns(columns)
    if isinstance(features.get(asked.image), package.Image):
        rows = rows.cast_column(asked.image, package.Image(decode=False))
    names = {column: names_in(features.get(column)) for column in columns}
    for number, row in enumerate(tqdm(read(rows, where), desc=split, unit=" images")):
        here = f"{where}, row {number}"
        for column in columns:
            if column not in row:
                raise RetrievalError(f"{here}: no column '{column}': its columns are {', '.join(row)}")
        data, suffix, how = file_of(row[asked.image], here, remote=asked.name is not None)
        labels = texts_of(row[asked.label], names[asked.label], here, asked.label)
        given = role if asked.role is None else role_of(row[asked.role], names[asked.role], here)
        group = None if asked.group is None or row[asked.group] == "" else row[asked.group]
        groups = texts_of(group, names.get(str(asked.group)), here, str(asked.group))
        if len(groups) > 1:
            raise RetrievalError(f"{here}: in '{asked.group}' are {len(groups)} groups: an image has one, or none")
        if given == "query" and not labels:
            raise RetrievalError(f"{here}: a query without a label in '{asked.label}': take another column or split")
        encoded[how] += 1
        writer.add(data, suffix, labels, role=given if labels else "gallery", group=next(iter(groups), None))


def read(rows: Any, where: str) -> Iterator[Mapping[str, Any]]:
    """Yield rows; :class:`RetrievalError` for whatever stops the package from reading on."""
    try:
        yield from rows
    except Exception as error:  # of the package, and of all that it reads with
        raise RetrievalError(
            f"{where} cannot be read to its end ({problem_of(error)}): run it again, {BY_HAND}"
        ) from None


def names_in(feature: Any) -> list[str] | None:
    """Return the names of the classes of a column, or of the lists in it; None if it has no classes."""
    if isinstance(feature, list) and feature:
        return names_in(feature[0])
    names = getattr(feature, "names", None)
    return names_in(feature.feature) if names is None and hasattr(feature, "feature") else names


def texts_of(value: Any, names: list[str] | None, where: str, column: str) -> tuple[str, ...]:
    """Return what a cell says: the name of a class, an integer or a text; several of a list, none for null.

    Raises:
        RetrievalError: it is something else, empty, or a class without a name, as where labels are kept back.
    """
    if value is None:
        return ()
    found = []
    for one in value if isinstance(value, list) else [value]:
        if names is not None and isinstance(one, int):
            if not 0 <= one < len(names):
                raise RetrievalError(f"{where}: '{column}' is the class {one}, which has no name: take another split")
            one = names[one]
        if not isinstance(one, int | str) or isinstance(one, bool) or not str(one).strip():
            raise RetrievalError(f"{where}: '{column}' is {one!r:.80}: expected a class, an integer or a text")
        found.append(str(one))
    return tuple(dict.fromkeys(found))


def role_of(value: Any, names: list[str] | None, where: str) -> Role:
    """Return the role in a cell; :class:`RetrievalError` if it is none."""
    texts = texts_of(value, names, where, "role")
    try:
        return as_role(texts[0] if len(texts) == 1 else str(value))
    except ValueError as error:
        raise RetrievalError(f"{where}: {error}") from None


def file_of(value: Any, where: str, *, remote: bool) -> tuple[bytes, str, str]:
    """Return the image in a cell as a file's bytes and suffix, and how it was encoded.

    Args:
        value: bytes, alone or under ``bytes``; where they are, under ``path``; or pixels.
        where: for an error.
        remote: whether others made it, on another machine, so that no file of this one can be meant.

    Raises:
        RetrievalError: there is no image in it.
    """
    if isinstance(value, Mapping):
        path = value.get("path")
        value = value.get("bytes")
        if value is None and path:
            if remote and "://" not in path:
                raise RetrievalError(f"{where}: its image is the file {path}, of another machine: take another dataset")
            value = bytes_at(path, where)
    if isinstance(value, bytes):
        return value, suffix_of(value, where), AS_THEY_ARE
    if isinstance(value, list | np.ndarray):
        value = image_of(value, where)
    if not isinstance(value, Image.Image):
        raise RetrievalError(f"{where}: {value!r:.80} is no image: mend 'image', the column of the images")
    try:
        return png_of(value), ".png", AS_PNG
    except RetrievalError as error:
        raise RetrievalError(f"{where}: {error}") from None


def bytes_at(path: str, where: str) -> bytes:
    """Return what is in a file, which may be one of the hub, or in an archive there."""
    try:
        with fsspec.open(path, "rb") as file:
            data: bytes = file.read()
            return data
    except Exception as error:  # of whichever client fsspec opens it by
        raise RetrievalError(f"{where}: {path} cannot be read ({problem_of(error)}): run it again, {BY_HAND}") from None


def suffix_of(data: bytes, where: str) -> str:
    """Return what the name of an image file ends with; :class:`RetrievalError` if Pillow does not know it as one."""
    try:
        with Image.open(io.BytesIO(data), formats=formats()) as image:
            known = str(image.format)
    except Exception as error:  # Pillow's plugins raise nearly every exception type on damaged files
        raise RetrievalError(f"{where}: its bytes are no image ({problem_of(error)}): the dataset is damaged") from None
    return SUFFIXES.get(known, f".{known.lower()}")


def image_of(value: Any, where: str) -> Image.Image:
    """Return pixels, a list of rows of greys or of red, green and blue from 0 to 255, as an image."""
    try:
        pixels = np.asarray(value)
        if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:
            raise ValueError("not integers from 0 to 255")
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
            raise ValueError(f"of the shape {pixels.shape}")
    except ValueError as error:
        raise RetrievalError(
            f"{where}: its pixels are {error}: expected integers from 0 to 255 of the shape (height, width) or "
            "(height, width, 3)"
        ) from None
    return Image.fromarray(pixels.astype(np.uint8))
