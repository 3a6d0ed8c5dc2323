"""What several test files share: real images where they are at hand, and a copy of the project to run."""

import atexit
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from filelock import FileLock
from hypothesis import settings
from PIL import Image

from tests.warm import warm_python

TOP = Path(__file__).resolve().parent.parent
# No test reads or fills the caches of whoever runs it. The libraries look at these when they are imported.
CACHES = Path(tempfile.mkdtemp(prefix="caches-"))
os.environ.update(HF_HOME=str(CACHES / "huggingface"), TORCH_HOME=str(CACHES / "torch"))
for name in ("HF_ENDPOINT", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN"):
    os.environ.pop(name, None)
# Hundreds of processes import the project's modules: one compiles them for all.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
RAY = "test_ray.py"  # one cluster at a time
atexit.register(shutil.rmtree, CACHES, ignore_errors=True)
# A busy machine is no fault.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    """Give each of the processes among which tests are divided, and what they start, one thread to compute with.

    With one on every core they would wait for one another most of the time. What asks for more gets them; they do not
    spin.
    """
    if config.getoption("numprocesses", default=None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what runs the graph, which takes long, so that all processes have something to do until the end."""

    def later(item: pytest.Item) -> bool:
        return "small_project" not in getattr(item, "fixturenames", ()) or item.path.name == RAY

    items.sort(key=later)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give one process all tests that start Ray, first of all, while another makes the small project.

    The marks of pytest-xdist for groups have no effect with pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class OneCluster(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return RAY if f"/{RAY}::" in nodeid else nodeid

    return OneCluster(config, log)


@pytest.fixture(scope="session")
def real_images() -> Path:
    """The folder of real photographs and odd files, which is not part of the project."""
    folder = Path(os.environ.get("RETRIEVAL_TEST_DATA", TOP.parent / "shared" / "testdata"))
    if not folder.is_dir():
        pytest.skip(f"no real test images at {folder}: set RETRIEVAL_TEST_DATA to where they are")
    return folder.resolve()


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Path]:
    """Write a small random photograph-like image."""

    def write(name: str, *, seed: int = 0, size: tuple[int, int] = (32, 24), folder: Path = tmp_path) -> Path:
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
        return path

    return write


@dataclass
class Project:
    """A copy of the project in a Git repository of its own, to run commands in.

    Attributes:
        top: its folder.
        bin: where the ``python`` is that runs them.
    """

    top: Path
    bin: Path = Path(sys.executable).parent

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(self.bin), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "DVC_SITE_CACHE_DIR": str(self.top.parent / "dvc-site"),
        }
        done = subprocess.run(command, cwd=self.top, env=environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def stage(self, name: str, *overrides: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("python", "-m", f"pipeline.{name}", *overrides, check=check)

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("python", "-m", "dvc", *arguments, check=check)

    def repro(self, *arguments: str) -> set[str]:
        """Run ``dvc repro`` and return the names of the stages whose commands ran."""
        return ran(self.dvc("repro", *arguments).stdout)

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments).stdout

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def edit(self, path: str, **changes: object) -> None:
        """Change keys of a YAML file."""
        file = self.top / path
        config = yaml.safe_load(file.read_text()) if file.exists() else {}
        file.write_text(yaml.safe_dump({**config, **changes}, sort_keys=False))

    def append(self, path: str, text: str) -> None:
        """Add a line to the end of a file."""
        with (self.top / path).open("a") as file:
            file.write(text)

    def copy(self, target: Path) -> "Project":
        shutil.copytree(self.top, target, symlinks=True)
        return Project(target, self.bin)


def ran(output: str) -> set[str]:
    """Return the stages that DVC says it ran."""
    return set(re.findall(r"^Running stage '([^']+)':", output, flags=re.MULTILINE))


def copy_of_the_project(target: Path) -> Project:
    """Copy what Git tracks or would track, as it is now, into a repository with one commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    results = ("metrics/", "plots/", "dvc.lock")
    for name in listed.split("\0"):
        if name and not name.startswith(results) and (TOP / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, target / name)
    project = Project(target)
    project.git("init", "-q", "-b", "main")
    project.git("config", "user.name", "Tests")
    project.git("config", "user.email", "tests@example.org")
    project.commit("the project without results")
    return project


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that ``make`` filled, once for all processes among which tests are divided."""
    common = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    folder, done = common / name, common / f"{name}.done"
    with FileLock(common / f"{name}.lock"):
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a ``python`` that starts at once."""
    with warm_python(tmp_path_factory.mktemp("warm")) as folder:
        yield folder


@pytest.fixture(scope="session")
def small_project(tmp_path_factory: pytest.TempPathFactory, warm: Path) -> Project:
    """The project with two cheap encoders on two tiny datasets: the real graph, reproduced and committed.

    Every stage is run once by Python as it is; all else, and what tests run in it, starts faster.
    """
    folder = once(tmp_path_factory, "small", lambda folder: make_small_project(folder / "project", warm))
    return Project(folder / "project", warm)


def make_small_project(target: Path, warm: Path) -> None:
    """Make what :func:`small_project` describes."""
    project = copy_of_the_project(target)
    project.edit("conf/dataset/digits.yaml", per_class=4)
    project.edit("conf/dataset/photo_views.yaml", views=2, side=48)
    project.edit("conf/gallery.yaml", queries=2)
    # What no test comes back to: DVC's run-cache would give it the results of this.
    project.edit("params.yaml", encoders=["raw_pixels"], datasets=["photo_views"], encoder="raw_pixels")
    project.repro()
    project.edit("params.yaml", encoders=["raw_pixels", "color_histogram"], datasets=["digits", "photo_views"])
    Project(target, warm).repro()
    project.commit("reproduced")


@pytest.fixture(scope="session")
def digits_project(small_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """``small_project`` without its second dataset: half as much to run again, where one is enough to see it."""
    folder = once(tmp_path_factory, "digits", lambda folder: make_digits_project(small_project, folder / "project"))
    return Project(folder / "project", small_project.bin)


def make_digits_project(small_project: Project, target: Path) -> None:
    """Make what :func:`digits_project` describes."""
    project = small_project.copy(target)
    project.edit("params.yaml", datasets=["digits"])
    project.repro()
    project.commit("digits alone")


@pytest.fixture
def project(small_project: Project, tmp_path: Path) -> Project:
    """A copy of ``small_project`` for one test to change."""
    return small_project.copy(tmp_path / "project")


@pytest.fixture
def on_digits(digits_project: Project, tmp_path: Path) -> Project:
    """A copy of ``digits_project`` for one test to change."""
    return digits_project.copy(tmp_path / "project")


@dataclass
class Web:
    """A file server on this machine that stands in for the hosts of weights and images.

    Attributes:
        url: its base.
        files: what it has, by path.
        tags: whether it sends ETags.
        cut_after: for the next answers, after how many bytes the connection breaks off.
        gated: repositories of the hub that ask for a token.
        requests: the headers of every request for a file so far.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    tags: bool = True
    cut_after: list[int] = field(default_factory=list)
    gated: set[str] = field(default_factory=set)
    requests: list[dict[str, str]] = field(default_factory=list)

    def commit_of(self, repository: str) -> str:
        """Return the commit of a repository of the hub: another one for other files."""
        own = sorted((path, content) for path, content in self.files.items() if path.startswith(f"/{repository}/"))
        return hashlib.sha1(repr(own).encode()).hexdigest()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if request.command == "GET":
            self.requests.append(dict(request.headers))
        repository, of_hub, rest = request.path[1:].partition("/resolve/")
        content = self.files.get(request.path)
        if repository in self.gated and "Authorization" not in request.headers:
            self.refuse(request, 401, "GatedRepo")
            return
        if content is None:
            known = any(path.startswith(f"/{repository}/") for path in self.files)
            self.refuse(request, 404, "EntryNotFound" if known else "RepoNotFound")
            return
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        begin = 0
        if "Range" in request.headers and request.headers.get("If-Range", tag) == tag:
            begin = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
        if begin >= len(content):
            request.send_error(416)
            return
        request.send_response(206 if begin else 200)
        if begin:
            request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        if self.tags:
            request.send_header("ETag", tag)
        if of_hub:
            revision = rest.partition("/")[0]
            commit = revision if re.fullmatch("[0-9a-f]{40}", revision) else self.commit_of(repository)
            request.send_header("X-Repo-Commit", commit)
        request.send_header("Content-Length", str(len(content) - begin))
        request.end_headers()
        if request.command == "HEAD":
            return
        end = begin + self.cut_after.pop(0) if self.cut_after else len(content)
        request.wfile.write(content[begin:end])

    def refuse(self, request: BaseHTTPRequestHandler, status: int, reason: str) -> None:
        """Answer as the hub does to what it does not give."""
        request.send_response(status)
        request.send_header("X-Error-Code", reason)
        request.send_header("Content-Length", "0")
        request.end_headers()


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Yield the address of a server on this machine that answers GET and HEAD."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


@pytest.fixture
def web() -> Iterator[Web]:
    """A running file server."""
    served = Web()
    with answering(served.answer) as served.url:
        yield served


# What runs `pipeline.score`: Python as it is, or where a module of tests says so, one that starts at once.
SCORING = [sys.executable]


@pytest.fixture(scope="module")
def fast_scoring(warm: Path) -> Iterator[None]:
    """Let :func:`score_by_command` start at once."""
    SCORING[:] = [str(warm / "python")]
    yield
    SCORING[:] = [sys.executable]


def score_by_command(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run ``pipeline.score`` in a folder."""
    return subprocess.run(
        [*SCORING, "-m", "pipeline.score", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the hosts': checkpoints in the published formats, with weights made up here."""
    from tests.official import FILES

    def make_all(folder: Path) -> None:
        for address, make in FILES.values():
            path = folder / address.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)

    return once(tmp_path_factory, "official", make_all)
