"""Reporting the progress of a task."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

#: Called from time to time with the amount done and the total, in the same unit.
Progress = Callable[[int, int], None]


@contextmanager
def bar(what: str, unit: str, show: Progress | bool) -> Iterator[Progress]:
    """Yield a function to call: a bar on stderr for True, `show` itself, or a no-op for False.

    It is also a no-op without a terminal or notebook to show the bar. Bytes (unit `B`) are
    shown as kB, MB and GB. Nothing is shown before the first call.
    """
    notebook = _in_notebook()
    if callable(show):
        yield show
        return
    if not show or sys.stderr is None or not (notebook or sys.stderr.isatty()):
        yield lambda done, total: None  # noqa: ARG005
        return
    # Imported here because a run without a bar need not spend the time. In a notebook without
    # ipywidgets it warns; the bar is then text, and just as good.
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
    """Whether this process is a notebook's kernel, not merely one that imports IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


def terminal_size(stream: TextIO | None) -> tuple[int, int]:
    """Columns and lines of the terminal on a stream, or 80 and 24, since tqdm needs some."""
    columns = lines = 0
    # ValueError: the stream is closed.
    with suppress(OSError, ValueError):
        if stream is not None:
            columns, lines = os.get_terminal_size(stream.fileno())
    return columns or 80, lines or 24
