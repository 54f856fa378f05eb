"""Run the Rust tests for 64-bit Arm, and count the instructions of a crop.

    python3 tests/aarch64.py

On such a machine it runs the tests. Elsewhere it emulates one, for which it fetches Debian's
compiler and QEMU once, 1.4 GB, into target/aarch64 (`debian.py` says what that needs). Only there
are instructions counted, as QEMU counts them; the exit status is 1 if a crop takes more than 0.4 of
the plain path's.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys

import debian
from running import ROOT

DEBIAN = ROOT / "target" / "aarch64"

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
    debian.make(DEBIAN, PACKAGES, "arm64")
    copy_sources()
    build("test")
    build("build --example crop")
    simd, plain = instructions("simd"), instructions("plain")
    print(f"instructions a crop: {simd:,} with NEON, {plain:,} plain, {simd / plain:.3f}")
    return int(simd > MOST * plain)


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


def build(command: str) -> None:
    """Run Cargo for the architecture, without the net."""
    variables = {
        "CARGO_BUILD_TARGET": "aarch64-unknown-linux-gnu",
        "CARGO_HOME": "/src/.home",
        "CARGO_TARGET_DIR": "/built",
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": "aarch64-linux-gnu-gcc",
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER": EMULATE,
    }
    options = "--release --locked --offline --quiet --config vendored.toml"
    debian.run(DEBIAN, f"cd /src; cargo {command} {options}", variables)


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
