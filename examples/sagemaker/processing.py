"""Make the bundle in a SageMaker Processing job: see docs/sagemaker.md.

    python processing.py [OPTION ...]

The options are those of `python -m headpose_fast`, and so is the exit status. If the job has an
input `database`, its archive or folders are the `--input`; the bundle goes to the output folder.
What is said on stderr is the job's ExitMessage, too, even if it fails or is stopped by SIGTERM.
SAGEMAKER_BASE_DIR names another folder than /opt/ml, to try it elsewhere.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

from headpose_fast.__main__ import main as headpose_fast

#: As many bytes of the message as SageMaker shows.
MOST_BYTES = 1024


def main() -> int:
    """Run the job and return its exit status."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    output, message = base / "processing" / "output", base / "output" / "message"
    for folder in (output, message.parent):
        folder.mkdir(parents=True, exist_ok=True)
    # In front: an option that is given again replaces these.
    sys.argv[1:1] = [*database(base / "processing" / "input" / "database"), f"--output={output}"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return headpose_fast()
    finally:
        print(said.getvalue(), end="", file=sys.stderr)
        # The job fails if this is not UTF-8: neither names in other bytes nor half characters.
        text = said.getvalue().encode(errors="backslashreplace")[:MOST_BYTES]
        message.write_bytes(text.decode(errors="ignore").encode())


def database(folder: Path) -> list[str]:
    """Return the options that name what is in the input folder, if the job has one."""
    if not folder.is_dir():
        return []
    entries = list(folder.iterdir())
    archive = len(entries) == 1 and entries[0].is_file()
    return [f"--input={entries[0] if archive else folder}"]


if __name__ == "__main__":
    sys.exit(main())
