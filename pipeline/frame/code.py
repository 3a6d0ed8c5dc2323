"""What a command is made of: the modules of this project that it imports, each with a digest of its code."""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterable
from pathlib import Path

import grimp
from grimp.exceptions import SourceSyntaxError

from pipeline.retrieval.errors import RetrievalError

PACKAGE = "pipeline"
TOP = Path(__file__).resolve().parents[2]
DIGITS = 16  # of a digest, hexadecimal: enough to tell versions of a file apart


class Code:
    """The modules of this project and who imports whom, also where an import stands in a function."""

    def __init__(self, top: Path = TOP) -> None:
        """Read the imports of all modules.

        Args:
            top: the folder that has the package, which must be importable.

        Raises:
            RetrievalError: a module is not Python; a folder with modules is no package.
        """
        for path in sorted((top / PACKAGE).rglob("*.py")):
            if not (path.parent / "__init__.py").is_file():
                raise RetrievalError(f"{path.parent} has no __init__.py: add an empty one, or edits in it go unseen")
        self._top = top
        self._digests: dict[str, str] = {}
        try:
            self._graph = grimp.build_graph(PACKAGE, cache_dir=None)
        except SourceSyntaxError as error:
            raise RetrievalError(f"a module of {PACKAGE} cannot be read: {' '.join(str(error).split())}") from None

    def below(self, package: str) -> list[str]:
        """Return the modules of a package by their dotted names, itself included."""
        return sorted(name for name in self._graph.modules if name == package or name.startswith(f"{package}."))

    def has(self, module: str) -> bool:
        """Return whether a module, by its dotted name, is one of this project."""
        return module in self._graph.modules

    def behind(self, roots: Iterable[str]) -> dict[str, str]:
        """Return the modules that run when ``roots`` are imported and used, and the digest of each, in their order.

        A package is run before what is in it. The one around all, :data:`PACKAGE`, does nothing that a command could
        see and is left out: an edit of it would make every feature anew.
        """
        found: set[str] = set()
        waiting = list(roots)
        while waiting:
            module = waiting.pop()
            if module in found or module == PACKAGE:
                continue
            found.add(module)
            waiting.append(module.rpartition(".")[0])
            waiting.extend(self._graph.find_modules_directly_imported_by(module))
        return {module: self._digest(module) for module in sorted(found)}

    def _digest(self, module: str) -> str:
        if module not in self._digests:  # most are behind many commands
            self._digests[module] = digest_of_code(self._file(module))
        return self._digests[module]

    def _file(self, module: str) -> Path:
        path = self._top.joinpath(*module.split("."))
        inner = path / "__init__.py"
        return inner if inner.is_file() else path.with_suffix(".py")


def digest_of_code(path: Path) -> str:
    """Return a digest of what a module can do: of its text without comments and docstrings.

    Raises:
        RetrievalError: it cannot be read as Python.
    """
    try:
        with tokenize.open(path) as file:  # in the encoding that it declares
            code = without_remarks(file.read())
    except (SyntaxError, UnicodeDecodeError, tokenize.TokenError) as error:
        raise RetrievalError(f"{path} is no Python that can be read here ({' '.join(str(error).split())})") from None
    return hashlib.sha256(code.encode()).hexdigest()[:DIGITS]


def without_remarks(source: str) -> str:
    """Return Python source without its comments and docstrings, and without lines that had nothing else."""
    lines = source.split("\n")  # as Python counts them: for splitlines a form feed ends one too
    kept: list[str | None] = list(lines)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            kept[row - 1] = lines[row - 1][:column].rstrip() or None
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and alone(first, lines):
                assert first.end_lineno is not None
                kept[first.lineno - 1 : first.end_lineno] = [None] * (first.end_lineno - first.lineno + 1)
    return "\n".join(line for line in kept if line is not None)


def alone(statement: ast.Expr, lines: list[str]) -> bool:
    """Return whether a statement is a string with nothing else on its lines, but perhaps a comment."""
    if not isinstance(statement.value, ast.Constant) or not isinstance(statement.value.value, str):
        return False
    assert statement.end_lineno is not None and statement.end_col_offset is not None
    before = lines[statement.lineno - 1].encode()[: statement.col_offset]
    after = lines[statement.end_lineno - 1].encode()[statement.end_col_offset :].strip()
    return not before.strip() and (not after or after.startswith(b"#"))
