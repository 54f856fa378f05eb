"""The cache folder, and writing files there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from headpose_fast.sources import cache
from headpose_fast.sources.cache import cache_folder, cached_file, keeping


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "home/.cache/headpose-fast"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/headpose-fast"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "home/.cache/headpose-fast"),
        ("darwin", {"XDG_CACHE_HOME": "/xdg"}, "home/Library/Caches/headpose-fast"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/headpose-fast"),
        ("win32", {}, "home/AppData/Local/headpose-fast"),
        ("linux", {"HEADPOSE_FAST_CACHE": "own", "XDG_CACHE_HOME": "/xdg"}, "own"),
        ("win32", {"HEADPOSE_FAST_CACHE": "own", "LOCALAPPDATA": "local"}, "own"),
    ],
)
def test_the_cache_folder_is_the_platforms(
    platform: str, variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("home"))
    for name in ("HEADPOSE_FAST_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_without_a_home_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("HEADPOSE_FAST_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OSError, match=r"no home folder.*HEADPOSE_FAST_CACHE"), keeping("it"):
        pass
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/headpose-fast")


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with cached_file(path) as part:
        part.write_text("old")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), cached_file(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_what_killed_runs_left_is_cleared_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", str(tmp_path))
    own, other = tmp_path / f"file.0{cache._PART}", tmp_path / "other.part"
    for path in (own, other):
        path.touch()
        # As a download does, whose content is old.
        os.utime(path, (0, 0))
    with keeping("it"):
        assert own.exists()
    monkeypatch.setattr(cache, "_ABANDONED", -1)
    with keeping("it"):
        assert not own.exists()
    assert other.exists()


def test_a_home_folder_may_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", "~/kept")
    assert cache_folder() == Path.home() / "kept"
