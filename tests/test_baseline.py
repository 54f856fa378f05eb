"""The program of the baseline learns, and says the same each time; its page is what it writes."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from conftest import ROOT

from headpose_fast.sources.sample import sample_database
from headpose_fast.training import PROTOCOLS

pytest.importorskip("torch", reason="PyTorch is not installed: pip install .[torch]")

PROGRAM = ROOT / "examples" / "baseline.py"
PAGE = (ROOT / "docs" / "baseline.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give three people of the sample database, so that seconds are enough."""
    path = tmp_path_factory.mktemp("heads") / "heads.tar"
    with tarfile.open(sample_database()) as whole, tarfile.open(path, "w") as few:
        for member in whole:
            if re.match("Person0[345]/.", member.name):
                few.addfile(member, whole.extractfile(member))
    return path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def rows(page: str, width: int) -> list[list[str]]:
    """The cells of the table of so many columns, by row, without its head."""
    cells = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return [row for row in cells if len(row) == width]


def prose(page: str) -> str:
    """What a page says, without figures and what it was made with."""
    text = page[: page.index("The database has")]
    return re.sub(r"^\|.*\n|^    python .*\n|\d", "", text, flags=re.MULTILINE)


def test_it_learns_and_says_the_same_in_any_order(
    heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", str(tmp_path / "cache"))
    pages = []
    for protocols in ("deeplens,known", "known,deeplens"):
        options = ("--protocols", protocols, "--epochs", "6")
        done = run("--input", heads, *options, "--output", tmp_path / "page.md")
        assert done.returncode == 0, done.stderr
        pages.append((tmp_path / "page.md").read_text(encoding="utf-8"))
        assert f"\n    python examples/baseline.py {' '.join(options)}\n" in pages[-1]
    assert sorted(rows(pages[0], 9)) == sorted(rows(pages[1], 9))
    folds = sorted(rows(pages[0], 10))
    assert folds == sorted(rows(pages[1], 10))
    assert [fold[:3] for fold in folds] == [
        ["`deeplens`", "372", "186"],
        ["`known:1`", "279", "279"],
        ["`known:2`", "279", "279"],
    ]
    # The constant guess is straight ahead; a person who was not seen is far better known than so.
    assert float(folds[0][-1]) == pytest.approx((31.29 + 47.42) / 2, abs=0.01)
    assert float(folds[0][5]) < 0.6 * float(folds[0][-1])
    assert prose(pages[0]) == prose(PAGE)


def test_the_page_is_of_all_folds_and_better_than_the_constant_guess() -> None:
    assert "\n    python examples/baseline.py\n" in PAGE
    folds = rows(PAGE, 10)
    assert len(folds) == 1 + 2 + 15 + 5
    assert all(float(fold[5]) < 0.5 * float(fold[-1]) for fold in folds)
    sizes = [[int(count.replace(",", "")) for count in fold[1:3]] for fold in folds]
    assert all(trained_with + tested_with == 2790 for trained_with, tested_with in sizes)
    named = [row[0].strip("`") for row in rows(PAGE, 9) if row[2] == "network"]
    assert named == list(PROTOCOLS)


@pytest.mark.parametrize("wrong", [("--protocols", "deeplens,other"), ("--epochs", "0")])
def test_wrong_usage_is_told(wrong: tuple[str, str]) -> None:
    done = run(*wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert wrong[1] in done.stderr
