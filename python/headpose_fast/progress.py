"""Telling how far something has come."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Is told what is done and the total, from time to time, in the same unit.
Progress = Callable[[int, int], None]


@contextmanager
def bar(what: str, unit: str, *, quiet: bool = False) -> Iterator[Progress | None]:
    """Show a bar on stderr, if that is a terminal or a notebook; else give None.

    Bytes (unit `B`) are shown as kB, MB and GB. Nothing is shown before the first call.
    """
    notebook = "ipykernel" in sys.modules
    if quiet or sys.stderr is None or not (notebook or sys.stderr.isatty()):
        yield None
        return
    # Its import takes as long as a download's first answer; without a bar it is not needed.
    from tqdm.auto import tqdm

    shown = None

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if shown is None:
            # tqdm shows nothing in a terminal that does not tell its size.
            width, height = (None, None) if notebook else shutil.get_terminal_size()
            scale = unit == "B"
            shown = tqdm(
                desc=what, unit=unit, unit_scale=scale, total=total, ncols=width, nrows=height
            )
        shown.total = total
        shown.update(done - shown.n)

    try:
        yield progress
    finally:
        if shown is not None:
            shown.close()
