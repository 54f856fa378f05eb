"""Bars: on a terminal and in a notebook, and nowhere else."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from conftest import SMALL_DATABASE, command

JOB = ("--allow-incomplete", "--test-persons", "5", "--input", str(SMALL_DATABASE))
NAME = "HeadPoseData_trn_test_x15_py2.pkl"


def on_a_terminal(*arguments: str, cwd: Path, columns: int) -> tuple[str, str]:
    """Run the command with stderr on a terminal; return what is on stdout and on the terminal."""
    import fcntl
    import pty
    import termios

    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    run = subprocess.Popen(
        [sys.executable, "-m", "headpose_fast", *JOB, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:  # Linux's end of it.
            break
        if not data:
            break
        shown += data
    os.close(ours)
    printed, _ = run.communicate(timeout=60)
    assert run.returncode == 0, shown.decode()
    return printed, shown.decode().replace("\r\n", "\n")


@pytest.mark.skipif(os.name != "posix", reason="terminals are those of POSIX")
def test_a_terminal_shows_bars_that_fit_and_then_the_summary(tmp_path: Path) -> None:
    printed, shown = on_a_terminal(cwd=tmp_path, columns=60)
    assert printed == f"{NAME}\n"
    *bars, end = shown.split("\r")
    last_bar, *summary = end.splitlines()
    assert last_bar.startswith("rendering: 100%")
    assert all(len(bar) <= 60 for bar in (*bars, last_bar))
    assert summary[2].startswith(f"wrote {NAME}")


@pytest.mark.skipif(os.name != "posix", reason="terminals are those of POSIX")
def test_a_quiet_terminal_shows_nothing(tmp_path: Path) -> None:
    assert on_a_terminal("--quiet", cwd=tmp_path, columns=60) == (f"{NAME}\n", "")


def test_a_pipe_gets_the_summary_alone(tmp_path: Path) -> None:
    done = command(*JOB, cwd=tmp_path)
    assert "rendering" not in done.stderr
    assert len(done.stderr.splitlines()) == 4


def test_a_program_that_imports_a_kernel_is_no_notebook(tmp_path: Path) -> None:
    program = (
        "import sys, IPython, ipykernel.kernelapp\n"
        "from headpose_fast.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *JOB], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "rendering" not in done.stderr


def test_a_notebook_shows_a_bar_and_no_warning(tmp_path: Path) -> None:
    source = (
        "import headpose_fast\n"
        f"headpose_fast.prepare({str(SMALL_DATABASE)!r}, test_persons=[5], allow_incomplete=True,"
        " progress=True).seed"
    )
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    notebook.cells = [nbformat.v4.new_code_cell(source)]  # type: ignore[no-untyped-call]
    nbclient.NotebookClient(
        notebook, timeout=60, resources={"metadata": {"path": tmp_path}}
    ).execute()
    *outputs, value = notebook.cells[0].outputs
    assert value.data["text/plain"] == "0"
    shown = "".join(output.get("text") or str(output.data) for output in outputs)
    assert "rendering" in shown
    assert "Warning" not in shown
