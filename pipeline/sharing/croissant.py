"""A prepared dataset as Croissant 1.0: JSON-LD that says what files there are, and what the manifest's columns mean.

``croissant.json`` stands beside a copy of the manifest; images are expected beside them, as they lie below the root of
the dataset. The specification: https://docs.mlcommons.org/croissant/docs/croissant-spec.html.
"""

from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.frame.files import replacing_file, sha256_of, write_json
from pipeline.manifest.manifest import CSV, PARQUET, Manifest, read_manifest

# Its own terms, and the names of the vocabularies, as the specification lists them.
TERMS = [
    "citeAs",
    "column",
    "equivalentProperty",
    "extract",
    "field",
    "fileObject",
    "fileProperty",
    "fileSet",
    "format",
    "includes",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
    "transform",
]
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in TERMS},
}
FORMATS = {CSV: "text/csv", PARQUET: "application/x-parquet"}
# What each column of the manifest is: see :class:`pipeline.manifest.items.Item`.
COLUMNS = {
    "path": ("sc:Text", "of the image, from the dataset's root or from the one in its row"),
    "labels": ("sc:Text", "what is in it, joined by |; a | or \\ in one has a \\ before it; empty: a distractor"),
    "width": ("sc:Integer", "pixels, after EXIF orientation"),
    "height": ("sc:Integer", "pixels, after EXIF orientation"),
    "sha256": ("sc:Text", "of the file"),
    "box": ("sc:Text", "the part of the image that counts: left top right bottom in pixels; empty: the whole"),
    "role": ("sc:Text", "both, query or gallery"),
    "group": ("sc:Text", "images of one group are left out of each other's rankings; empty: of no group"),
    "root": ("sc:Text", "the folder that the path starts from; empty: the dataset's"),
}
TEXT = {"text": ("sc:Text", "what is asked, where the item is a text; empty: an image")}


def write_croissant(prepared: Path, target: Path) -> Path:
    """Describe a prepared dataset in a folder; return the description's file.

    Raises:
        RetrievalError: the dataset is not prepared.
    """
    manifest = read_manifest(prepared)
    name = PARQUET if (prepared / PARQUET).is_file() else CSV
    target.mkdir(parents=True, exist_ok=True)
    with replacing_file(target / name) as partial:
        partial.write_bytes((prepared / name).read_bytes())
    write_json(target / "croissant.json", described(manifest, name, sha256_of(target / name)))
    return target / "croissant.json"


def described(manifest: Manifest, name: str, sha256: str) -> dict[str, Any]:
    """Return the description of a dataset whose manifest is a file of a name and a hash."""
    files: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "description": "one row an image, in the order of the features",
            "contentUrl": name,
            "encodingFormat": FORMATS[name],
            "sha256": sha256,
        }
    ]
    if manifest.has_images:
        endings = sorted({PurePosixPath(manifest.paths[number]).suffix for number in manifest.pictures})
        files.append(
            {
                "@type": "cr:FileSet",
                "@id": "images",
                "name": "images",
                "description": f"the images, as they lie below {manifest.root.as_posix()}",
                "encodingFormat": "image/*",
                "includes": [f"**/*{ending}" for ending in endings],
            }
        )
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"items/{column}",
            "name": f"items/{column}",
            "description": meaning,
            "dataType": kind,
            "source": {"fileObject": {"@id": name}, "extract": {"column": column}},
        }
        for column, (kind, meaning) in (COLUMNS | TEXT if manifest.texts else COLUMNS).items()
    ]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": manifest.dataset,
        "description": f"{len(manifest.pictures)} images for retrieval: {manifest.dataset}",
        "version": "1.0.0",
        "distribution": files,
        "recordSet": [{"@type": "cr:RecordSet", "@id": "items", "name": "items", "field": fields}],
    }
