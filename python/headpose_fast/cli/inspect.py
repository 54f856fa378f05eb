"""The command `inspect`: what is in a bundle."""

import argparse

from headpose_fast.cli import arguments, databases
from headpose_fast.cli.talk import print_result

_EXAMPLES = """\
examples:
  headpose-fast inspect HeadPoseData_trn_test_x15_py2.pkl
  headpose-fast inspect HeadPoseData_trn_test_x15_py2.pkl --picture sheet.png --index samples.csv
"""


def parser() -> argparse.ArgumentParser:
    """Make the parser."""
    text = "Show what is in a bundle: shapes, options, seed, poses, values."
    made = arguments.new_parser("inspect", text, _EXAMPLES)
    add = arguments.adder(made)
    text = "the bundle, the index of shards, or a file of the original script"
    add("file", arguments.path, "FILE", text)
    text = "draw samples of all poses, and a photograph with its crops if the database is found"
    add("--picture", arguments.png, "FILE.png", text)
    text = "list the photograph, labels and crop of every sample"
    add("--index", arguments.path, "FILE.csv", text)
    text = "the database it was made from (default: found in the current folder or the cache)"
    add("--input", arguments.path, "PATH", text)
    databases.add_how_to_read(made)
    arguments.add_talk(made)
    return made


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Inspect a bundle, and write a picture and an index of it on request."""
    from headpose_fast.database.reading import open_database
    from headpose_fast.sources.finding import database_of_digest, find_database
    from headpose_fast.views.index import write_index
    from headpose_fast.views.inspection import inspect

    if options.input is not None and options.picture is None and options.index is None:
        parser.error("--input needs --picture or --index")
    if options.picture is not None and options.picture == options.index:
        parser.error("--picture and --index name the same file")
    databases.settle_reading(options, parser)
    inspection = inspect(options.file, progress=not options.quiet)
    database = None
    if options.input is not None:
        database = open_database(find_database(options.input, None, options.limits), options.limits)
    elif options.index is not None or options.picture is not None:
        database = database_of_digest(inspection.database)
    if options.index is not None:
        write_index(inspection, options.index, database)
    if options.picture is not None:
        from headpose_fast.views.picture import write_picture

        write_picture(inspection, options.picture, database)
    return print_result(inspection, inspection.facts(), options)
