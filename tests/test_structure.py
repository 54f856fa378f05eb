"""Functions and modules are short enough to be read at a glance, and rooms say what they own."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "python" / "headpose_fast"
MODULES = sorted(PACKAGE.rglob("*.py"))

_MOST_LINES_OF_CODE = 60
_MOST_LINES = 350

#: Tables of options.
_TABLES = {"parser"}

#: The heads of the sample database: one model, and the numbers it is made of.
_LONG = {"heads.py"}

#: Rooms that users import from: they have the names as the package has its own, on use.
_PUBLIC = {"training"}

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def lines_of_code(text: str) -> dict[str, int]:
    """Count the lines of each function: no empty ones, comments or docstrings."""
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    lines = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = node.body[0] if ast.get_docstring(node) is not None else None
            own = code.intersection(range(node.lineno, (node.end_lineno or 0) + 1))
            if docstring is not None:
                own -= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
            lines[node.name] = len(own)
    return lines


def test_lines_of_code_are_counted() -> None:
    text = 'def one(\n    a,\n):\n    """Do.\n\n    All.\n    """\n\n    # Why.\n    return a\n'
    assert lines_of_code(text) == {"one": 4}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_and_modules_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = lines_of_code(text).items()
    assert [name for name, n in lines if n > _MOST_LINES_OF_CODE and name not in _TABLES] == []
    assert len(text.splitlines()) <= _MOST_LINES or path.name in _LONG


@pytest.mark.parametrize("room", sorted({path.parent for path in MODULES} - {PACKAGE}))
def test_a_room_says_what_it_owns_and_what_it_may_import(room: Path) -> None:
    module = ast.parse((room / "__init__.py").read_text(encoding="utf-8"))
    docstring = ast.get_docstring(module) or ""
    if room.name not in _PUBLIC:
        assert len(module.body) == 1, "a room's __init__.py holds nothing but a docstring"
    assert "May import" in docstring
    assert "belong" in docstring or "new" in docstring
