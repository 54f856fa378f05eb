"""Fuzz the Python code with Atheris.

pip install . atheris
python fuzz/fuzz.py {load,label} [CORPUS...] [libFuzzer options]
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["headpose_fast"]):
    import bodies

if __name__ == "__main__":
    body = {"load": bodies.try_load, "label": bodies.try_label}[sys.argv.pop(1)]
    atheris.Setup(sys.argv, body)
    atheris.Fuzz()
