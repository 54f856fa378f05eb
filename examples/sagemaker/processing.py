"""Make the bundle in a SageMaker Processing job: see docs/sagemaker.md.

    python processing.py [--input FOLDER] [--output FOLDER] [--message FILE] [OPTION ...]

Every other option is one of `python -m headpose_fast`, and so is the exit status. What that says on
stderr is the job's ExitMessage, too, whether it ends well, fails or is stopped by SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from pathlib import Path

from headpose_fast.__main__ import main as headpose_fast

#: As many bytes of the message as SageMaker shows.
MOST_BYTES = 1024


def main() -> int | str | None:
    """Run the job and return its exit status: that of `python -m headpose_fast`."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    folder = Path("/opt/ml/processing")
    parser.add_argument("--input", type=Path, default=folder / "input" / "database")
    parser.add_argument("--output", type=Path, default=folder / "output")
    parser.add_argument("--message", type=Path, default=Path("/opt/ml/output/message"))
    options, others = parser.parse_known_args()
    output, message = options.output.resolve(), options.message.resolve()
    sys.argv[1:] = ["--output", str(output), *others]
    said = io.StringIO()
    status: int | str | None = 1
    try:
        with contextlib.redirect_stderr(said):
            if "--sample" not in others:
                # There the command finds the archive, whichever of its names it has.
                os.chdir(options.input)
            status = headpose_fast()
    except OSError as error:
        print(f"error: {error}", file=said)
    except SystemExit as usage:
        status = usage.code
    finally:
        print(said.getvalue(), end="", file=sys.stderr)
        message.parent.mkdir(parents=True, exist_ok=True)
        # SageMaker refuses what is not UTF-8: neither names in other bytes nor half characters.
        text = said.getvalue().encode(errors="backslashreplace")[:MOST_BYTES]
        message.write_text(text.decode(errors="ignore"), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
