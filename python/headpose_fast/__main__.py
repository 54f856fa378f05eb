"""`python -m headpose_fast`, and the script `headpose-fast`."""

import os
import sys


def main() -> int:
    """Run the command line and return its exit status."""
    # Importing NumPy starts a thread of its BLAS for each core, and they spin a while: 0.1 s of
    # processor time, 4 % of the whole job, for what nothing here uses.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from headpose_fast import cli

        return cli.main()
    except KeyboardInterrupt:
        print("headpose-fast: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
