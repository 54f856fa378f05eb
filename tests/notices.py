"""Write LICENSE-THIRD-PARTY: the licences of what is compiled into the wheels, which must go along.

    python tests/notices.py [--check]

With `--check` nothing is written, and the exit status is 1 if it is not up to date.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NOTICES = ROOT / "LICENSE-THIRD-PARTY"

_METADATA = "cargo metadata --format-version 1 --locked --features python"

_START = """\
The compiled module of headpose-fast contains these Rust packages, on one platform or another, and
Rust's standard library (MIT or Apache-2.0, The Rust Project contributors). Of those with a choice
of licences, one is taken. Made by tests/notices.py.
"""


def main() -> int:
    """Write or check the file; return the exit status."""
    text = notices(json.loads(subprocess.check_output(_METADATA.split(), cwd=ROOT)))
    if "--check" not in sys.argv[1:]:
        NOTICES.write_text(text, encoding="utf-8")
    elif not NOTICES.exists() or NOTICES.read_text(encoding="utf-8") != text:
        print(f"{NOTICES.name} is not up to date: run python tests/notices.py")
        return 1
    return 0


def notices(metadata: dict[str, Any]) -> str:
    """List the packages that are linked, by licence text."""
    packages = {package["id"]: package for package in metadata["packages"]}
    by_text: dict[str, list[str]] = {}
    root = metadata["resolve"]["root"]
    for package in sorted(_linked(metadata, packages) - {root}):
        name = f"{packages[package]['name']} {packages[package]['version']}"
        by_text.setdefault(_licence(packages[package]), []).append(name)
    parts = [f"{', '.join(names)}\n\n{text.strip()}\n" for text, names in by_text.items()]
    return f"\n{'-' * 79}\n\n".join([_START, *parts])


def _linked(metadata: dict[str, Any], packages: dict[str, Any]) -> set[str]:
    """Find what is in the module itself, not only in the programs that build it."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found: set[str] = set()
    waiting = [metadata["resolve"]["root"]]
    while waiting:
        package = waiting.pop()
        kinds = {kind for target in packages[package]["targets"] for kind in target["kind"]}
        if package in found or "proc-macro" in kinds:
            continue
        found.add(package)
        waiting += [
            dependency["pkg"]
            for dependency in nodes[package]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        ]
    return found


def _licence(package: dict[str, Any]) -> str:
    """Read a package's licence: MIT, the shortest, if there is a choice."""
    folder = Path(package["manifest_path"]).parent
    texts = {path.name.lower(): path for path in folder.iterdir() if path.is_file()}
    for name in ("license-mit", "license", "license.md"):
        if name in texts:
            return texts[name].read_text(encoding="utf-8").replace("\r\n", "\n")
    raise FileNotFoundError(f"{folder}: there is no licence text that this script knows")


if __name__ == "__main__":
    sys.exit(main())
