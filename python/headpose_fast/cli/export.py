"""The command `export`: the database in formats for other loaders."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from headpose_fast.cli import arguments, databases
from headpose_fast.cli.talk import print_result, say
from headpose_fast.exports.options import CHANNELS, FORMS, PARTS, SIZE, Options

if TYPE_CHECKING:
    from headpose_fast.exports.exporting import Exported

_EXAMPLES = """\
examples:
  headpose-fast export npz                      HeadPoseImageDatabase.npz, as FSA-Net reads it
  headpose-fast export npz --size 256x256 --channels rgb --part train --split unknown:7
  headpose-fast export parquet                  photographs and all labels, for datasets or pandas
"""


def parser() -> argparse.ArgumentParser:
    """Make the parser."""
    text = "Write the photographs and their poses in a format that other loaders read."
    made = arguments.new_parser("export", text, _EXAMPLES)
    add = arguments.adder(made)
    text = (
        "npz: crops and poses as arrays, as FSA-Net and 6DRepNet read them; parquet: the "
        "photographs without their comments, and everything known about them (needs pyarrow)"
    )
    add("form", str, None, text, choices=FORMS)
    databases.add_database(made)
    text = "file to write, or folder for HeadPoseImageDatabase.FORM (default: current folder)"
    add("--output", arguments.path, "PATH", text)
    text = "photographs to write: all, or those to train or test on"
    add("--part", str, None, text, choices=PARTS, default="all")
    databases.add_split(made)
    text = "for npz: size of the images in pixels (default: {}x{})".format(*SIZE)
    add("--size", arguments.size, "WxH", text)
    text = f"for npz: order of the channels (default: {CHANNELS[0]}, as in OpenCV)"
    add("--channels", str, None, text, choices=CHANNELS)
    databases.add_allow_incomplete(made)
    arguments.add_workers(made)
    arguments.add_talk(made)
    return made


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Export the database."""
    from headpose_fast.exports.exporting import export

    chosen = {
        name: getattr(options, name)
        for name in ("part", "test_persons", "split", "size", "channels")
    }
    try:
        Options.chosen(options.form, **chosen)
    except ValueError as error:
        parser.error(str(error))
    databases.settle_input(options, parser)
    exported = export(
        options.form,
        options.input,
        options.output,
        workers=options.workers,
        allow_incomplete=options.allow_incomplete,
        limits=options.limits,
        progress=not options.quiet,
        **chosen,
    )
    if not options.quiet:
        say(_summary(exported))
        databases.note_unpublished(exported.digest, options)
    return print_result(exported.path, asdict(exported), options)


def _summary(exported: Exported) -> str:
    return (
        f"{exported.photographs:,} photographs of {len({*exported.persons} - {0}) or 'unknown'} "
        "people\n"
        f"{'replaced' if exported.replaced else 'wrote'} {exported.path}: "
        f"{exported.size:,} bytes in {exported.seconds:.1f} s"
    )
