"""A newer Debian in a folder, for what this machine does not have.

Needs Linux, root, and `debootstrap` (`apt-get install debootstrap`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

#: The suite, whose Rust and Pythons are new enough, and its mirror.
SUITE, MIRROR = "forky", "http://deb.debian.org/debian"


def make(folder: Path, packages: Sequence[str], architecture: str | None = None) -> None:
    """Fetch Debian and packages into a folder, once; also some of another architecture."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("debootstrap") is None:
        sys.exit("a newer Debian in a folder needs Linux, root, and debootstrap")
    if (folder / "complete").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    # An older debootstrap does not know the suite's name, but how to make one like it.
    script = "/usr/share/debootstrap/scripts/sid"
    subprocess.run(
        ["debootstrap", "--variant=minbase", SUITE, folder, MIRROR, script],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    # A mirror that stands still is as good.
    (folder / "etc/apt/apt.conf.d/99still").write_text('Acquire::Check-Valid-Until "false";\n')
    if architecture is not None:
        run(folder, f"dpkg --add-architecture {architecture}")
    run(folder, "apt-get -q update >/dev/null")
    install = "DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends"
    run(folder, f"{install} {' '.join(packages)} >/dev/null")
    (folder / "complete").touch()


def run(folder: Path, command: str, variables: Mapping[str, str] | None = None) -> None:
    """Run a command of the shell in there."""
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    shell = ["chroot", str(folder), "sh", "-ec", command]
    subprocess.run(shell, env={**path, **(variables or {})}, check=True)
