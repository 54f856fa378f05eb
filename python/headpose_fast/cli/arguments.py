"""Arguments of the command line: their types, and options that commands share."""

# ruff: noqa: ANN401 (argparse is typed so)
import argparse
import functools
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from headpose_fast.database.limits import Limits
from headpose_fast.progress import terminal_size
from headpose_fast.samples.options import MOST_SIDE, MOST_WORKERS

#: Digits of a whole number: Python rejects thousands of digits with a message of its own.
_MOST_DIGITS = 20

_MOST_LIMIT = 2**63 - 1

#: Of a table; archives and folders have two digits.
_MOST_PERSON = 2**31 - 1


def new_parser(command: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Make the parser of a command, or of the job itself for an empty one."""
    return argparse.ArgumentParser(
        prog=f"headpose-fast {command}".rstrip(),
        description=description,
        epilog=epilog,
        formatter_class=_Formatter,
    )


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Finds the terminal's width without shutil, whose import takes 4 ms."""

    def __init__(self, prog: str) -> None:
        columns = os.environ.get("COLUMNS", "")
        width = int(columns) if columns.isdecimal() else 0
        super().__init__(prog, width=(width or terminal_size(sys.__stdout__)[0]) - 2)


def adder(parser: argparse._ActionsContainer) -> Callable[..., None]:
    """Return a function that adds an argument: name, type, metavar, help and other settings."""

    def add(
        name: str, parse: Callable[[str], Any], shape: str | None, text: str, **more: Any
    ) -> None:
        if "default" in more:
            text += " (default: %(default)s)"
        parser.add_argument(name, type=parse, metavar=shape, help=text, **more)

    return add


def add_upload_args(parser: argparse.ArgumentParser) -> None:
    """Add the option for arguments of boto3."""
    text = "an argument for boto3's upload, such as StorageClass=STANDARD_IA; may be repeated"
    adder(parser)("--upload-args", upload_arg, "KEY=VALUE", text, action="append")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the option for the number of threads."""
    text = "number of threads (default: one for each core that this process may use)"
    adder(parser)("--workers", integer(1, MOST_WORKERS), "N", text)


def add_talk(parser: argparse.ArgumentParser) -> None:
    """Add the options that control what is printed."""
    flag = functools.partial(parser.add_argument, action="store_true")
    flag("--quiet", help="print no progress and no summary")
    flag("--json", help="print a JSON object on stdout instead of text")


def require_once(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with a usage error if an argument for boto3 is given twice."""
    keys = [key for key, _ in options.upload_args or ()]
    for key in keys:
        if keys.count(key) > 1:
            parser.error(f"--upload-args has {key} twice")


def integer(least: int, most: int) -> Callable[[str], int]:
    """Return an argument type for a whole number in a range."""

    def parse(text: str) -> int:
        short = len(text) <= _MOST_DIGITS and text.isascii()
        if not short or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least} to {most}"
            )
        return int(text)

    return parse


def size(text: str) -> tuple[int, int]:
    """Parse `WIDTHxHEIGHT`."""
    side = integer(1, MOST_SIDE)
    width, by, height = text.partition("x")
    if not by:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT")
    return side(width), side(height)


def path(text: str) -> str:
    """Parse a path, which must not be empty."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return text


def address(text: str) -> str:
    """Parse the address of a folder or object in a store."""
    from headpose_fast.stores.addresses import destination

    _parsed(destination, text, "")
    return text


def upload_arg(text: str) -> Any:
    """Parse `KEY=VALUE` for boto3."""
    from headpose_fast.stores.addresses import extra_arg

    return _parsed(extra_arg, text)


def _parsed(parse: Callable[..., Any], *arguments: str) -> Any:
    try:
        return parse(*arguments)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def column(text: str) -> tuple[str, str]:
    """Parse `OWN=OURS`, the names of a table's column."""
    own, _, ours = text.rpartition("=")
    if not own or not ours:
        raise argparse.ArgumentTypeError(f"{text!r} is not OWN=OURS")
    return ours, own


def limit(text: str) -> tuple[str, int]:
    """Parse `NAME=VALUE`, a field of `Limits`."""
    names = [field.name for field in fields(Limits)]
    name, _, value = text.partition("=")
    if name not in names:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=VALUE with one of {', '.join(names)}"
        )
    return name, integer(1, _MOST_LIMIT)(value)


def csv(text: str) -> str:
    """Parse the path of a table to write."""
    if not text.lower().endswith(".csv"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .csv")
    return text


def png(text: str) -> str:
    """Parse the path of a picture to write."""
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png")
    return text


def persons(text: str) -> tuple[int, ...]:
    """Parse `N,N,...`, the people to test on."""
    person = integer(1, _MOST_PERSON)
    named = tuple(person(part) for part in text.split(","))
    if len(set(named)) < len(named):
        raise argparse.ArgumentTypeError(f"{text!r} names a person twice")
    return named
