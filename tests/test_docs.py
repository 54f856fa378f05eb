"""What README.md and the other pages show works as it is printed.

Every command in a code block that starts with `python -m headpose_fast` is run, a page's in their
order in one folder, and so are the pages' Python examples. The small database stands in for the
real one and for the sample. A synopsis, which has brackets, is not run; nor is a block below the
line `<!-- not run: WHY -->`, but its commands are parsed.
"""

from __future__ import annotations

import gzip
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT, SMALL_DATABASE, command

from headpose_fast.cli.main import COMMANDS
from headpose_fast.cli.prepare import parser as _parser
from headpose_fast.sources.cache import SAMPLE_NAME
from headpose_fast.sources.sample import sample_database

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for pattern in ("*.md", "docs/*.md", "examples/*.md")
    for path in sorted(ROOT.glob(pattern))
}

_BLOCK = re.compile(
    r"(?P<not_run>^<!-- not run: [^\n]+ -->\n\n?)?"
    r"(?:^```(?P<language>\w*)\n(?P<fenced>.*?)^```$"
    r"|(?<=\n\n)(?P<indented>^ {4}[^\n]*\n(?:\n* {4}[^\n]*\n)*))",
    re.DOTALL | re.MULTILINE,
)
_COMMAND = re.compile(r"^ *python -m headpose_fast\b(?P<arguments>[^\[\n]*)$", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


class Step(NamedTuple):
    """Something that a page shows: a command's arguments, or a program in Python."""

    arguments: list[str]
    python: str
    run: bool


def steps(page: str) -> list[Step]:
    """List what a page shows, in its order."""
    found = []
    for block in _BLOCK.finditer(PAGES[page]):
        run = block["not_run"] is None
        if block["language"] == "python":
            # README's needs all photographs and is run by a test of its own.
            found.append(Step([], block["fenced"], run and page != "README.md"))
            continue
        text = (block["fenced"] or block["indented"] or "").replace("\\\n", " ")
        commands = [shlex.split(arguments, comments=True) for arguments in _COMMAND.findall(text)]
        found.extend(Step(arguments, "", run) for arguments in commands)
    return found


def is_job(arguments: list[str]) -> bool:
    """Whether arguments are those of the job itself, and of no subcommand."""
    return not arguments or arguments[0] not in COMMANDS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with all that the pages suppose to be there."""
    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", str(cache))
    shutil.copy(SMALL_DATABASE, cache / SAMPLE_NAME)
    work = tmp_path / "work"
    work.mkdir()
    small = SMALL_DATABASE.read_bytes()
    (work / "HeadPoseImageDatabase.tar.gz").write_bytes(gzip.compress(small, 1))
    # A file of the old script with the seed that old-script.md gives it.
    old = ["--seed", "7", "--output", "old.pkl"]
    assert command(*old, *_stand_in(old), cwd=work).returncode == 0
    return work


def _stand_in(arguments: list[str]) -> list[str]:
    """Return the options with which a job, an export or a table takes the small database."""
    if not is_job(arguments) and arguments[0] not in ("export", "table"):
        return []
    named = {"--input", "--sample"}.intersection(arguments)
    return ["--allow-incomplete", *(() if named else ("--input", "HeadPoseImageDatabase.tar.gz"))]


@pytest.mark.parametrize("page", [page for page in PAGES if any(s.run for s in steps(page))])
def test_what_a_page_shows_can_be_run(page: str, folder: Path) -> None:
    for arguments, python, run in steps(page):
        if not run:
            continue
        if python:
            done = subprocess.run(
                [sys.executable, "-c", python], cwd=folder, capture_output=True, text=True
            )
        else:
            done = command(*arguments, *_stand_in(arguments), cwd=folder)
        assert done.returncode == 0, f"{python or shlex.join(arguments)}\n{done.stderr}"
        if page == "docs/old-script.md" and python:
            assert [line.split()[1] for line in done.stdout.splitlines()] == ["True"] * 4


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_a_command(page: str) -> None:
    for arguments, python, _ in steps(page):
        if not python:
            parser = _parser if is_job(arguments) else COMMANDS[arguments[0]].parser
            parser().parse_args(arguments[not is_job(arguments) :])


def test_commands_and_examples_are_found() -> None:
    assert steps("README.md")[0] == Step(
        shlex.split("--num-data-aug 15 --aspect-ratio 1"), "", True
    )
    assert [bool(step.python) for step in steps("docs/old-script.md")] == [False] * 3 + [True]


@pytest.mark.parametrize("page", ["docs/x.md", "README.md"])
def test_what_is_marked_is_not_run(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "Run\n\n    python -m headpose_fast --quiet  # a comment\n\n"
        "<!-- not run: it needs a network -->\n\n    python -m headpose_fast verify a \\\n"
        "        --quiet\n\n"
        "<!-- not run: it takes an hour -->\n```python\nlater()\n```\n\n```sh\n"
        "echo this is nothing\npython -m headpose_fast\n```\n```python\nnow()\n```\n"
    )
    monkeypatch.setitem(PAGES, page, text)
    assert steps(page) == [
        Step(["--quiet"], "", True),
        Step(["verify", "a", "--quiet"], "", False),
        Step([], "later()\n", False),
        Step([], "", True),
        Step([], "now()\n", page != "README.md"),
    ]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for path, heading in _LINK.findall(PAGES[page]):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), path
        if heading:
            titles = _HEADING.findall(target.read_text(encoding="utf-8"))
            assert heading in {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}


def test_readme_leads_to_every_page() -> None:
    linked = {path for path, _ in _LINK.findall(README)}
    assert {page for page in PAGES if page.startswith("docs/")} <= linked


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
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert "\n      - run: python3 tests/check.py\n" in workflow


def test_the_command_that_starts_it_all_is_a_command() -> None:
    (arguments,) = re.findall(r"\.venv/bin/python -m headpose_fast (--.*)", README)
    _parser().parse_args(shlex.split(arguments))


def test_the_synopsis_names_every_option_and_command() -> None:
    start = README.index("    python -m headpose_fast [")
    # What several commands share is named once.
    synopsis, shared = README[start : README.index("\n\n", start)].split("READING: ")
    _, *lines = synopsis.replace("[READING]", shared).split("python -m headpose_fast ")
    words = [line.split()[0] for line in lines]
    assert words[1:] == list(COMMANDS)
    for word, line in zip(words, lines, strict=True):
        parser = COMMANDS[word].parser if word in COMMANDS else _parser
        options = {
            action.option_strings[-1] for action in parser()._actions if action.option_strings
        }
        assert set(re.findall(r"--[a-z-]+", line)) == options - {"--help", "--version"}


def test_readme_has_the_figures_that_were_measured() -> None:
    figures = PAGES["docs/figures.md"].splitlines()
    start = README.index("| program |")
    table = README[start : README.index("\n\n", start)].splitlines()
    first = figures.index(table[0])
    assert figures[first : first + len(table)] == table
