"""The names of the kinds of bundle, for code that must not import NumPy."""

from typing import Literal

Kind = Literal["any", "py2", "py3", "small"]
KINDS: tuple[Kind, ...] = ("any", "py2", "py3", "small")

#: Endings of their files' names, as the training jobs of Python 2.7 and Python 3 expect them.
SUFFIXES: dict[Kind, str] = {"any": "py2", "py2": "py2", "py3": "py3", "small": "py2"}
