"""The database and the people to test on: options and messages that commands share."""

import argparse
from pathlib import Path

from headpose_fast.cli import arguments
from headpose_fast.cli.talk import say
from headpose_fast.database.limits import Limits
from headpose_fast.database.names import TABLE_SUFFIXES
from headpose_fast.database.splits import TEST_PERSONS


def add_database(parser: argparse.ArgumentParser) -> None:
    """Add the options for the database."""
    source = parser.add_mutually_exclusive_group()
    text = (
        "the database: .tar.gz, .tgz, .tar, a folder, a table (.csv, .parquet), or an http(s) "
        "address (default: HeadPoseImageDatabase.tar.gz or Person01 in the current folder; if "
        "neither is there, it is downloaded)"
    )
    arguments.adder(source)("--input", arguments.path, "PATH", text)
    text = "use the built-in sample database of rendered heads"
    source.add_argument("--sample", action="store_true", help=text)
    add_how_to_read(parser)


def add_how_to_read(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how --input is read."""
    add = arguments.adder(parser)
    text = "for a table: its column OWN is what is called OURS here; may be repeated"
    add("--columns", arguments.column, "OWN=OURS", text, action="append")
    text = "for a table: photographs may be outside its folder"
    parser.add_argument("--absolute-paths", action="store_true", help=text)
    text = "another limit on what the database may demand: a field of Limits; may be repeated"
    add("--limit", arguments.limit, "NAME=VALUE", text, action="append")


def add_allow_incomplete(parser: argparse.ArgumentParser) -> None:
    """Add the option for an incomplete database."""
    text = "continue even if published photographs are missing"
    parser.add_argument("--allow-incomplete", action="store_true", help=text)


def add_split(parser: argparse.ArgumentParser) -> None:
    """Add the options for the people or series to test on."""
    split = arguments.adder(parser.add_mutually_exclusive_group())
    text = (
        f"people to test on (default: {','.join(map(str, TEST_PERSONS))}); of a table, by default "
        "those photographs are tested on that its column split names"
    )
    split("--test-persons", arguments.persons, "N,N,...", text)
    text = (
        "test on a fold of the database's own protocols: known:1 or known:2 (known faces: that "
        "series of every person), or unknown:1 to unknown:15 (unknown faces: that person)"
    )
    split("--split", str, "FOLD", text)


def settle_reading(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Set `input` to a `Table` and `limits` to `Limits` as the options say how --input is read.

    End with a usage error if they do not go together.
    """
    columns, given = dict(options.columns or ()), len(options.columns or ())
    if (columns or options.absolute_paths) and not is_table(options):
        parser.error("--columns and --absolute-paths need --input with a table")
    if len(columns) < given:
        parser.error("--columns names a column twice")
    if options.limit and options.input is None:
        parser.error("--limit needs --input")
    options.limits = Limits(**dict(options.limit or ()))
    if columns or options.absolute_paths:
        from headpose_fast.database.tables import Table

        try:
            options.input = Table(options.input, columns, options.absolute_paths)
        except ValueError as error:
            parser.error(f"--columns: {error}")


def is_table(options: argparse.Namespace) -> bool:
    """Whether the database is a table."""
    return str(options.input or "").lower().endswith(TABLE_SUFFIXES)


def settle_input(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Settle how the database is read; set `input` to the sample database if requested.

    Announces a download.
    """
    from headpose_fast.sources.finding import download_path

    settle_reading(options, parser)
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
