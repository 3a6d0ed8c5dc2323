"""What comes over a network: answers of a server to the downloader, requests of a browser to the demo."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from pipeline.fetching.download import RemoteFile, download
from tests.attack import mutation
from tests.attack.verdicts import Wrong

BODY = bytes(range(256)) * 4
HEADERS = (
    "Content-Length",
    "ETag",
    "Last-Modified",
    "Content-Range",
    "Content-Encoding",
    "Transfer-Encoding",
    "Location",
    "Set-Cookie",
    "Connection",
    "Content-Type",
    "Content-Disposition",
    "X",
    "Retry-After",
)
VALUES = (
    b"abc",
    b"-1",
    b"0",
    b"1024",
    b"1023",
    b"99999999999999999999",
    b"1e3",
    b"",
    b" ",
    b"\xe9\xff",
    "é".encode(),
    b'W/"x"',
    b'"x"',
    b"a" * 70_000,
    b"gzip",
    b"deflate",
    b"br",
    b"chunked",
    b"identity",
    b"bytes 0-1023/1024",
    b"bytes 5-9/1024",
    b"bytes */1024",
    b"bytes",
    b"/again",
    b"http://127.0.0.1:1/x",
    b"file:///etc/passwd",
    b"//",
    b"http://[",
    b"close",
    b"1024, 1024",
    b"1024, 5",
    b"+1024",
    b"0x400",
    b"\t1024",
    b"1_024",
    "１０２４".encode(),
    b"ftp://a/b",
    b"\x00",
)


def answer(rng: Random) -> bytes:
    """Return what a server may say: an answer with odd headers, or bytes that are none."""
    if rng.random() < 0.05:
        return rng.choice(
            (b"", rng.randbytes(50), b"\r\n" * 50, b"HTTP/1.1", b"HTTP/9.9 200 OK\r\n\r\n", b"SSH-2.0-x\r\n")
        )
    status = rng.choice(
        (b"200 OK",) * 6
        + (
            b"206 Partial",
            b"416 x",
            b"302 Found",
            b"404 \xe9",
            b"503",
            b"abc",
            b"999 x",
            b"100 Continue",
            b"204 x",
            b"304 x",
        )
    )
    lines = [b"HTTP/1.1 " + status]
    if rng.random() < 0.7:
        lines.append(b"Content-Length: 1024")
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        lines.append(rng.choice(HEADERS).encode() + rng.choice((b": ", b":", b" : ", b"")) + rng.choice(VALUES))
    if rng.random() < 0.03:
        lines += [b"X: y"] * 200
    body = BODY
    kind = rng.randrange(6)
    if kind == 0:
        body = mutation.data(rng, BODY)
    elif kind == 1:
        body = rng.choice(
            (b"400\r\n" + BODY + b"\r\n0\r\n\r\n", b"zz\r\n", b"ffffffffffffffff\r\nabc", b"-1\r\n", b"5\r\nab")
        )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@contextmanager
def serving(answers: list[bytes]) -> Iterator[str]:
    """Give the answers, the last one again and again, and yield the address."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]

    def serve() -> None:
        for number in range(1 << 20):
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(2)
                    connection.recv(1 << 16)
                    connection.sendall(answers[min(number, len(answers) - 1)])
                    connection.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/x"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def downloads(rng: Random, folder: Path) -> None:
    """Download a file whose hash is known, of which a part may be there already."""
    target = folder / "x"
    with serving([answer(rng) for _ in range(rng.randint(1, 4))]) as url:
        if rng.random() < 0.4:
            (folder / ".x.partial").write_bytes(mutation.data(rng, BODY) if rng.random() < 0.5 else BODY[:100])
            (folder / ".x.partial.tag").write_bytes(rng.choice((b"", b'"x"', rng.choice(VALUES), b"a\r\nb: c")))
        remote = RemoteFile(url, "x", f"sha256:{hashlib.sha256(BODY).hexdigest()}", rng.choice((None, len(BODY))))
        try:
            download(remote, target)
        finally:
            if target.exists() and target.read_bytes() != BODY:
                raise Wrong("another file than the one that was meant")
    if not target.exists():
        raise Wrong("it said that the file is there, and it is not")


def form(rng: Random, boundary: bytes) -> bytes:
    """Return a form as a browser sends it, maybe damaged."""
    from tests.attack.images import seeds

    names = ("image", "dataset", "encoder", "encoder", "x")
    parts = []
    for name in names if rng.random() < 0.6 else rng.choices(names, k=rng.choice((0, 3, 9, 3000))):
        head = f'Content-Disposition: form-data; name="{name}"'.encode()
        body = {"dataset": b"digits", "encoder": b"raw_pixels"}.get(name, b"")
        if name == "image":
            shown = mutation.text(rng) if rng.random() < 0.5 else "photo.png"
            head += f'; filename="{shown}"'.encode(errors="surrogatepass") + b"\r\nContent-Type: image/png"
            body = rng.choice(seeds())
            body = mutation.data(rng, body) if rng.random() < 0.5 else body
        elif rng.random() < 0.1:
            body = mutation.text(rng).encode(errors="surrogatepass")
        parts.append(b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + body + b"\r\n")
    made = b"".join(parts) + b"--" + boundary + b"--\r\n"
    return mutation.data(rng, made) if rng.random() < 0.3 else made


def demo(rng: Random, folder: Path) -> None:
    """Ask the demo for anything: it answers, and never by a failure of its own."""
    from tests.attack.project import demo_of

    pages, failures = demo_of()
    boundary = rng.choice((b"abc", b"----WebKitFormBoundary", rng.choice(VALUES)[:80]))
    headers = {"Host": "127.0.0.1"}
    for _ in range(rng.choice((0, 0, 1, 2))):
        name = rng.choice(
            (
                "Host",
                "Sec-Fetch-Site",
                "Origin",
                "Content-Type",
                "Content-Length",
                "Referer",
                "Cookie",
                "Range",
                "Transfer-Encoding",
            )
        )
        headers[name] = rng.choice(
            ("null", "cross-site", "http://evil", "", "same-origin", *(value.decode("latin-1") for value in VALUES))
        )
    headers = {name: value.replace("\r", "").replace("\n", "") for name, value in headers.items()}
    path = rng.choice(
        (
            "/",
            "/",
            "/",
            "/thumbnails/digits/0.jpg",
            "/thumbnails/digits/999999999999999999999.jpg",
            "/thumbnails/../0.jpg",
            f"/{mutation.text(rng)}",
            "/demo.js",
            "/look.css",
        )
    )
    method = rng.choice(("POST", "POST", "POST", "GET", "PUT", "HEAD", "OPTIONS", "TRACE"))
    path = path.encode(errors="replace").decode()
    client = pages.test_client()
    failures.clear()
    answered = client.open(
        "/",
        # As a server passes it on: the client takes a path that begins with two slashes for a host.
        environ_overrides={"PATH_INFO": path.encode().decode("latin-1")},
        method=method,
        headers=list(headers.items()),
        data=form(rng, boundary) if method in ("POST", "PUT") else None,
        content_type=headers.get("Content-Type", "multipart/form-data; boundary=" + boundary.decode("latin-1")),
    )
    if failures:
        raise failures[0]
    if answered.status_code >= 500:
        raise Wrong(f"status {answered.status_code}")
    answered.get_data()
