"""The command line: options in, the result on stdout, everything else on stderr."""

import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from headpose_fast.cli import export, inspect, prepare, table, upload, verify
from headpose_fast.cli.talk import say
from headpose_fast.text import printable

#: Modules with `parser` and `run`, by the command line's first word. Anything else is the job.
COMMANDS: Mapping[str, ModuleType] = {
    "inspect": inspect,
    "verify": verify,
    "upload": upload,
    "export": export,
    "table": table,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 failed."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = COMMANDS.get(arguments[0] if arguments else "", prepare)
    parser = command.parser()
    options = parser.parse_args(arguments[command is not prepare :])
    try:
        return int(command.run(options, parser))
    except MemoryError:
        say("headpose-fast: error: not enough memory")
    except (OSError, ValueError, ModuleNotFoundError) as error:
        for line in str(error).splitlines():
            say(f"headpose-fast: error: {printable(line)}")
    return 1
