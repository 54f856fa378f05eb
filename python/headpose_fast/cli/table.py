"""The command `table`: the database as a table."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from headpose_fast.cli import arguments, databases
from headpose_fast.cli.talk import print_result, say

_EXAMPLES = """\
The table is a database, too: headpose-fast --input labels.csv. docs/tables.md explains its columns.

examples:
  headpose-fast table labels.csv                and the photographs in the folder labels
  headpose-fast table labels.csv --input faces  the photographs stay in the folder faces
"""


def parser() -> argparse.ArgumentParser:
    """Make the parser."""
    text = (
        "Write the database as a table, and its photographs, without comments, to a folder beside "
        "it; those of a folder or another table stay where they are."
    )
    made = arguments.new_parser("table", text, _EXAMPLES)
    text = "file to write; the folder has its name without .csv"
    arguments.adder(made)("output", arguments.csv, "OUT.csv", text)
    databases.add_database(made)
    databases.add_allow_incomplete(made)
    arguments.add_workers(made)
    arguments.add_talk(made)
    return made


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Write the table."""
    from headpose_fast.exports.table import write_table

    databases.settle_input(options, parser)
    written = write_table(
        options.output,
        options.input,
        workers=options.workers,
        allow_incomplete=options.allow_incomplete,
        limits=options.limits,
        progress=not options.quiet,
    )
    if not options.quiet:
        say(f"wrote {written.path}: {written.photographs:,} photographs in {written.seconds:.1f} s")
        if written.folder is not None:
            say(f"their files, without comments, are in {written.folder}")
        if written.outside:
            say("note: photographs are outside the table's folder: use it with --absolute-paths")
    return print_result(written.path, asdict(written), options)
