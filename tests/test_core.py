"""The native module against its stub, and what importing the package brings in."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest
from conftest import ROOT

import headpose_fast
from headpose_fast import _core


def test_the_stub_and_the_module_agree() -> None:
    stub = ast.parse((ROOT / "python" / "headpose_fast" / "_core.pyi").read_text())
    functions = {node.name: node for node in stub.body if isinstance(node, ast.FunctionDef)}
    variables = {
        node.target.id
        for node in stub.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    there = {name for name in dir(_core) if name == "__version__" or not name.startswith("__")}
    assert there == set(functions) | variables
    for name, node in functions.items():
        assert list(inspect.signature(getattr(_core, name)).parameters) == [
            argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)
        ]


@pytest.mark.parametrize("module", ["boto3", "botocore", "PIL", "argparse", "numpy"])
def test_importing_the_package_does_not_import(module: str) -> None:
    code = f"import sys, headpose_fast; sys.exit({module!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", ["boto3", "botocore", "PIL"])
def test_using_the_package_does_not_import(module: str) -> None:
    code = f"import sys; from headpose_fast import *; prepare; sys.exit({module!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_type_checkers_find_the_public_names_where_they_are() -> None:
    stub = ast.parse((ROOT / "python" / "headpose_fast" / "__init__.pyi").read_text())
    found = {
        name.asname: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    homes = vars(headpose_fast)["_HOME"].items()
    assert found == {name: f"headpose_fast.{home}" for name, home in homes}
    for name in headpose_fast.__all__:
        defined = getattr(getattr(headpose_fast, name), "__module__", None)
        assert defined in (None, found[name])


def test_the_public_names_are_there() -> None:
    assert sorted(vars(headpose_fast)["_HOME"]) == sorted(headpose_fast.__all__)
    assert set(headpose_fast.__all__) <= set(dir(headpose_fast))
    for name in headpose_fast.__all__:
        assert getattr(headpose_fast, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        headpose_fast.nonsense  # type: ignore[attr-defined] # noqa: B018
