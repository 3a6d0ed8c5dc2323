"""What stands in the place of a file: what Git keeps instead of it, or a server sends."""

from pathlib import Path

from .regular import regular_file

HEAD = 512  # bytes, which are enough to tell
BEGINNINGS = {
    b"version https://git-lfs": "a Git LFS pointer in place of the file (run git lfs pull)",
    b"/annex/objects/": "a git-annex pointer in place of the file (run git annex get)",
    b"<!doctype html": "an HTML page, as a server sends in place of a file",
    b"<html": "an HTML page, as a server sends in place of a file",
    b"<?xml": "an XML text, as a server sends in place of a file",
    b"{": "a JSON text, as a server sends in place of a file",
}


def mistaken(head: bytes) -> str:
    """Return what a file is by its first bytes, if it is empty or holds none of its own content; else nothing.

    Args:
        head: the first ``HEAD`` bytes, or more, of a file that is no text.
    """
    if not head:
        return "empty (0 bytes)"
    if b"\0" in head[:HEAD]:  # no text: the length that begins safetensors can look like white space and a brace
        return ""
    start = head[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((what for beginning, what in BEGINNINGS.items() if start.startswith(beginning)), "")


def mistaken_at(path: Path) -> str:
    """Return what :func:`mistaken` does of the file at a path."""
    regular_file(path)
    with path.open("rb") as file:
        return mistaken(file.read(HEAD))
