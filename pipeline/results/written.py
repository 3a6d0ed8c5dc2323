"""By what the results at hand were written: the version of this project, and the commit that is checked out."""

import re
import subprocess
from contextlib import suppress
from pathlib import Path

VERSION = re.compile(r'^version = "([^"]+)"$', re.MULTILINE)
# What decides on results; what they are made of beside it, their own files say.
CODE = ("conf", "dvc.yaml", "params.yaml", "pipeline")


def written_by(top: Path) -> str:
    """Return in words the version of the project in a folder, the commit, its date, and whether code has changed since.

    What is not known is left out, as where the folder is no repository of its own.
    """
    version = None
    with suppress(OSError, UnicodeDecodeError):
        version = VERSION.search((top / "pyproject.toml").read_text(encoding="utf-8"))
    words = [f"retrieval-bench{f' {version[1]}' if version else ''}"]
    if git(top, "rev-parse", "--show-toplevel") == str(top.resolve()):
        commit = git(top, "log", "-1", "--format=%h of %cs")
        if commit:
            words.append(f"at commit {commit}")
            if git(top, "diff", "--name-only", "HEAD", "--", *CODE):
                words.append("with changes since")
    return " ".join(words)


def git(top: Path, *arguments: str) -> str:
    """Return what a command of Git prints, without the last line's end; nothing if it fails, or there is no Git."""
    with suppress(OSError):
        done = subprocess.run(["git", *arguments], cwd=top, capture_output=True, text=True, check=False)
        return "" if done.returncode else done.stdout.strip()
    return ""
