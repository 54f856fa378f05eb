"""What README.md shows works as it is printed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from headpose_fast.cli import _parser
from headpose_fast.sample import sample_database

README = (ROOT / "README.md").read_text()


@pytest.mark.full
def test_the_python_example_runs_and_prints_what_it_says(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "HeadPoseImageDatabase.tar.gz").symlink_to(sample_database())
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert printed[0].startswith("1 -90 0 FaceBox(")
    assert printed[1] == "(2, 8, 3, 84, 84)"
    assert "# (2, 8, 3, 84, 84)" in example
    assert printed[2] == "(4464, 3, 84, 84) [-1.  0.]"
    (tmp_path / "HeadPoseData_trn_test_x2_py3.pkl").unlink()


def test_ci_runs_the_command_that_is_printed() -> None:
    assert "\n    python3 tests/check.py\n" in README
    assert "\nexec python3 tests/check.py\n" in (ROOT / ".ci" / "run").read_text()


def test_the_commands_that_are_printed_are_commands() -> None:
    commands = re.findall(r"python -m headpose_fast (--.*)", README)
    assert len(commands) == 2
    for command in commands:
        _parser().parse_args(shlex.split(command))


def test_the_synopsis_names_every_option() -> None:
    synopsis = README.split("python -m headpose_fast [")[1].split("\n\n")[0]
    options = {action.option_strings[-1] for action in _parser()._actions}
    assert set(re.findall(r"--[a-z-]+", "[" + synopsis)) == options - {"--help", "--version"}
