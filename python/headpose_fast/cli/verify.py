"""The command `verify`: whether a bundle is what it should be."""

import argparse

from headpose_fast.cli import arguments, databases
from headpose_fast.cli.talk import print_result, say

_EXAMPLES = """\
examples:
  headpose-fast verify HeadPoseData_trn_test_x15_py2.pkl
  headpose-fast verify HeadPoseData_trn_test_x15_py2.pkl --input HeadPoseImageDatabase.tar.gz
"""


def parser() -> argparse.ArgumentParser:
    """Make the parser."""
    text = "Check every byte of a bundle by its checksums, and with --input by rendering it again."
    made = arguments.new_parser("verify", text, _EXAMPLES)
    add = arguments.adder(made)
    add("file", arguments.path, "FILE", "the bundle, or the index of shards")
    text = "the database it was made from; all samples are rendered again and compared"
    add("--input", arguments.path, "PATH", text)
    databases.add_how_to_read(made)
    arguments.add_workers(made)
    arguments.add_talk(made)
    return made


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Check a bundle."""
    from headpose_fast.views.verification import verify

    databases.settle_reading(options, parser)
    verified = verify(options.file, options.input, workers=options.workers, limits=options.limits)
    if not options.quiet:
        how = (
            " and are what the database makes"
            if verified.rendered
            else " (this does not rule out forgery)"
        )
        say(f"{verified.samples:,} samples have the right checksums{how}")
    facts = {"path": verified.path, "samples": verified.samples, "rendered": verified.rendered}
    return print_result(verified.path, facts, options)
