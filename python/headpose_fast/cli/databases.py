"""The database and the people to test on: options and messages that commands share."""

import argparse
from pathlib import Path

from headpose_fast.cli import arguments
from headpose_fast.cli.talk import say
from headpose_fast.database.splits import TEST_PERSONS


def add_database(parser: argparse.ArgumentParser) -> None:
    """Add the options for the database."""
    source = parser.add_mutually_exclusive_group()
    text = (
        "the database: .tar.gz, .tgz, .tar, a folder, or an http(s) address (default: "
        "HeadPoseImageDatabase.tar.gz or Person01 in the current folder; if neither is there, it "
        "is downloaded)"
    )
    arguments.adder(source)("--input", arguments.path, "PATH", text)
    text = "use the built-in sample database of rendered heads"
    source.add_argument("--sample", action="store_true", help=text)


def add_allow_incomplete(parser: argparse.ArgumentParser) -> None:
    """Add the option for an incomplete database."""
    text = "continue even if published photographs are missing"
    parser.add_argument("--allow-incomplete", action="store_true", help=text)


def add_split(parser: argparse.ArgumentParser) -> None:
    """Add the options for the people or series to test on."""
    split = arguments.adder(parser.add_mutually_exclusive_group())
    text = f"people to test on (default: {','.join(map(str, TEST_PERSONS))})"
    split("--test-persons", arguments.persons, "N,N,...", text)
    text = (
        "test on a fold of the database's own protocols: known:1 or known:2 (known faces: that "
        "series of every person), or unknown:1 to unknown:15 (unknown faces: that person)"
    )
    split("--split", str, "FOLD", text)


def settle_input(options: argparse.Namespace) -> None:
    """Set `input` to the sample database if requested; announce a download."""
    from headpose_fast.sources.finding import download_path

    if options.sample:
        options.input = _sample(options)
    if not options.quiet and (path := download_path(options.input)):
        say(f"downloading the database; it will be kept as {path}")


def _sample(options: argparse.Namespace) -> Path:
    from headpose_fast.progress import bar
    from headpose_fast.sources.sample import sample_database

    with bar("sample database", " photographs", not options.quiet) as progress:
        return sample_database(progress)


def note_unpublished(digest: str, options: argparse.Namespace) -> None:
    """Print a note if a database is neither the published one nor the sample."""
    from headpose_fast.database.databases import PUBLISHED_DIGEST

    if not options.sample and digest != PUBLISHED_DIGEST:
        say(f"note: this is not the published database: its digest is {digest}")
