"""The server of ``pipeline.demo``: Waitress, with a limit of time for a request to arrive."""

import logging
from typing import Any

from flask import Flask
from waitress import create_server
from waitress.channel import HTTPChannel

ADDRESS = "127.0.0.1"  # never another: whoever reaches the port may search
FORM = 1 << 16  # bytes that a form may have beside its image
CONNECTIONS = 300  # at a time; a browser has six


class Channel(HTTPChannel):  # type: ignore[misc]  # it has no types
    """A connection whose request counts as idle from its first byte until its last: however slowly it drips."""

    def handle_read(self) -> None:
        """Take what has arrived."""
        begun = self.request
        since: float = self.last_activity  # type: ignore[has-type]
        super().handle_read()
        if begun is not None and self.request is begun:
            self.last_activity = since


def server_of(pages: Flask, *, port: int, megabytes: int, seconds: int, connections: int = CONNECTIONS) -> Any:
    """Return a server of pages on this machine, to be ``run()``.

    Args:
        pages: the application.
        port: of this machine; 0 takes a free one.
        megabytes: the largest upload. What is larger is refused by its announced length, before it is sent; nothing
            goes to a disk.
        seconds: that a request may take to arrive; then its connection is closed.
        connections: at a time; further ones wait for one to end.

    Raises:
        OSError: the port cannot be used.
    """
    most = (megabytes << 20) + FORM
    server = create_server(
        pages,
        host=ADDRESS,
        port=port,
        threads=4,
        max_request_body_size=most,
        inbuf_overflow=most,
        channel_timeout=seconds,
        cleanup_interval=1,
        connection_limit=connections,
        asyncore_use_poll=True,  # select() takes no more than 1,024 files
    )
    server.channel_class = Channel
    # It warns of every request that waits for another: a page asks for all its small images at once.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    return server
