"""What a command says when something is wrong: one line, exit code 2, and names as they are."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from omegaconf import DictConfig

from pipeline.frame import app as apps
from pipeline.frame.app import app, path_of, plain
from pipeline.frame.files import replacing_directory, replacing_file, write_text
from pipeline.frame.mistakes import quoted, value_of
from pipeline.frame.output import as_one_line, printable
from pipeline.frame.yamls import read_yaml
from pipeline.retrieval.errors import RetrievalError
from tests.conftest import TOP

# A command with the config of `score`, as `python -m` runs it.
COMMAND = """
from pipeline.frame.app import app, path_of, plain

@app("score", texts=("features", "labels"))
def main(config):
    {body}

main()
"""


def command(body: str, *arguments: str, **more: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", COMMAND.format(body=body), *arguments],
        cwd=TOP, text=True, encoding="utf-8", check=False, stderr=subprocess.PIPE, **more,
    )  # type: ignore[call-overload,no-any-return]  # fmt: skip


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command here, whose work is a function, and return its line of error."""

    def ran(work: Callable[[DictConfig], None], *arguments: str, name: str = "score") -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as ended:
            app(name, texts=("features", "labels"))(work)()
        assert ended.value.code == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("error: ") and said.err.endswith("\n")
        assert len(said.err.splitlines()) == 1
        return said.err.removeprefix("error: ").rstrip("\n")

    return ran


def no_work(config: DictConfig) -> None:
    raise AssertionError("what is wrong with a command line is said before the work")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["left_ou=3"], "unknown key 'left_ou': did you mean left_out? (all are in conf/score.yaml)"),
        (["ranking.step=3"], "unknown key 'ranking.step': did you mean ranking.steps or "),
        (["~memori"], "unknown key 'memori': did you mean memory or metric? (all are in conf/score.yaml)"),
        (["ranking=k_recipocal"], "unknown ranking 'k_recipocal': did you mean k_reciprocal? (all are in"),
        (["ranking=null"], "unknown ranking 'null': one of alpha_query_expansion, binary, "),
        (["F.npy"], "'F.npy' is no option: write key=value"),
        (["features=x=1.npy"], "'features=x=1.npy' cannot be read: as text it is 'features=\"x=1.npy\"'; a list is"),
        (["features=ü.npy"], "as text it is 'features=\"ü.npy\"'"),
        (["features=a,b"], "features=a,b names several: 'features=\"a,b\"' is one text"),
        (["features=1e5", "labels=l"], "features is 1e5, which is no text: give 'features=\"1e5\"' if"),
        (["features=f", "labels=False"], "labels is False, which is no text"),
        (["features=f", "ap=1"], "ap is 1, which is no text"),
        (["features=f", "similarity=null"], "similarity is null, which is no text"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate: see --hydra-help"),
        (["--config-dir", "nowhere"], "Additional config directory '"),
        (["--cfg", "nothing"], "argument --cfg/-c: invalid choice: 'nothing'"),
        (["left_ou=3", "--cfg", "job"], "unknown key 'left_ou': did you mean left_out?"),
    ],
)  # fmt: skip
def test_a_wrong_command_line(run: Callable[..., str], arguments: list[str], expected: str) -> None:
    assert expected in run(no_work, *arguments)


def test_names_that_are_missing(run: Callable[..., str]) -> None:
    assert "no encoder: give encoder=... with a name in conf/encoder: clip, " in run(no_work, name="weights")


@pytest.mark.parametrize(
    "value", ["a=b", "a'b", 'a"b', "a#b", "a(1)", "{a}", "[a", "é", "a,b", "a\\", 'a\\"b', "1", "null", " a"]
)
def test_what_is_to_be_typed_is_what_was_meant(value: str) -> None:
    typed = subprocess.run(
        ["sh", "-c", f"printf %s {quoted('key', value)}"], capture_output=True, text=True, check=True
    )
    assert value_of(typed.stdout) == value


def refusing(error: Exception) -> Callable[[DictConfig], None]:
    def work(config: DictConfig) -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RetrievalError("a  b\tc\x1b[2J\n\u202e\u2028é.png"), r"a  b\tc\x1b[2J\n\u202e\u2028é.png"),
        (RetrievalError("\udcff.png"), r"\udcff.png"),
        (PermissionError(errno.EACCES, "Permission denied", "a  b"), "a  b: Permission denied"),
        (OSError(errno.EXDEV, "Invalid link", "a", None, "b"), "a -> b: Invalid link"),
        (OSError(errno.EMFILE, "Too many open files"), "a temporary file or process: Too many open files"),
        (MemoryError("Unable to allocate 7. TiB"), "not enough memory (Unable to allocate 7. TiB)"),
        (
            BrokenProcessPool("terminated abruptly"),
            "a process that worked for this one was killed, by someone or for want of memory: run it again",
        ),
    ],
)
def test_what_is_wrong_is_one_line(run: Callable[..., str], error: Exception, expected: str) -> None:
    assert run(refusing(error), "features=f") == expected


@pytest.mark.parametrize(
    "error", [ValueError("v"), OSError("o"), OSError(errno.EBADF, "Bad file"), BrokenPipeError(32, "x")]
)
def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(sys, "argv", ["score", "features=f"])
    with pytest.raises(type(error)) as caught:
        app("score")(refusing(error))()
    assert caught.value is error


def test_an_open_file_that_takes_no_more_is_named(tmp_path: Path) -> None:
    target = tmp_path / "a.npy"
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError) as caught, replacing_file(target), full.open("wb", buffering=0) as file:
        file.write(b"1")
    assert (caught.value.filename, caught.value.errno) == (str(target), errno.ENOSPC)
    with pytest.raises(OSError) as caught, replacing_directory(target):
        raise OSError("8 requested and 3 written")  # as NumPy says it
    assert caught.value.filename == str(target) and "cannot be written whole (" in str(caught.value.strerror)
    with pytest.raises(FileExistsError) as caught:
        write_text(full / "a", "")
    assert caught.value.filename == str(full)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_text(tmp_path / "folder", "")
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "folder"), None)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_output_that_nobody_takes() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    gone = command("print('x' * 100_000)", "features=f", stdout=writing)
    os.close(writing)
    assert (gone.returncode, gone.stderr) == (141, "")
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        lost = command("print('x')", "features=f", stdout=full)
    assert (lost.returncode, lost.stderr) == (2, "error: standard output: No space left on device\n")


def test_letters_that_a_terminal_lacks() -> None:
    done = command(
        r"print('\u03b1\udcff'); import warnings; warnings.warn('\u03b1\n\x1b[2J')",
        "features=f",
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
    )
    assert (done.returncode, done.stdout) == (0, "\\u03b1\\udcff\n")
    assert r"UserWarning: \u03b1 \x1b[2J" in done.stderr and len(done.stderr.splitlines()) == 1


def test_printable_text_stays() -> None:
    text = "café  日本語 (1).png"
    assert printable(text) == text
    assert "\n" not in as_one_line("a\nb", UserWarning, "f.py", 3)[:-1]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: 1\nb: [", ", line 2: expected the node content"),
        (b"a: 1\nb: 2\na: 3", ", line 3: the key 'a' twice"),
        (b"a: {b: 1, c: 2, b: 3}", ", line 1: the key 'b' twice"),
        (b"a: 1\nb: \xe9", ", line 2: not UTF-8"),
        ("a: 1".encode("utf-16"), ", line 1: not UTF-8"),
        (b"a: &a {b: *a}", ": its aliases \\('\\*'\\) stand for more than"),
        (b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
            f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n".encode() for n in range(1, 30)
        ), ": its aliases \\('\\*'\\) stand for more than"),
        (b"[" * 5000, " nests too deep"),
        (b"a: \x1b", " is not YAML \\(unacceptable character"),
        (b"a: !!python/name:os.system", ", line 1: could not determine a constructor"),
    ],
)  # fmt: skip
def test_a_yaml_that_cannot_be_read(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(RetrievalError, match=f"^x{problem}") as caught:
        read_yaml(path, name="x")
    assert "\n" not in str(caught.value)


def test_a_yaml_may_begin_with_a_mark_and_repeat_by_alias(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: &a [1]\nb: *a\nc: {<<: {d: 1}, d: 2}\n")
    assert read_yaml(path, name="x") == {"a": [1], "b": [1], "c": {"d": 2}}


def test_a_damaged_config_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., str]) -> None:
    monkeypatch.setattr(apps, "CONF", tmp_path)
    (tmp_path / "score.yaml").write_text("features: 1\nlabels: 2\nfeatures: 3\n")
    assert run(no_work) == "conf/score.yaml, line 3: the key 'features' twice: mend the YAML there, or quote the text"


@pytest.mark.parametrize("value", ["7", "[a]", "{a: b}", "''", "true", "null", "1.5"])
def test_a_setting_of_a_yaml_that_is_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., str], value: str
) -> None:
    (tmp_path / "made.yaml").write_text(f"runs: {value}\n")
    monkeypatch.setattr(apps, "CONF", tmp_path)
    assert "runs is " in run(lambda config: print(path_of(config, "runs")), name="made")
    assert "other is None, which is no path" in run(lambda config: print(path_of(config, "other")), name="made")


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert path_of(DictConfig({"runs": "~/a.npy"}), "runs") == Path("/home/me/a.npy")
    with pytest.raises(RetrievalError, match="^~nobody-of-that-name/a: .* Write the path without '~'$"):
        path_of(DictConfig({"runs": "~nobody-of-that-name/a"}), "runs")


def test_help_needs_no_names(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["query", "--help"])
    app("query")(no_work)()
    said = capsys.readouterr().out
    assert "\nk: 10                 # how many nearest neighbours to show\n" in said and "encoder=???" in said


def test_settings_that_are_missing_or_no_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., str]
) -> None:
    (tmp_path / "made.yaml").write_text("page: [a]\nsheet: 3\n")
    monkeypatch.setattr(apps, "CONF", tmp_path)
    said = run(lambda config: print(plain(config)["grid"]), name="made")
    assert said == "'grid' is missing in conf/made.yaml, or what it names"
    for key, value in (("page", "['a']"), ("sheet", "3")):
        said = run(lambda config, key=key: print(plain(config[key])), name="made")
        assert said == f"{value} stands in conf/made.yaml, or for it, where a mapping is expected"


@pytest.mark.parametrize("damage", ["3.5\n", "- a\n", "defaults: 7\n", "defaults: [{encoder: 5}]\n", "? [a]\n: b\n"])
def test_whatever_hydra_raises_of_a_damaged_config_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., str], damage: str
) -> None:
    (tmp_path / "made.yaml").write_text(damage)
    monkeypatch.setattr(apps, "CONF", tmp_path)
    run(no_work, name="made")


def test_names_of_groups_are_one_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., str]) -> None:
    (tmp_path / "made.yaml").write_text("other_name: [a, b]\n")
    monkeypatch.setattr(apps, "CONF", tmp_path)
    assert run(no_work, name="made") == "other_name is ['a', 'b']: expected one name"
