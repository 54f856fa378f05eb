"""`python -m headpose_fast`."""

import sys

from headpose_fast.cli import main

sys.exit(main())
