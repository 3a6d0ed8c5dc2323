"""The pages of ``pipeline.demo``: an upload or a text, the datasets' thumbnails, and what was found.

Nothing that a client sends is ever a path: datasets and encoders are looked up among those of params.yaml, items by
their numbers, and an upload is bytes that are decoded in memory; its name is only shown.
"""

import base64
import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from flask import Flask, Request, Response, abort, request
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from pipeline.encoders.building import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.encoders.fitting import takes_text, without_text
from pipeline.encoders.precomputed import NAME as PRECOMPUTED
from pipeline.extraction.runtime import Runtime
from pipeline.extraction.texts import encode_texts
from pipeline.frame.app import CONF, plain
from pipeline.frame.experiment import read_experiment
from pipeline.frame.tracked import refuse_untracked
from pipeline.manifest.images import decode_rgb
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.results.runs import read_run
from pipeline.results.titles import without_title
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.matrix import check_features
from pipeline.search.searching import encode, features_of, search
from pipeline.views.items import named, thumbnail
from pipeline.views.templates import TEMPLATES, render

REMEDY = "choose another image"
NAME = 200  # characters of an upload's name that are shown
LETTERS = 1000  # that a text may have
SIDE = 160  # pixels of a thumbnail's longest side
TRUSTED = ["127.0.0.1", "localhost"]  # so that no other site can point a name of its own here
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # To nobody else; with "no-referrer" a browser would call the origin of the page's own form "null".
    "Referrer-Policy": "same-origin",
}


class InMemory(Request):
    """A request whose uploads are never written to a disk, and whose form is read whole or is an error."""

    def make_form_data_parser(self) -> FormDataParser:
        """Return what reads the form; Flask's own makes an empty one of what it cannot read."""
        parser = super().make_form_data_parser()
        parser.silent = False
        return parser

    @property
    def from_elsewhere(self) -> bool:
        """Whether a browser says that another site sent it."""
        own = self.host_url.rstrip("/")
        site = self.headers.get("Sec-Fetch-Site", "same-origin")
        return site not in ("same-origin", "none") or self.headers.get("Origin", own) != own

    def _get_file_stream(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO()


@dataclass
class Collection:
    """The encoders and the datasets of params.yaml.

    Attributes:
        encoders: their configs, by name.
        manifests: of the datasets, by name.
        folders: where ``weights``, ``features`` and the metrics of ``runs`` lie.
        runtime: how to encode.
    """

    encoders: Mapping[str, Mapping[str, Any]]
    manifests: Mapping[str, Manifest]
    folders: Mapping[str, str]
    runtime: Runtime
    _built: dict[str, Encoder] = field(default_factory=dict)
    _features: dict[tuple[str, str], Float[np.ndarray, "item dim"]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def read(cls, folders: Mapping[str, str], runtime: Runtime) -> "Collection":
        """Read the names in params.yaml, the encoders' YAMLs and the manifests.

        Raises:
            RetrievalError: one is missing or wrong.
        """
        experiment = read_experiment()
        encoders = {}
        for name in experiment.encoders:
            path = CONF / "encoder" / f"{name}.yaml"
            if not path.is_file():
                raise RetrievalError(f"params.yaml: there is no conf/encoder/{name}.yaml")
            refuse_untracked(path)
            config = OmegaConf.load(path)  # as Hydra does, so that numbers equal those in the provenance
            assert isinstance(config, DictConfig)
            if config.get("source") != PRECOMPUTED:  # features without the network that made them
                encoders[name] = without_title(plain(config))
        if not encoders:
            raise RetrievalError("params.yaml: all features were made elsewhere: no encoder could take an image")
        manifests = {name: read_manifest(Path(folders["prepared"]) / name) for name in experiment.datasets}
        seen = {name: manifest for name, manifest in manifests.items() if manifest.has_images}
        if not seen:
            raise RetrievalError("params.yaml: no dataset has images, so that there is nothing to show")
        return cls(encoders, seen, folders, runtime)

    @cached_property
    def first(self) -> str:
        """The dataset that is shown at first: the one whose images are largest, as photographs are, by their median.

        Of the longest sides; of equal ones the first in params.yaml.
        """
        return max(self.manifests, key=lambda name: median_side(self.manifests[name]))

    @cached_property
    def leading(self) -> list[str]:
        """The encoders that are chosen at first: the two that are best on the dataset that is shown at first.

        By the metric by which runs on it are told apart; of equal ones the first in params.yaml. Those that were not
        evaluated on it come last.

        Raises:
            RetrievalError: the metrics of an encoder are damaged.
        """
        runs = Path(self.folders["runs"])
        known = [name for name in self.encoders if (runs / name / f"{self.first}.json").exists()]
        values = {name: read_run(runs, name, self.first, "headline")["headline"]["value"] for name in known}
        return sorted(self.encoders, key=lambda name: -values.get(name, -1))[:2]

    def decode(self, data: bytes, *, name: str) -> Image.Image:
        """Return the image in an upload; uploads take turns, since one can need much memory.

        Raises:
            RetrievalError: see :func:`pipeline.manifest.images.decode_rgb`.
        """
        with self._lock:
            return decode_rgb(data, name=name, remedy=REMEDY)

    @cached_property
    def with_text(self) -> list[str]:
        """The encoders that take a text."""
        return [name for name, config in self.encoders.items() if takes_text(config)]

    def search(self, encoder: str, dataset: str, asked: Image.Image | str, *, k: int) -> list[tuple[int, float]]:
        """Return the nearest neighbours of an image, or a text, in a dataset, and their cosines.

        The encoder is built when it is first asked for; searches take turns.

        Raises:
            RetrievalError: see :func:`pipeline.search.searching.features_of`; the encoder cannot be built, or its
                feature of the image not used; it takes no text, or not this one.
        """
        config = self.encoders[encoder]
        if isinstance(asked, str) and encoder not in self.with_text:
            raise without_text(encoder)
        with self._lock:
            if encoder not in self._built:
                self._built[encoder] = build_encoder(encoder, config, Path(self.folders["weights"]) / encoder)
            network = self._built[encoder]
            if (encoder, dataset) not in self._features:
                made = Path(self.folders["features"]) / encoder / dataset
                self._features[encoder, dataset] = features_of(
                    network, config, made, self.manifests[dataset], similarity="cosine"
                )
            if isinstance(asked, str):
                rows, what = encode_texts(encoder, network, [asked], self.runtime), "your text"
            else:
                rows, what = encode(network, [asked], ["your image"], self.runtime), "your image"
        check_features(rows, [what], where=f"{encoder} on {what}", cosine=True, remedy=REMEDY)
        features, numbers = self._features[encoder, dataset], self.manifests[dataset].pictures
        [found] = search(rows, features, k=k, similarity="cosine", numbers=numbers)
        return found


def median_side(manifest: Manifest) -> float:
    """Return the median of the longest sides of a dataset's images, in pixels; 0 if it has none."""
    return float(median([max(item.width or 0, item.height or 0) for item in manifest.items] or [0]))


def as_data(image: Image.Image) -> str:
    """Return an image, made small, as the address of itself."""
    small = image.copy()
    small.thumbnail((SIDE, SIDE))
    return f"data:image/jpeg;base64,{base64.b64encode(as_jpeg(small)).decode()}"


def as_jpeg(image: Image.Image) -> bytes:
    """Return an image as a JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=85)
    return buffer.getvalue()


def answers(
    collection: Collection, encoders: Sequence[str], dataset: str, asked: Image.Image | str, *, k: int
) -> list[dict[str, Any]]:
    """Return for each encoder what it found, or why it could not."""
    manifest = collection.manifests[dataset]
    columns: list[dict[str, Any]] = []
    for encoder in encoders:
        try:
            found = collection.search(encoder, dataset, asked, k=k)
        except RetrievalError as error:
            columns.append({"encoder": encoder, "problem": str(error), "found": []})
            continue
        rows = [
            {"item": item, "name": named(manifest.items[item]), "path": manifest.paths[item], "score": score}
            for item, score in found
        ]
        columns.append({"encoder": encoder, "problem": None, "found": rows})
    return columns


def create_app(collection: Collection, *, megabytes: int, k: int) -> Flask:
    """Return the application.

    Args:
        collection: what can be searched.
        megabytes: the largest upload.
        k: how many nearest neighbours are shown.
    """
    pages = Flask(__name__, static_folder=None)
    pages.request_class = InMemory
    pages.config.update(MAX_CONTENT_LENGTH=megabytes << 20, TRUSTED_HOSTS=TRUSTED)
    first = {"dataset": collection.first, "encoders": collection.leading}

    def page(status: int = 200, *, problem: str | None = None, **shown: Any) -> Response:
        values: dict[str, Any] = {
            **first,
            "name": None,
            "picture": None,
            "asked_text": "",
            "columns": [],
            **shown,
        }
        text = render(
            "demo.html",
            all_datasets=list(collection.manifests),
            all_encoders=list(collection.encoders),
            with_text=collection.with_text,
            letters=LETTERS,
            megabytes=megabytes,
            k=k,
            problem=problem,
            **values,
        )
        return Response(text, status, mimetype="text/html")

    @pages.after_request
    def protect(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    @pages.errorhandler(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> Response:
        if (request.content_length or 0) <= megabytes << 20:
            return page(400, problem="The form has too many fields, or too long ones: send the one on this page.")
        return page(413, problem=f"The image is larger than {megabytes} MiB: choose a smaller one.")

    @pages.errorhandler(RetrievalError)
    def unusable(error: RetrievalError) -> Response:
        return Response(f"{error}\n", 409, mimetype="text/plain")

    @pages.get("/")
    def start() -> Response:
        return page()

    @pages.post("/")
    def searched() -> Response:
        if request.from_elsewhere:  # type: ignore[attr-defined]
            abort(403)
        try:
            upload = request.files.get("image")
        except UnicodeDecodeError:  # of what stands before a part: its name, and the file's
            return page(400, problem="The name of the image is not UTF-8: rename it.")
        except ValueError as error:
            return page(400, problem=f"The form cannot be read ({error}): send the one on this page.")
        dataset = request.form.get("dataset", "")
        encoders = [name for name in collection.encoders if name in request.form.getlist("encoder")]
        if dataset not in collection.manifests or not encoders:
            return page(400, problem="Choose a dataset and at least one encoder.")
        chosen: dict[str, Any] = {"dataset": dataset, "encoders": encoders}
        text = request.form.get("text", "").strip() if collection.with_text else ""
        if text:
            if upload is not None and upload.filename:
                return page(400, problem="Ask with an image or with a text, not with both: clear one.", **chosen)
            if len(text) > LETTERS:
                return page(400, problem=f"The text is longer than {LETTERS} letters: shorten it.", **chosen)
            columns = answers(collection, encoders, dataset, text, k=k)
            return page(name=shown(text), asked_text=text, columns=columns, **chosen)
        if upload is None or not upload.filename:
            problem = "Choose an image, or write a text." if collection.with_text else "Choose an image."
            return page(400, problem=problem, **chosen)
        name = shown(upload.filename)[:NAME]
        try:
            image = collection.decode(upload.read(), name=name)
        except RetrievalError as error:
            return page(400, problem=f"{error}.", **chosen)
        columns = answers(collection, encoders, dataset, image, k=k)
        return page(name=name, picture=as_data(image), columns=columns, **chosen)

    @pages.get("/thumbnails/<dataset>/<int:number>.jpg")
    def small(dataset: str, number: int) -> Response:
        manifest = collection.manifests.get(dataset)
        if manifest is None or number >= len(manifest.items):
            abort(404)
        response = Response(as_jpeg(thumbnail(manifest.items[number], manifest, SIDE)), mimetype="image/jpeg")
        response.headers["Cache-Control"] = "private, max-age=3600"
        return response

    @pages.get("/look.css")
    def look() -> Response:
        return Response((TEMPLATES / "look.css").read_text(encoding="utf-8"), mimetype="text/css")

    @pages.get("/demo.js")
    def script() -> Response:
        return Response((TEMPLATES / "demo.js").read_text(encoding="utf-8"), mimetype="text/javascript")

    return pages
