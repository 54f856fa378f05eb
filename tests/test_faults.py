"""What is left behind when it is killed, stopped or refused: the old file, or a whole one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import SMALL_DATABASE, command

from headpose_fast import _core, prepare, verify

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and locks are those of POSIX")

SMALL = ("--allow-incomplete", "--test-persons", "5", "--input", str(SMALL_DATABASE))
COMMAND = [sys.executable, "-m", "headpose_fast", *SMALL]

#: Enough to be in the middle of it: half a second of rendering, 0.6 GB; or three seconds, 4 GB.
LONG = ("--num-data-aug", "1500")
LONGER = ("--num-data-aug", "9999")


def start(*arguments: str | Path, ignore: int | None = None) -> subprocess.Popen[str]:
    def signals() -> None:
        # Whatever these tests themselves were started with.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number == ignore else signal.SIG_DFL)

    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=signals,
    )


def wait_for_temporary(
    folder: Path, process: subprocess.Popen[str], *, but: Path | None = None
) -> Path:
    """Wait until samples are being written."""
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        for path in folder.glob(".*.tmp"):
            # It begins with zeros until it is locked.
            if path != but and path.open("rb").read(1) == b"\x80":
                return path
        time.sleep(0.002)
    raise AssertionError(process.communicate())


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An output of an earlier run."""
    path = tmp_path / "out.pkl"
    path.write_bytes(b"old")
    return path


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_it_at_once_and_leaves_the_old_file(name: str, old: Path) -> None:
    process = start(*LONGER, "--output", old)
    wait_for_temporary(old.parent, process)
    sent = time.monotonic()
    process.send_signal(getattr(signal, name))
    # The second one comes while the first is heeded.
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=20)
    # Deleting what was written so far takes its time too, on a machine that is busy.
    assert time.monotonic() - sent < 1.5
    assert process.returncode == 128 + getattr(signal, name)
    assert (out, err) == ("", f"headpose-fast: stopped by {name}\n")
    assert [path.name for path in old.parent.iterdir()] == [old.name]
    assert old.read_bytes() == b"old"


def test_a_signal_that_was_ignored_from_the_start_stays_ignored(old: Path) -> None:
    process = start(*LONG, "--output", old, ignore=signal.SIGHUP)
    wait_for_temporary(old.parent, process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    verify(old)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_whenever_it_is_stopped_the_file_is_the_old_one_or_whole(name: str, tmp_path: Path) -> None:
    """At 24 moments each, from the start of the interpreter to the end."""
    path = tmp_path / "out.pkl"
    began = time.monotonic()
    subprocess.run([*COMMAND, "--output", path], capture_output=True, check=True)
    whole, seconds = path.read_bytes(), time.monotonic() - began
    chance = random.Random(0)
    for _ in range(24):
        path.write_bytes(b"old")
        process = start("--output", path)
        time.sleep(chance.random() * seconds)
        process.send_signal(getattr(signal, name))
        process.communicate(timeout=20)
        assert path.read_bytes() in (b"old", whole)
        others = [other for other in tmp_path.iterdir() if other != path]
        if name == "SIGKILL":
            assert all(other.suffix == ".tmp" for other in others)
        else:
            assert others == []
    # The next run clears away what the killed ones left.
    subprocess.run([*COMMAND, "--output", path], capture_output=True, check=True)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == whole


def test_what_a_killed_run_left_is_cleared_and_what_is_in_use_is_not(old: Path) -> None:
    killed = start(*LONG, "--output", old)
    left = wait_for_temporary(old.parent, killed)
    killed.kill()
    killed.communicate()
    assert left.exists()
    using = start(*LONG, "--output", old)
    used = wait_for_temporary(old.parent, using, but=left)
    assert not left.exists()
    stranger = old.with_name(f".{old.name}.backup.tmp")
    stranger.write_bytes(b"")
    other = old.with_name(f".other.{old.name}.0123456789abcdef.tmp")
    other.write_bytes(b"")
    os.kill(using.pid, signal.SIGSTOP)
    assert command(*SMALL, "--output", old).returncode == 0
    assert used.exists()
    assert stranger.exists()
    assert other.exists()
    os.kill(using.pid, signal.SIGCONT)
    assert using.communicate(timeout=60)[1].count("replaced") == 1
    assert using.returncode == 0
    assert not used.exists()
    verify(old)


def test_a_temporary_that_another_run_cleared_too_early_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = _core.create_file
    made = []

    def cleared_once(path: Path, length: int) -> None:
        create(path, length)
        made.append(path)
        if len(made) == 1:
            path.unlink()

    monkeypatch.setattr(_core, "create_file", cleared_once)
    prepared = prepare(SMALL_DATABASE, tmp_path, test_persons=[5], allow_incomplete=True)
    assert len(made) == 2
    assert list(tmp_path.iterdir()) == [prepared.path]
    verify(prepared.path)


def test_two_runs_to_one_file_both_end_well(tmp_path: Path) -> None:
    path = tmp_path / "out.pkl"
    expected = []
    for seed in (1, 2):
        prepare(
            SMALL_DATABASE,
            path,
            test_persons=[5],
            allow_incomplete=True,
            seed=seed,
            num_data_aug=40,
        )
        expected.append(path.read_bytes())
    for _ in range(5):
        runs = [start("--num-data-aug", "40", "--seed", s, "--output", path) for s in ("1", "2")]
        for run in runs:
            assert run.communicate(timeout=60)[1] != ""
            assert run.returncode == 0
        assert path.read_bytes() in expected
        assert list(tmp_path.iterdir()) == [path]


def test_a_file_size_limit_leaves_the_old_file(old: Path) -> None:
    script = f"ulimit -f 1000; exec {' '.join(map(str, COMMAND))} --output {old}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("headpose-fast: error: ")
    assert str(old) in line
    assert list(old.parent.iterdir()) == [old]
    assert old.read_bytes() == b"old"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root on Linux can mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=4m", "tmpfs"]
    mounted = subprocess.run(["mount", *options, folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_noticed_before_the_work(small_disk: Path) -> None:
    old = small_disk / "out.pkl"
    old.write_bytes(b"old")
    began = time.monotonic()
    done = command(*SMALL, *LONG, "--output", old)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "bytes are free" in line or "are free" in line
    assert str(old) in line
    assert time.monotonic() - began < 5
    assert list(small_disk.iterdir()) == [old]
    assert old.read_bytes() == b"old"


def test_a_file_system_that_holds_no_file_so_large(tmp_path: Path) -> None:
    """One of 64 GB, with blocks of 1 KiB and no extents: 16 GB are the most it holds in a file."""
    if os.geteuid() != 0 or sys.platform != "linux" or not shutil.which("mkfs.ext4"):
        pytest.skip("only root on Linux with mkfs.ext4 can make and mount a file system")
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 30)
    options = ["-b", "1024", "-N", "100", "-O", "^extent,^has_journal,^64bit,^resize_inode"]
    subprocess.run(["mkfs.ext4", "-q", "-G", "1", *options, image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr}")
    try:
        old = folder / "out.pkl"
        old.write_bytes(b"old")
        # 170 times 1,302 crops of 84 KB: 19 GB.
        done = command("--sample", "--num-data-aug", "170", "--pickle", "py3", "--output", old)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "File too large" in line
        assert str(old) in line
        assert old.read_bytes() == b"old"
        assert {path.name for path in folder.iterdir()} == {"lost+found", "out.pkl"}
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_one_may_not_write_to() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        old = folder / "out.pkl"
        old.write_bytes(b"old")
        shutil.copy(SMALL_DATABASE, folder / "database.tar")
        code = f"""
import os
from headpose_fast import prepare
os.setgid(65534)
os.setuid(65534)
try:
    prepare({name + "/database.tar"!r}, {str(old)!r}, test_persons=[5], allow_incomplete=True)
except PermissionError as error:
    print(error)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert str(old) in done.stdout, done.stderr
        assert sorted(folder.iterdir()) == [folder / "database.tar", old]
        assert old.read_bytes() == b"old"


def test_a_closed_stdout_is_a_failure_without_traceback(tmp_path: Path) -> None:
    script = f"{' '.join(map(str, COMMAND))} --output {tmp_path} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "headpose-fast: error: stdout: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(map(str, COMMAND))} --output {tmp_path} >&-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "headpose-fast: error: stdout: it is closed"
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(map(str, COMMAND))} --output {tmp_path} 2>&-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)


def test_memory_stays_flat_over_200_runs(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux has /proc/self/statm")
    code = f"""
import headpose_fast, os
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
for run in range(200):
    headpose_fast.prepare(
        {str(SMALL_DATABASE)!r}, {str(tmp_path)!r}, test_persons=[5], allow_incomplete=True,
        num_data_aug=1, num_data_aug_val=1,
    )
    if run == 40:
        early = resident()
print(resident() - early)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 3_000_000


def test_it_works_after_a_fork(tmp_path: Path) -> None:
    code = f"""
import os, headpose_fast
def job(name):
    headpose_fast.prepare(
        {str(SMALL_DATABASE)!r}, os.path.join({str(tmp_path)!r}, name), test_persons=[5],
        allow_incomplete=True, num_data_aug=2,
    )
job("before.pkl")
child = os.fork()
if child == 0:
    job("child.pkl")
    os._exit(0)
job("parent.pkl")
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_sync_writes_the_same_file(tmp_path: Path) -> None:
    for name, options in (("a.pkl", ()), ("b.pkl", ("--sync",))):
        assert command(*SMALL, *options, "--output", tmp_path / name).returncode == 0
    assert (tmp_path / "a.pkl").read_bytes() == (tmp_path / "b.pkl").read_bytes()
