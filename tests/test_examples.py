"""The examples work: the notebook from its first cell to its last."""

from __future__ import annotations

import ast
from pathlib import Path

import nbclient
import nbformat
import pytest
from conftest import ROOT


def read_notebook() -> nbformat.NotebookNode:
    path = ROOT / "examples" / "head_pose.ipynb"
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = read_notebook().cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)


def test_the_notebook_learns_the_poses_of_unseen_people(tmp_path: Path) -> None:
    notebook = read_notebook()
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": tmp_path}}
    ).execute()
    (tmp_path / "head_pose.pkl").unlink()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", ()) for output in outputs) == 1
    results = ast.literal_eval(outputs[-1].data["text/plain"])
    tilt, pan = results["model"]
    assert tilt < 16
    assert pan < 16
    assert results["directions"] > 0.75
    # Always the mean of the poses, which is straight ahead.
    assert results["constant"] == pytest.approx([31.3, 47.4], abs=0.1)
    for shuffled, constant in zip(results["shuffled"], results["constant"], strict=True):
        assert 0.9 * constant < shuffled < 1.3 * constant
