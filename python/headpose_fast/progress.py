"""Reporting how far a task has come."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

#: Called with what is done and the total, from time to time, in the same unit.
Progress = Callable[[int, int], None]


@contextmanager
def bar(what: str, unit: str, show: Progress | bool) -> Iterator[Progress]:
    """Yield what to call: a bar on stderr for True, `show` itself, or what does nothing for False.

    Without a terminal or a notebook, which would show the bar, it does nothing, too. Bytes (unit
    `B`) are shown as kB, MB and GB. Nothing is shown before the first call.
    """
    notebook = _in_notebook()
    if callable(show):
        yield show
        return
    if not show or sys.stderr is None or not (notebook or sys.stderr.isatty()):
        yield lambda done, total: None  # noqa: ARG005
        return
    # Imported here, since its import takes time that a run without a bar need not spend. It warns
    # of a notebook without ipywidgets, where the bar is text, and as good.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

    shown_bar = None

    def progress(done: int, total: int) -> None:
        nonlocal shown_bar
        if shown_bar is None:
            width, height = (None, None) if notebook else terminal_size(sys.stderr)
            scale = unit == "B"
            shown_bar = tqdm(
                desc=what, unit=unit, unit_scale=scale, total=total, ncols=width, nrows=height
            )
        shown_bar.total = total
        shown_bar.update(done - shown_bar.n)

    try:
        yield progress
    finally:
        if shown_bar is not None:
            shown_bar.close()


def _in_notebook() -> bool:
    """Whether this process is a notebook's kernel; many others import the same packages."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


def terminal_size(stream: TextIO | None) -> tuple[int, int]:
    """Columns and lines of the terminal on a stream; tqdm needs some where it reports none."""
    columns = lines = 0
    # ValueError: the stream is closed.
    with suppress(OSError, ValueError):
        if stream is not None:
            columns, lines = os.get_terminal_size(stream.fileno())
    return columns or 80, lines or 24
