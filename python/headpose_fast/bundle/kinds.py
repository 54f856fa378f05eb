"""The names of the kinds of bundle, for code that must not import NumPy."""

from typing import Literal

Kind = Literal["any", "py2", "py3", "small"]
KINDS: tuple[Kind, ...] = ("any", "py2", "py3", "small")

#: How the names of their files end: what the training jobs of Python 2.7 and of Python 3 look for.
SUFFIXES: dict[Kind, str] = {"any": "py2", "py2": "py2", "py3": "py3", "small": "py2"}
