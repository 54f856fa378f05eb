"""Make the bundle in a SageMaker Processing job: see docs/sagemaker.md.

    python processing.py [OPTION ...]

Options and exit status are those of `python -m headpose_fast`. If the job has an input `database`,
its archive or folder is used as `--input`. The bundle goes to the output folder. Everything printed
on stderr also becomes the job's ExitMessage, even if the job fails or is stopped by SIGTERM.
To try it elsewhere, set SAGEMAKER_BASE_DIR to a folder other than /opt/ml.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

from headpose_fast.__main__ import main as headpose_fast

#: Bytes of the message that SageMaker shows.
MOST_BYTES = 1024


def main() -> int:
    """Run the job and return its exit status."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    output, message = base / "processing" / "output", base / "output" / "message"
    for folder in (output, message.parent):
        folder.mkdir(parents=True, exist_ok=True)
    # Placed first, so that options on the command line override these.
    sys.argv[1:1] = [*database(base / "processing" / "input" / "database"), f"--output={output}"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return headpose_fast()
    finally:
        print(said.getvalue(), end="", file=sys.stderr)
        # The job fails if this is not UTF-8, as names in other bytes or half a character would be.
        text = said.getvalue().encode(errors="backslashreplace")[:MOST_BYTES]
        message.write_bytes(text.decode(errors="ignore").encode())


def database(folder: Path) -> list[str]:
    """Return the `--input` option for the job's input folder, if there is one."""
    if not folder.is_dir():
        return []
    entries = list(folder.iterdir())
    archive = len(entries) == 1 and entries[0].is_file()
    return [f"--input={entries[0] if archive else folder}"]


if __name__ == "__main__":
    sys.exit(main())
