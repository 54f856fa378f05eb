"""What a command prints: its result on stdout, everything else on stderr."""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Mapping


def print_result(result: object, facts: Mapping[str, object], options: argparse.Namespace) -> int:
    """Print a result on stdout, or facts as JSON with --json; return 1 if that fails."""
    text = json.dumps(facts, default=str) if options.json else str(result)
    if sys.stdout is None:
        say("headpose-fast: error: stdout: it is closed")
        return 1
    try:
        try:
            print(text, flush=True)
        except UnicodeEncodeError:
            print(text.encode("ascii", "backslashreplace").decode(), flush=True)
    except OSError as error:
        say(f"headpose-fast: error: stdout: {error}")
        # Otherwise Python would try again as it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return 0


def say(text: str) -> None:
    """Print on stderr, if it is open."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)
