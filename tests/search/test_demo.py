"""The local page: what it finds, what it refuses, and what a real browser makes of it."""

import io
import json
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from playwright.sync_api import Browser, expect

from pipeline.extraction.runtime import Runtime
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.retrieval.errors import RetrievalError
from pipeline.search.server import Collection, create_app
from pipeline.search.serving import server_of
from tests.browser import PHONE, started, watched
from tests.conftest import Project

FOLDERS = {"prepared": "data/prepared", "weights": "data/weights", "features": "features", "runs": "metrics/runs"}
NASTY = "<script>alert(1)<..%2f..%2fetc%2fpasswd>.jpg"


@pytest.fixture
def client(small_project: Project, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.chdir(small_project.top)
    return create_app(Collection.read(FOLDERS, Runtime("cpu", 8, 0)), megabytes=1, k=4).test_client()


def own_image(project: Project) -> Path:
    manifest = read_manifest(project.top / "data/prepared/photo_views")
    return project.top / manifest.root / manifest.paths[5]


def form(content: bytes, name: str = "photo.jpg", **values: Any) -> dict[str, Any]:
    asked = {"dataset": "photo_views", "encoder": ["raw_pixels", "color_histogram"], **values}
    return {"data": {**asked, "image": (io.BytesIO(content), name)}, "content_type": "multipart/form-data"}


def test_an_image_of_the_dataset_finds_itself(client: FlaskClient, small_project: Project) -> None:
    answer = client.post("/", **form(own_image(small_project).read_bytes()))
    assert answer.status_code == 200
    first = r'aria-label="found by (\w+)">\s*<li>.*?src="/thumbnails/photo_views/(\d+)\.jpg.*?1\. ([\d.]+)<'
    firsts = re.findall(first, answer.text)
    assert firsts == [("raw_pixels", "5", "1.0000"), ("color_histogram", "5", "1.0000")]
    assert answer.text.count("<li>") == 8


def test_photographs_come_before_digits(client: FlaskClient, small_project: Project) -> None:
    assert "<option selected>photo_views</option>" in client.get("/").text  # digits are first in params.yaml
    large, small = (Item("a.png", ("a",), side, 9, "0") for side in (300, 40))
    manifests = {
        name: Manifest(name, Path("r"), items) for name, items in [("b", (small,)), ("a", (large, small, large))]
    }
    assert Collection({}, manifests, {}, Runtime("cpu", 8, 0)).first == "a"
    assert Collection({}, {**manifests, "c": Manifest("c", Path("r"), (large,))}, {}, Runtime("cpu", 8, 0)).first == "a"


def test_the_two_best_encoders_are_chosen_at_first(tmp_path: Path) -> None:
    """On the photographs b has 0.9, d 0.5, and a 0.1, which has 1 on digits; c has no metrics. By mAP a is the best."""
    headline = {"metric": "recall@1", "chance": None, "intervals": {}}
    for encoder, photos, digits in (("a", 0.1, 1.0), ("b", 0.9, 0.2), ("d", 0.5, 0.3)):
        (tmp_path / encoder).mkdir()
        for dataset, value in (("photos", photos), ("digits", digits)):
            (tmp_path / encoder / f"{dataset}.json").write_text(
                json.dumps({"mAP": 1 - value, "headline": {**headline, "value": value}})
            )
    manifests = {
        name: Manifest(name, Path("r"), (Item("a.png", ("a",), side, 9, "0"),))
        for name, side in (("digits", 8), ("photos", 300))
    }
    collection = Collection({name: {} for name in "abcd"}, manifests, {"runs": str(tmp_path)}, Runtime("cpu", 8, 0))
    assert collection.leading == ["b", "d"]
    page = create_app(collection, megabytes=1, k=4).test_client().get("/").text
    assert re.findall(r'value="(\w)"( checked)?', page) == [("a", ""), ("b", " checked"), ("c", ""), ("d", " checked")]
    for chosen, expected in (("abc", ["b", "a"]), ("ca", ["a", "c"]), ("c", ["c"])):
        assert replace(collection, encoders={name: {} for name in chosen}).leading == expected
    (tmp_path / "d/photos.json").write_text("{")
    with pytest.raises(RetrievalError, match="run dvc repro evaluate@d-photos"):
        create_app(replace(collection), megabytes=1, k=4)


def test_a_black_image_has_no_cosine(client: FlaskClient) -> None:
    black = io.BytesIO()
    Image.new("RGB", (9, 9)).save(black, "PNG")
    answer = client.post("/", **form(black.getvalue(), encoder=["raw_pixels", "color_histogram"]))
    assert answer.status_code == 200
    assert "item 0 (your image) has only zeros, and so no cosine, as have 1 in all: choose another image" in answer.text
    assert answer.text.count("<li>") == 4  # by color_histogram


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"content": b"no image"}, 400, "is not an image that Pillow can identify"),
        ({"content": b""}, 400, "is empty (0 bytes)"),
        ({"dataset": "../../etc"}, 400, "Choose a dataset and at least one encoder"),
        ({"encoder": ["../hog"]}, 400, "Choose a dataset and at least one encoder"),
        ({"name": ""}, 400, "Choose an image"),
    ],
)
def test_what_is_refused(client: FlaskClient, small_project: Project, change: Any, status: int, message: str) -> None:
    values = {"content": own_image(small_project).read_bytes(), **change}
    answer = client.post("/", **form(values.pop("content"), values.pop("name", "photo.jpg"), **values))
    assert answer.status_code == status and message in answer.text
    assert "<ol" not in answer.text


def test_an_upload_beyond_the_limit_is_not_read(client: FlaskClient) -> None:
    answer = client.post("/", data=bytes((1 << 20) + 1), content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 413 and "The image is larger than 1 MiB" in answer.text


def test_no_program_is_started_for_an_upload(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*arguments: object, **_: object) -> None:
        raise AssertionError(f"started {arguments}")

    monkeypatch.setattr("subprocess.Popen", started)
    monkeypatch.setattr("subprocess.check_call", started)
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n0 0 moveto\n%%EOF\n"
    answer = client.post("/", **form(postscript))
    assert answer.status_code == 400 and "is not an image that Pillow can identify" in answer.text


def test_an_image_that_changed_is_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.top)
    manifest = read_manifest(project.top / "data/prepared/digits")
    image = manifest.root / manifest.paths[0]
    image.chmod(0o644)
    Image.new("L", (8, 8), 77).save(image)
    client = create_app(Collection.read(FOLDERS, Runtime("cpu", 8, 0)), megabytes=1, k=4).test_client()
    answer = client.get("/thumbnails/digits/0.jpg")
    assert answer.status_code == 409 and "has changed since it was prepared" in answer.text


def test_features_made_elsewhere_are_not_offered(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.top)
    monkeypatch.setattr("pipeline.search.server.CONF", project.top / "conf")
    project.edit("conf/encoder/raw_pixels.yaml", source="precomputed")
    assert list(Collection.read(FOLDERS, Runtime("cpu", 8, 0)).encoders) == ["color_histogram"]
    project.edit("params.yaml", encoders=["raw_pixels"])
    with pytest.raises(RetrievalError, match="all features were made elsewhere"):
        Collection.read(FOLDERS, Runtime("cpu", 8, 0))


def test_an_encoder_is_built_once(client: FlaskClient, small_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import pipeline.search.server as server

    built = []
    build = server.build_encoder
    monkeypatch.setattr(server, "build_encoder", lambda name, *rest: built.append(name) or build(name, *rest))
    for dataset in ("digits", "photo_views", "digits"):
        client.post("/", **form(own_image(small_project).read_bytes(), dataset=dataset))
    assert built == ["raw_pixels", "color_histogram"]


def test_nothing_that_a_client_sends_is_a_path(client: FlaskClient, small_project: Project) -> None:
    for path in (
        "/thumbnails/digits/40.jpg",
        "/thumbnails/digits/-1.jpg",
        "/thumbnails/..%2f..%2fdata/0.jpg",
        "/thumbnails/digits/..%2f0.jpg",
        "/thumbnails/other/0.jpg",
        "/../params.yaml",
        "/report.js",
        "/static/look.css",
    ):
        assert client.get(path).status_code == 404, path
    there = client.get("/thumbnails/digits/39.jpg")
    assert there.status_code == 200
    assert Image.open(io.BytesIO(there.data)).size == (8, 8)
    answer = client.post("/", **form(own_image(small_project).read_bytes(), NASTY))
    assert (
        answer.status_code == 200 and "&lt;script&gt;alert(1)&lt;" in answer.text and "<script>alert" not in answer.text
    )


def test_only_this_machine_and_only_its_own_forms(client: FlaskClient, small_project: Project) -> None:
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/", headers={"Host": "127.0.0.1:8000"}).status_code == 200
    content = form(own_image(small_project).read_bytes())
    assert client.post("/", headers={"Sec-Fetch-Site": "cross-site"}, **content).status_code == 403
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy


@pytest.fixture
def bare() -> FlaskClient:
    """The pages without a project: enough for what is refused before anything is searched."""
    manifest = Manifest("digits", Path("nowhere"), ())
    return create_app(
        Collection({"hog": {}}, {"digits": manifest}, {"runs": "nowhere"}, Runtime("cpu", 8, 0)), megabytes=1, k=4
    ).test_client()


def sent(client: FlaskClient, *parts: bytes, end: bytes = b"--x--\r\n", **headers: str) -> tuple[int, str]:
    """Return the status and the trouble that a form gets, given what stands between its boundaries."""
    usual = (b'name="dataset"\r\n\r\ndigits', b'name="encoder"\r\n\r\nhog')
    body = b"".join(b"--x\r\nContent-Disposition: form-data; %s\r\n" % part for part in (*usual, *parts)) + end
    answer = client.post("/", data=body, content_type="multipart/form-data; boundary=x", headers=headers)
    found = re.search('id="trouble"[^>]*>(.*?)</p>', answer.text)
    return answer.status_code, found[1] if found else ""


def image(name: bytes) -> bytes:
    return b'name="image"; filename%s\r\n\r\nno image' % name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (b'="\xff\xfe.jpg"', "The name of the image is not UTF-8: rename it."),
        (b'="\xed\xa0\x80.jpg"', "The name of the image is not UTF-8: rename it."),
        (b'="\x1b[2J.jpg"', "&#39;\\x1b[2J.jpg&#39; is not an image that Pillow can identify"),
        (b"*=utf-8''%E2%80%AEgpj.exe", "&#39;\\u202egpj.exe&#39; is not an image"),
        (b'="' + b"a" * 5000 + b'"', "a" * 200 + " is not an image"),
        (b'=""', "Choose an image."),
    ],
)
def test_a_bad_file_name_is_answered_for_what_it_is(bare: FlaskClient, name: bytes, said: str) -> None:
    status, trouble = sent(bare, image(name))
    assert status == 400 and trouble.startswith(said)


def test_too_many_fields_and_half_a_form_are_answered_for_what_they_are(bare: FlaskClient) -> None:
    said = "The form has too many fields, or too long ones"
    for parts in ([b'name="f"\r\n\r\n'] * 2000, [b'name="f"\r\n\r\n' + b"a" * 600_000]):
        status, trouble = sent(bare, *parts)
        assert status == 400 and trouble.startswith(said)
    status, trouble = sent(bare, image(b'="a.jpg"'), end=b"")
    assert status == 400 and trouble.startswith("The form cannot be read (")


def test_a_form_of_another_origin_is_refused(bare: FlaskClient) -> None:
    for origin in ("http://evil.example", "null", "https://localhost", "http://localhost:8001", ""):
        assert sent(bare, image(b'="a.jpg"'), Origin=origin)[0] == 403, origin
        assert sent(bare, image(b'="a.jpg"'), **{"Origin": origin, "Sec-Fetch-Site": "same-origin"})[0] == 403, origin
    assert sent(bare, image(b'="a.jpg"'), Origin="http://localhost")[0] == 400  # as without one
    own = {"Origin": "http://127.0.0.1:8000", "Host": "127.0.0.1:8000"}
    assert sent(bare, image(b'="a.jpg"'), **own)[0] == 400


def test_uploads_that_do_not_end_stop_nobody(bare: FlaskClient) -> None:
    """More of them than there may be connections, sent a byte at a time: after a second there is room again."""
    server = server_of(bare.application, port=0, megabytes=1, seconds=1, connections=20)
    assert not logging.getLogger("waitress.queue").isEnabledFor(logging.WARNING)  # of requests that wait for a thread
    threading.Thread(target=server.run, daemon=True).start()
    port = server.effective_port
    head = f"POST / HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 1000\r\n"
    began = time.monotonic()
    with ExitStack() as stack:
        half = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(30)]
        for number, one in enumerate(half):
            one.sendall([b"", b"POST ", head.encode(), f"{head}\r\nabc".encode()][number % 4])
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(0.2):
                for one in half:
                    with suppress(OSError):
                        one.sendall(b"x")

        threading.Thread(target=drip, daemon=True).start()
        asking = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        asking.sendall(f"GET / HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
        assert asking.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert time.monotonic() - began < 15
        for one in half:  # all are closed in the end, with a word or without
            with suppress(ConnectionResetError):
                while one.recv(65536):
                    pass
        ended.set()
    server.close()


def test_features_of_another_configuration_are_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.edit("conf/encoder/raw_pixels.yaml", settings={"side": 5})
    monkeypatch.chdir(project.top)
    monkeypatch.setattr("pipeline.search.server.CONF", project.top / "conf")
    client = create_app(Collection.read(FOLDERS, Runtime("cpu", 8, 0)), megabytes=1, k=4).test_client()
    answer = client.post("/", **form(own_image(project).read_bytes()))
    assert "were made with another config than the encoder has now" in answer.text
    assert answer.text.count("<li>") == 4  # the other encoder answers


def test_wrong_settings_and_a_port_in_use(small_project: Project, server: str) -> None:
    port = server.rsplit(":", 1)[1]
    for change, message in (
        (f"port={port}", "cannot be used"),
        ("port=70000", "expected an integer from 0 to 65535"),
        ("megabytes=0", "expected an integer from 1 to"),
        ("seconds=0", "expected an integer from 1 to"),
    ):
        done = small_project.stage("demo", change, check=False)
        assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1


# ---- the real server, in a browser


@pytest.fixture(scope="module")
def server(small_project: Project) -> Iterator[str]:
    """The address of the demo, run as a user runs it."""
    command = [sys.executable, "-m", "pipeline.demo", "port=0", "megabytes=1"]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what a shell starts with & ignores it
    with subprocess.Popen(
        command, cwd=small_project.top, stdout=subprocess.PIPE, text=True, preexec_fn=heard
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[0]
            process.send_signal(signal.SIGINT)
            process.wait(30)
        finally:
            process.kill()  # or leaving the block would wait for ever


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [None, PHONE], ids=["wide", "phone"])
def test_an_upload(
    browser: Browser, server: str, small_project: Project, scheme: str, viewport: dict[str, int] | None
) -> None:
    assert server.startswith("http://127.0.0.1:")
    options = {"viewport": viewport} if viewport else {}
    with watched(browser, offline=False, color_scheme=scheme, **options) as seen:
        page = seen.page
        page.goto(server)
        page.set_input_files("input[type=file]", own_image(small_project))
        page.get_by_label("dataset").select_option("photo_views")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("#found")).to_be_focused()
        for encoder in ("raw_pixels", "color_histogram"):
            expect(page.get_by_role("list", name=f"found by {encoder}").locator("li").first).to_contain_text(
                "1. 1.0000"
            )
        for image in page.locator("img").all()[:4]:  # to wait for a function, the page would have to allow eval
            expect(image).to_have_js_property("complete", True)
            expect(image).not_to_have_js_property("naturalWidth", 0)
        assert not seen.too_wide()
        assert seen.violations() == []
        assert seen.problems == []
        assert all(url.startswith((server, "data:")) for url in seen.requests)


def test_the_image_stays_chosen(browser: Browser, server: str, small_project: Project, tmp_path: Path) -> None:
    own = tmp_path / "own.jpg"
    own.write_bytes(own_image(small_project).read_bytes())
    with watched(browser, offline=False) as seen:
        page = seen.page
        page.goto(server)
        page.set_input_files("input[type=file]", own)
        for dataset, encoder in (
            ("photo_views", "raw_pixels"),
            ("digits", "color_histogram"),
            ("digits", "raw_pixels"),
        ):
            page.get_by_label("dataset").select_option(dataset)
            for name in ("raw_pixels", "color_histogram"):
                page.get_by_label(name, exact=True).set_checked(name == encoder)
            page.get_by_role("button", name="Search").click()
            expect(page.locator("#found")).to_have_text(f"The 10 nearest neighbours in {dataset}")
            expect(page.get_by_role("list", name=re.compile("found by"))).to_have_count(1)
            expect(page.get_by_role("list", name=f"found by {encoder}")).to_be_visible()
            assert page.eval_on_selector("input[type=file]", "input => input.files[0].name") == "own.jpg"
        # What cannot be searched leaves no old answer beside its error.
        page.get_by_label("raw_pixels", exact=True).uncheck()
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("alert")).to_contain_text("Choose a dataset and at least one encoder")
        expect(page.locator("#found")).to_have_count(0)
        assert seen.violations() == []
        assert [re.findall(r"status of (\d+)", problem) for problem in seen.problems] == [["400"]]


def test_a_search_that_cannot_be_sent_is_said(browser: Browser, server: str, small_project: Project) -> None:
    with watched(browser, offline=False) as seen:
        page = seen.page
        page.goto(server)
        page.set_input_files("input[type=file]", own_image(small_project))
        page.route("**/*", lambda route: route.abort())
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("alert")).to_contain_text("The search failed (")
        expect(page.get_by_role("button", name="Search")).to_be_enabled()


def test_uploads_that_are_refused(browser: Browser, server: str, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "large.jpg").write_bytes(np.random.default_rng(0).bytes((1 << 20) + 1))
    for scripts in (True, False):
        with watched(browser, offline=False, java_script_enabled=scripts) as seen:
            page = seen.page
            for name, message in (("text.jpg", "is not an image"), ("large.jpg", "is larger than 1 MiB")):
                page.goto(server)
                page.set_input_files("input[type=file]", tmp_path / name)
                page.get_by_role("button", name="Search").click()
                expect(page.get_by_role("alert")).to_contain_text(message)
            # With scripts, what is too large is never sent.
            expected = ["400"] if scripts else ["400", "413"]
            assert [re.findall(r"status of (\d+)", problem) for problem in seen.problems] == [[one] for one in expected]


def test_a_large_upload_is_refused_before_it_is_sent(server: str) -> None:
    address = server.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=10) as connection:
        head = f"POST / HTTP/1.1\r\nHost: {':'.join(address)}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        connection.sendall(f"{head}Content-Length: {1 << 30}\r\n\r\n".encode())
        assert b" 413 " in connection.recv(1000)


def test_a_dropped_image(browser: Browser, server: str, small_project: Project) -> None:
    with watched(browser, offline=False) as seen:
        page = seen.page
        page.goto(server)
        data = page.evaluate_handle(
            """bytes => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", {type: "image/jpeg"}));
                return transfer;
            }""",
            list(own_image(small_project).read_bytes()),
        )
        page.dispatch_event("form", "drop", {"dataTransfer": data})
        page.get_by_label("dataset").select_option("photo_views")
        page.get_by_role("button", name="Search").click()
        expect(page.locator(".tile.query")).to_contain_text("dropped.jpg")
        assert seen.problems == []


def test_paths_that_lead_out(browser: Browser, server: str) -> None:
    with watched(browser, offline=False) as seen:
        for path in (
            "thumbnails/..%2f..%2f..%2fetc/0.jpg",
            "thumbnails/digits/..%2f..%2fparams.yaml",
            "%2e%2e/params.yaml",
        ):
            answer = seen.page.request.get(f"{server}/{path}")
            assert answer.status == 404 and "encoders" not in answer.text()


# ---- texts


def taking_texts() -> Collection:
    """Two encoders, of which one takes texts, and a dataset without anything: enough for the form."""
    encoders = {"clip": {"text": {"tokens": 77}}, "hog": {}}
    manifest = Manifest("digits", Path("nowhere"), ())
    return Collection(encoders, {"digits": manifest}, {"runs": "nowhere"}, Runtime("cpu", 8, 0))


def test_a_text_is_offered_where_an_encoder_takes_one(bare: FlaskClient) -> None:
    assert 'name="text"' not in bare.get("/").text
    assert sent(bare, b'name="text"\r\n\r\na red bus') == (400, "Choose an image.")
    client = create_app(taking_texts(), megabytes=1, k=4).test_client()
    page = client.get("/").text
    assert '<input type="text" name="text"' in page and "A text can ask too, by clip." in page
    answer = client.post("/", data={"dataset": "digits", "encoder": "hog", "text": "a <b> bus"})
    assert answer.status_code == 200 and "a &lt;b&gt; bus" in answer.text and "<b>" not in answer.text
    assert "encoder &#39;hog&#39; has no text tower: use one with &#39;text&#39; in its YAML" in answer.text
    both = b'name="text"\r\n\r\na', image(b'="a.jpg"')
    assert sent(client, *both) == (400, "Ask with an image or with a text, not with both: clear one.")


@pytest.mark.parametrize("viewport", [None, PHONE], ids=["wide", "phone"])
def test_the_text_field(browser: Browser, viewport: dict[str, int] | None, tmp_path: Path) -> None:
    server = server_of(create_app(taking_texts(), megabytes=1, k=4), port=0, megabytes=1, seconds=30)
    threading.Thread(target=server.run, daemon=True).start()
    options = {"viewport": viewport} if viewport else {}
    (tmp_path / "own.jpg").write_bytes(b"no image")
    with watched(browser, offline=False, **options) as seen:
        page = seen.page
        page.goto(f"http://127.0.0.1:{server.effective_port}")
        text, upload = page.get_by_label("or a text"), page.locator("input[type=file]")
        # The one that was given last is the one that is meant.
        text.fill("a red bus")
        upload.set_input_files(tmp_path / "own.jpg")
        expect(text).to_have_value("")
        text.fill("a red bus")
        assert upload.evaluate("input => input.files.length") == 0
        page.get_by_label("clip", exact=True).uncheck()
        page.get_by_label("hog", exact=True).check()
        text.press("Enter")
        expect(page.locator("#found")).to_be_focused()
        expect(page.locator("#answer")).to_contain_text("for the text a red bus")
        expect(page.locator("#answer .error")).to_contain_text("encoder 'hog' has no text tower")
        expect(text).to_have_value("a red bus")
        assert not seen.too_wide()
        assert seen.violations() == []
        assert seen.problems == []
    server.close()
