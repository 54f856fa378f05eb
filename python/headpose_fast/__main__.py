"""`python -m headpose_fast`, and the script `headpose-fast`."""

import contextlib
import os
import signal
import sys
from types import FrameType


class Stopped(BaseException):
    """A signal asked the program to stop."""


#: Each ends the program with status 128 plus its number, after unfinished output is deleted.
_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def _stop(number: int, _frame: FrameType | None) -> None:
    for each in _SIGNALS:
        # Cleaning up takes a moment, in which another Ctrl-C must do no harm.
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)


def main() -> int:
    """Run the command line and return its exit status."""
    # Importing NumPy starts a BLAS thread for each core, and they spin for a while: 0.1 s of
    # processor time, 4 % of the whole job, for something that nothing here uses.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        for number in _SIGNALS:
            # `nohup` and background jobs start with some of them ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _stop)
        from headpose_fast.cli.main import main as run

        return run()
    except Stopped as stopped:
        number = stopped.args[0]
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                print(f"headpose-fast: stopped by {signal.Signals(number).name}", file=sys.stderr)
        return int(128 + number)


if __name__ == "__main__":
    sys.exit(main())
