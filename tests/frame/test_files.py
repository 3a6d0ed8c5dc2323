"""Files that appear whole, and what is no file."""

import os
import socket

import pytest

from pipeline.frame.files import regular_file
from pipeline.retrieval.errors import RetrievalError, shown


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "device", "loop", "link to a pipe"])
def test_what_is_no_file_is_refused_at_once_for_what_it_is(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    path = tmp_path / "it"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("it")
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to("it")
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe")
    said = {"pipe": "a named pipe", "link to a pipe": "a named pipe", "loop": "a link that leads back to itself"}
    with pytest.raises(RetrievalError, match=f"{path} is {said.get(kind, f'a {kind}')}"):
        regular_file(path)


def test_a_file_and_a_link_to_one_are_files_and_nothing_is_what_opening_it_says(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.touch()
    link.symlink_to(file)
    regular_file(file)
    regular_file(link)
    with pytest.raises(FileNotFoundError):
        regular_file(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["a.png", "two words.png", "Füße", "犬/1.jpg", "'quoted'", "a\\b"])
def test_a_name_that_can_be_found_by_what_one_sees_is_shown_as_it_is(name):
    assert shown(name) == name


@pytest.mark.parametrize(
    "name", ["a\n", "a\rb", "a\tb", "a  b", " a", "a ", "", "\x1b[2J", "a\udcff", "a\u200b", "a\xa0b", "\u202ea"]
)
def test_any_other_is_shown_as_python_writes_it(name):
    assert shown(name) == repr(name)
    assert shown(name).isprintable()
