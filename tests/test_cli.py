"""The command line: streams, exit statuses, usage."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL_DATABASE, command, members, write_tar

import headpose_fast

SMALL = ("--allow-incomplete", "--test-persons", "5", "--input", str(SMALL_DATABASE))


def test_stdout_carries_the_path_and_stderr_the_summary(tmp_path: Path) -> None:
    done = command(*SMALL, "--output", tmp_path / "a.pkl")
    assert done.returncode == 0
    assert done.stdout == f"{tmp_path / 'a.pkl'}\n"
    people = "8 photographs of 2 people: training on 1; testing on 5; no person is in both"
    assert people in done.stderr
    assert "60 train and 12 test samples of 84 x 84 pixels, seed 0" in done.stderr
    assert f"wrote {tmp_path / 'a.pkl'}: " in done.stderr
    assert "replaced" not in done.stderr
    assert "replaced" in command(*SMALL, "--output", tmp_path / "a.pkl").stderr


def test_json_is_all_that_stdout_carries(tmp_path: Path) -> None:
    split = ("--split", "known:2", "--allow-incomplete", "--input", SMALL_DATABASE)
    done = command(*split, "--size", "32x32", "--json", "--output", tmp_path)
    assert "training on series 1; testing on series 2; no series is in both" in done.stderr
    told = json.loads(done.stdout)
    path = tmp_path / "HeadPoseData_trn_test_x15_known2_32x32_py2.pkl"
    assert (told["path"], told["size"]) == (str(path), path.stat().st_size)
    assert told["shapes"] == [[60, 3, 32, 32], [12, 3, 32, 32], [60, 2], [12, 2]]
    assert (told["train_series"], told["test_series"], told["seed"]) == ([1], [2], 0)
    assert told["digest"] == headpose_fast.open_database(SMALL_DATABASE).digest
    told = json.loads(command("verify", path, "--json").stdout)
    assert told == {"path": str(path), "samples": 72, "rendered": False}


def test_quiet_says_nothing_but_the_path(tmp_path: Path) -> None:
    done = command(*SMALL, "--quiet", "--output", tmp_path)
    assert done.stdout == f"{tmp_path / 'HeadPoseData_trn_test_x15_py2.pkl'}\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    "usage",
    [
        "--num-data-aug 0",
        "--num-data-aug 1.5",
        "--num-data-aug 10000",
        "--num-data-aug-val -1",
        "--aspect-ratio 2",
        "--seed 4294967296",
        "--seed -1",
        "--seed x",
        f"--seed {5000 * '9'}",
        "--test-persons 5,,6",
        "--test-persons 5;6",
        "--test-persons 0",
        "--test-persons 2147483648",
        "--test-persons 5,5",
        "--pickle 3",
        "--workers 0",
        "--split known:3",
        "--split unknown:x",
        "--split known:1 --test-persons 5",
        "--size 224",
        "--size 224x225",
        "--size 96x54",
        "--size 84x84 --aspect-ratio 0",
        "--size 0x0",
        "--size 999x999",
        "--input a --sample",
        "--input=",
        "--output=",
        "--nonsense",
        "inspect a.pkl --input b",
        "inspect a.pkl --picture b.jpg",
        "inspect a.pkl --picture b.png --index b.png",
        "verify a.pkl --workers 0",
        "database.tar",
    ],
)
def test_wrong_usage_exits_with_2(usage: str) -> None:
    done = command(*usage.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert "usage: headpose-fast" in done.stderr
    assert "invalid" not in done.stderr.replace("invalid choice", "")


def test_a_failure_exits_with_1_and_one_line_a_problem(tmp_path: Path) -> None:
    done = command("--input", tmp_path / "missing.tar")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("headpose-fast: error: ")
    assert "missing.tar" in line

    files = members(SMALL_DATABASE)
    for name in list(files)[1::6]:
        files[name] = b"nonsense"
    bad = write_tar(tmp_path / "bad.tar", files)
    done = command(*SMALL[:-1], bad, "--output", tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) > 1
    assert all(line.startswith("headpose-fast: error: Person0") for line in lines)


@pytest.mark.skipif(sys.platform != "linux", reason="limits file sizes as Linux does")
def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    target = tmp_path / "a.pkl"
    script = f"ulimit -f 1000; exec {sys.executable} -m headpose_fast {' '.join(SMALL)}"
    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; {script} --output {target}"], capture_output=True, text=True
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("headpose-fast: error: ")
    assert str(target) in line
    assert list(tmp_path.iterdir()) == []


def test_version_and_script() -> None:
    assert command("--version").stdout == f"headpose-fast {headpose_fast.__version__}\n"
    assert importlib.metadata.version("headpose-fast") == headpose_fast.__version__
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="headpose-fast")
    assert script.value == "headpose_fast.__main__:main"


def test_help_names_every_option_and_its_default() -> None:
    text = command("--help").stdout
    for option in (
        "--num-data-aug-val N",
        "--test-persons N,N,...",
        "--pickle {any,py2,py3,small}",
    ):
        assert option in text
    assert "(default: 5,10,15)" in text


@pytest.mark.parametrize(
    "work", ["import headpose_fast", "headpose_fast.__main__.main()"], ids=["import", "job"]
)
def test_nothing_is_imported_that_is_not_used(work: str, tmp_path: Path) -> None:
    code = f"""
import sys
import headpose_fast.__main__
sys.argv = ["headpose-fast", *{list(SMALL)!r}, "--output", {str(tmp_path)!r}]
{work}
print([name for name in ("boto3", "tqdm", "urllib3", "PIL", "requests") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_name_that_stdout_cannot_write_is_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "k\u00f6pfe.pkl"
    done = command(*SMALL, "--output", path, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("k\\xf6pfe.pkl\n")
    assert path.exists()
