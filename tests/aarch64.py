"""Run the Rust tests for 64-bit Arm, and count the instructions of a crop.

    python3 tests/aarch64.py

On such a machine it runs the tests. Elsewhere it emulates one: it needs Linux, root, and
`debootstrap` (`apt-get install debootstrap`), with which it fetches Debian's compiler and QEMU
once, 1.4 GB, into target/aarch64. Only there are instructions counted, as QEMU counts them; the
exit status is 1 if a crop takes more than 0.4 of the plain path's.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEBIAN = ROOT / "target" / "aarch64"

#: The oldest suite of Debian whose Rust is new enough, and its mirror.
SUITE, MIRROR = "forky", "http://deb.debian.org/debian"

#: Of another architecture than the compiler: the standard library only.
PACKAGES = (
    "rustc",
    "cargo",
    "libstd-rust-dev:arm64",
    "gcc",
    "gcc-aarch64-linux-gnu",
    "libc6-dev-arm64-cross",
    "qemu-user",
)

EMULATE = "qemu-aarch64 -L /usr/aarch64-linux-gnu"

#: A crop's most instructions by NEON, in those of the plain path.
MOST = 0.4


def main() -> int:
    """Run the tests; return the exit status."""
    if platform.machine() in {"aarch64", "arm64"}:
        return subprocess.run(["cargo", "test", "--release", "--locked"], cwd=ROOT).returncode
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("debootstrap") is None:
        sys.exit("emulating 64-bit Arm needs Linux, root, and debootstrap")
    make_debian()
    copy_sources()
    debian("cargo test --release --locked --offline --quiet --config vendored.toml")
    debian("cargo build --release --locked --offline --quiet --example crop --config vendored.toml")
    simd, plain = instructions("simd"), instructions("plain")
    print(f"instructions a crop: {simd:,} with NEON, {plain:,} plain, {simd / plain:.3f}")
    return int(simd > MOST * plain)


def make_debian() -> None:
    """Fetch Debian with what is needed, once."""
    if (DEBIAN / "complete").exists():
        return
    shutil.rmtree(DEBIAN, ignore_errors=True)
    # An older debootstrap does not know the suite's name, but how to make one like it.
    script = "/usr/share/debootstrap/scripts/sid"
    subprocess.run(
        ["debootstrap", "--variant=minbase", SUITE, DEBIAN, MIRROR, script],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    # A mirror that stands still is as good.
    (DEBIAN / "etc/apt/apt.conf.d/99still").write_text('Acquire::Check-Valid-Until "false";\n')
    debian("dpkg --add-architecture arm64 && apt-get -q update >/dev/null")
    install = "DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends"
    debian(f"{install} {' '.join(PACKAGES)} >/dev/null")
    (DEBIAN / "complete").touch()


def copy_sources() -> None:
    """Copy what the Rust tests need, and the crates, as there is no network in there."""
    sources = DEBIAN / "src"
    shutil.rmtree(sources, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(listed, cwd=ROOT, text=True).split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, sources / name)
    vendor = ["cargo", "vendor", "--locked", "--quiet", str(sources / "vendor")]
    subprocess.run(vendor, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (sources / "vendored.toml").write_text(
        '[source.crates-io]\nreplace-with = "vendored"\n'
        '[source.vendored]\ndirectory = "/src/vendor"\n'
    )


def debian(command: str) -> None:
    """Run a command in Debian."""
    variables = {
        "CARGO_BUILD_TARGET": "aarch64-unknown-linux-gnu",
        "CARGO_HOME": "/src/.home",
        "CARGO_TARGET_DIR": "/built",
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": "aarch64-linux-gnu-gcc",
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER": EMULATE,
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    }
    folder = "/src" if (DEBIAN / "src").is_dir() else "/"
    shell = ["chroot", str(DEBIAN), "sh", "-ec", f"cd {folder}; {command}"]
    subprocess.run(shell, env=variables, check=True)


def instructions(path: str) -> int:
    """Count the instructions of a crop: what a second round of three crops takes more."""
    # With one instruction a block, QEMU's log, on stderr, has a line for each.
    log = f"{EMULATE} -one-insn-per-tb -d exec,nochain"
    program = "/built/aarch64-unknown-linux-gnu/release/examples/crop"
    once, twice = (
        int(
            subprocess.check_output(
                ["chroot", DEBIAN, "sh", "-ec", f"{log} {program} {path} {times} 2>&1 | wc -l"],
                text=True,
            )
        )
        for times in (1, 2)
    )
    return (twice - once) // 3


if __name__ == "__main__":
    sys.exit(main())
