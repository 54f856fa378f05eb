"""What the fuzzers found worth keeping (`fuzz/`), once more."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "fuzz"))
from bodies import try_label, try_load


@pytest.mark.parametrize(("folder", "body"), [("label", try_label), ("load", try_load)])
def test_nothing_in_the_corpus_does_harm(folder: str, body: Callable[[bytes], None]) -> None:
    paths = sorted((ROOT / "fuzz" / "corpus" / folder).iterdir())
    assert len(paths) > 20
    for path in paths:
        body(path.read_bytes())
