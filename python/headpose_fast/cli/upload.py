"""The command `upload`: send a bundle to a store."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from headpose_fast.cli import arguments
from headpose_fast.cli.talk import print_result

_EXAMPLES = """\
Credentials, profile, region and endpoint come from the standard AWS variables and files.

examples:
  headpose-fast upload HeadPoseData_trn_test_x15_py2.pkl s3://my-bucket/headpose/datasets
  headpose-fast upload mine.pkl s3://my-bucket/mine.pkl --upload-args StorageClass=STANDARD_IA
"""


def parser() -> argparse.ArgumentParser:
    """Make the parser."""
    text = "Upload a bundle, or shards and their index, to S3, and check what arrived."
    made = arguments.new_parser("upload", text, _EXAMPLES)
    add = arguments.adder(made)
    add("file", arguments.path, "FILE", "the bundle, or the index of shards")
    text = "s3://bucket/folder, or s3://bucket/name.pkl to give the object another name"
    add("address", arguments.address, "ADDRESS", text)
    arguments.add_upload_args(made)
    arguments.add_talk(made)
    return made


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Upload a file."""
    arguments.require_once(options, parser)
    return send(options.file, options.address, options, {"path": options.file})


def send(
    file: str | Path, address: str, options: argparse.Namespace, facts: Mapping[str, object]
) -> int:
    """Upload a file and print the object's address."""
    from headpose_fast.stores.uploading import upload

    extra_args = dict(options.upload_args or ())
    uploaded = upload(file, address, extra_args=extra_args, progress=not options.quiet)
    return print_result(uploaded, {**facts, "uploaded": uploaded}, options)
