"""A page on this machine to search the datasets by an image of one's own, several encoders side by side.

``python -m pipeline.demo`` serves it at 127.0.0.1 only. It needs the extra ``demo`` (Flask and Waitress).
"""

from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Annotated

from omegaconf import DictConfig
from pydantic import Field

from pipeline.extraction.runtime import read_runtime, settle
from pipeline.frame.app import app, plain
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import Count, call


@dataclass(frozen=True)
class Limits:
    """What the page serves; conf/demo.yaml.

    Attributes:
        port: of this machine; 0 takes a free one.
        megabytes: the largest upload, in units of 2^20 bytes.
        seconds: that an upload may take.
        k: how many nearest neighbours are shown.
    """

    port: Annotated[int, Field(ge=0, le=65_535)]
    megabytes: Annotated[int, Field(ge=1, le=1024)]
    seconds: Count
    k: Count


@app("demo")
def main(config: DictConfig) -> None:
    """Run the command."""
    missing = [name for name in ("flask", "waitress") if find_spec(name) is None]
    if missing:
        raise RetrievalError(f"the demo needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    from pipeline.search.server import Collection, create_app
    from pipeline.search.serving import ADDRESS, server_of

    values = plain(config)
    limits = call(Limits, {field.name: values[field.name] for field in fields(Limits)}, where="conf/demo.yaml")
    runtime = read_runtime(values["runtime"])
    settle(runtime)
    collection = Collection.read(values["folders"], runtime)
    pages = create_app(collection, megabytes=limits.megabytes, k=limits.k)
    try:
        server = server_of(pages, port=limits.port, megabytes=limits.megabytes, seconds=limits.seconds)
    except OSError as error:
        raise RetrievalError(f"port {limits.port} cannot be used ({error.strerror}): give port=...") from None
    print(
        f"http://{ADDRESS}:{server.effective_port} searches {', '.join(collection.manifests)}; Ctrl-C ends it",
        flush=True,
    )
    server.run()


if __name__ == "__main__":
    main()
