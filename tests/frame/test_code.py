"""What a command is made of: which edits of the code count, and which do not."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.encoders.made_of import code_of
from pipeline.encoders.sources import SOURCES
from pipeline.frame.code import Code, digest_of_code, without_remarks
from pipeline.retrieval.errors import RetrievalError
from tests.conftest import TOP

SOURCE = '''"""What it is."""

import os  # for its separator

# A remark.
LIMIT = 3  # items


class One:
    """A class."""

    name = "a # b"

    def method(self):
        r"""Says
        what it does."""
        return f"{self.name}#"  # said


def empty():
    """Nothing."""
'''


def test_what_is_left_of_a_module() -> None:
    assert without_remarks(SOURCE).split("\n") == [
        "", "import os", "", "LIMIT = 3", "", "", "class One:", "", '    name = "a # b"', "", "    def method(self):",
        '        return f"{self.name}#"', "", "", "def empty():", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""What it is."""', '"""What it\n\nmay be."""'),
        ("# A remark.\n", ""),
        ("# A remark.\n", "# A remark,\n# and another.\n"),
        ("  # items", ""),
        ("Says\n        what it does.", "Says."),
        ('"""Nothing."""', '"""Nothing."""  # really'),
    ],
)
def test_remarks_do_not_count(tmp_path: Path, old: str, new: str) -> None:
    assert SOURCE.count(old) == 1
    (tmp_path / "a.py").write_text(SOURCE)
    (tmp_path / "b.py").write_text(SOURCE.replace(old, new))
    assert digest_of_code(tmp_path / "a.py") == digest_of_code(tmp_path / "b.py")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("a # b", "a # c"),  # in a string
        ('}#"', '}"'),
        ("import os  # for", "import sys  # for"),
        ('"""Nothing."""', 'return """Nothing."""'),
        ('name = "a # b"', '"""A name."""; name = "a # b"'),  # no docstring: something stands before it on its line
        ("        return f", "        pass\n        return f"),
    ],
)
def test_everything_else_does(tmp_path: Path, old: str, new: str) -> None:
    assert SOURCE.count(old) == 1
    (tmp_path / "a.py").write_text(SOURCE)
    (tmp_path / "b.py").write_text(SOURCE.replace(old, new))
    assert digest_of_code(tmp_path / "a.py") != digest_of_code(tmp_path / "b.py")


def test_blank_lines_inside_a_string_count(tmp_path: Path) -> None:
    for name, text in (("a", "x = '''a\n\nb'''\n"), ("b", "x = '''a\nb'''\n"), ("c", "x = '''a\n# b\n'''\n")):
        (tmp_path / f"{name}.py").write_text(text)
    assert len({digest_of_code(tmp_path / f"{name}.py") for name in "abc"}) == 3


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=20))
def test_no_comment_counts(remark: str) -> None:
    assert without_remarks(f"x = 1  # {remark}\ny = 2\n") == "x = 1\ny = 2\n"


def test_the_modules_around_and_behind_a_module() -> None:
    code = Code(TOP)
    found = list(code.behind(["pipeline.frame.runs"]))
    assert found == ["pipeline.frame", "pipeline.frame.runs"]
    assert code.has("pipeline.own") and not code.has("numpy")


def test_what_an_encoder_alone_is_made_of() -> None:
    assert code_of({"source": "hub"}) == {} and code_of({}) == {}
    assert SOURCES["timm"] in code_of({"source": "timm", "name": "resnet50"})
    made = code_of({"source": "python", "factory": "pipeline.own:build"})
    assert {"pipeline.own", SOURCES["python"]} <= set(made)
    assert set(code_of({"source": "python", "factory": "numpy.random:rand"})) == set(made) - {"pipeline.own"}


def test_a_folder_that_is_no_package(tmp_path: Path) -> None:
    shutil.copytree(TOP / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pipeline/own/nets").mkdir()
    (tmp_path / "pipeline/own/nets/mine.py").write_text("")
    with pytest.raises(RetrievalError, match=r"own/nets has no __init__\.py: add an empty one"):
        Code(tmp_path)


def test_a_module_by_its_encoding(tmp_path: Path) -> None:
    for number, data in enumerate((b"x = 1\n", b"\xef\xbb\xbfx = 1\n", b"x = 1  # \xc3\xa9\n")):
        (tmp_path / f"{number}.py").write_bytes(data)
    assert len({digest_of_code(tmp_path / f"{number}.py") for number in range(3)}) == 1
    (tmp_path / "latin.py").write_bytes(b"# coding: latin-1\nx = '\xe9'\n")
    digest_of_code(tmp_path / "latin.py")
    for wrong in (b"x = '\xe9'\n", b"x = (\n", b"def :\n"):
        (tmp_path / "wrong.py").write_bytes(wrong)
        with pytest.raises(RetrievalError, match=r"wrong\.py is no Python that can be read here") as caught:
            digest_of_code(tmp_path / "wrong.py")
        assert "\n" not in str(caught.value)


def test_a_module_that_is_no_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package").mkdir()
    (tmp_path / "broken_package/__init__.py").write_text("")
    (tmp_path / "broken_package/wrong.py").write_text("def (:\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("pipeline.frame.code.PACKAGE", "broken_package")
    with pytest.raises(RetrievalError, match=r"a module of broken_package cannot be read: .*wrong\.py") as caught:
        Code(tmp_path)
    assert "\n" not in str(caught.value)
