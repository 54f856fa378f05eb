"""The job itself, which is the command without a name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from headpose_fast._core import __version__
from headpose_fast.bundle.kinds import KINDS
from headpose_fast.cli import arguments, databases
from headpose_fast.cli.talk import print_result, say
from headpose_fast.cli.upload import send
from headpose_fast.database.splits import test_with
from headpose_fast.samples.options import MOST_SEED, MOST_SHARDS, SIZES, sample_size

if TYPE_CHECKING:
    from headpose_fast.pipeline import Prepared

_MOST_PASSES = 9999

#: People that are listed one by one.
_MOST_LISTED = 99

#: Options of the command only; all others are arguments of `prepare`.
_OF_THE_COMMAND = {"sample", "upload", "upload_args", "quiet", "json"}
_OF_THE_COMMAND |= {"columns", "absolute_paths", "limit"}

#: Bytes of a file to upload that take minutes at 100 Mbit/s.
_LARGE = 10**9

_EXAMPLES = """\
commands:
  headpose-fast inspect FILE   show what is in such a file, or draw it
  headpose-fast verify FILE    check every byte of it
  headpose-fast upload FILE s3://BUCKET/FOLDER
  headpose-fast export FORM    the database as npz or parquet, for other loaders
  headpose-fast table OUT.csv  the database as a table, an example of one for your own photographs

examples:
  headpose-fast                               the file for the DeepLens sample
  headpose-fast --sample                      the same from a built-in database, to try it out
  headpose-fast --pickle py3 --size 224x224   for today's networks, in Python 3
  headpose-fast --pickle small                the same samples in a twentieth of the size
  headpose-fast --split unknown:7             test on person 7, train on all others
  headpose-fast --upload s3://my-bucket/headpose/datasets
  headpose-fast --shards 64 --output s3://my-bucket/headpose/shards
"""


def parser() -> argparse.ArgumentParser:
    """Make the parser."""
    text = "Turn the Head Pose Image Database into one pickle of augmented crops."
    made = arguments.new_parser("", text, _EXAMPLES)
    add, flag = arguments.adder(made), partial(made.add_argument, action="store_true")
    passes = arguments.integer(1, _MOST_PASSES)
    add("--num-data-aug", passes, "N", "crops of each training photograph", default=15)
    add("--num-data-aug-val", passes, "N", "crops of each test photograph", default=3)
    sizes = ", ".join(f"{ratio}: {width}x{height}" for ratio, (width, height) in SIZES.items())
    text = f"proportions of the crops, 1:1 (1) or 16:9 (0), and size of the samples ({sizes})"
    add("--aspect-ratio", int, None, text, choices=SIZES, default=1)
    text = "another size for the samples in pixels, with the same proportions, such as 224x224"
    add("--size", arguments.size, "WxH", text)
    databases.add_database(made)
    text = (
        "file to write, or folder for HeadPoseData_trn_test_xN_py2.pkl (default: current folder); "
        "with --shards: folder, s3://BUCKET/FOLDER, or either with NAME.json"
    )
    add("--output", arguments.path, "PATH", text)
    text = "write N files, each a stretch of the photographs, and NAME.json, which lists them"
    add("--shards", arguments.integer(1, MOST_SHARDS), "N", text)
    seed = arguments.integer(0, MOST_SEED)
    add("--seed", seed, "N", "seed of the random crops", default=0)
    databases.add_split(made)
    text = (
        "any: loads in any Python; py2: in Python 2.7; py3: in Python 3, fastest; small: in any "
        "Python, a twentieth of the size, slower to load"
    )
    add("--pickle", str, None, text, choices=KINDS, default="any")
    databases.add_allow_incomplete(made)
    made.add_argument(
        "--ray",
        nargs="?",
        const=True,
        default=False,
        type=arguments.path,
        metavar="ADDRESS",
        help="make the shards on the Ray cluster of this address, or on one that Ray finds or "
        "starts here; --workers is then the number of CPUs of each task (default: 1)",
    )
    flag("--sync", help="wait until the file is on the disk, where it survives a power cut")
    text = "upload the finished file to this folder, s3://bucket/folder"
    add("--upload", arguments.address, "ADDRESS", text)
    arguments.add_upload_args(made)
    arguments.add_workers(made)
    arguments.add_talk(made)
    made.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return made


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Do the job, and upload its file on request."""
    _require_consistent(options, parser)

    from headpose_fast.pipeline import prepare

    databases.settle_input(options, parser)
    given = {name: value for name, value in vars(options).items() if name not in _OF_THE_COMMAND}
    prepared = prepare(**given, progress=not options.quiet)
    if not options.quiet:
        say(_summary(prepared))
        if options.upload and prepared.kind != "small" and prepared.size > _LARGE:
            say("note: --pickle small makes a file a twentieth the size, also for any Python")
        databases.note_unpublished(prepared.digest, options)
    if options.upload is None:
        return print_result(prepared.address or prepared.path, asdict(prepared), options)
    status = 0 if options.json else print_result(prepared.path, {}, options)
    return _send(prepared, options) or status


def _require_consistent(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with a usage error if options do not go together."""
    try:
        sample_size(options.aspect_ratio, options.size)
        test_with(options.test_persons, options.split)
    except ValueError as error:
        parser.error(str(error))
    if options.upload_args and options.upload is None:
        parser.error("--upload-args needs --upload")
    if options.ray and options.shards is None:
        parser.error("--ray needs --shards")
    arguments.require_once(options, parser)
    if options.output is not None and options.output.startswith("s3://"):
        _require_bucket(options, parser)


def _require_bucket(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with a usage error if shards cannot be written to the bucket of --output."""
    if options.shards is None:
        parser.error("--output s3://... needs --shards; for one file there is --upload")
    if options.upload is not None:
        parser.error("--upload sends files from this machine, but --output is in a bucket already")
    from headpose_fast.stores.addresses import folder_of

    try:
        folder_of(options.output, "index.json")
    except ValueError as error:
        parser.error(str(error))


def _send(prepared: Prepared, options: argparse.Namespace) -> int:
    """Upload the file; if that fails, say how to try again."""
    try:
        return send(prepared.path, options.upload, options, asdict(prepared))
    except BaseException:
        import shlex

        again = shlex.join(["upload", str(prepared.path), options.upload])
        # Values are not printed: they may be secret keys.
        same = " with the same --upload-args" if options.upload_args else ""
        say(
            f"headpose-fast: {prepared.path} is complete and was kept; to upload it: "
            f"python -m headpose_fast {again}{same}"
        )
        raise


def _summary(prepared: Prepared) -> str:
    (train, *sample), (test, *_) = prepared.shapes[:2]
    people = {*prepared.train_persons, *prepared.test_persons} - {0}
    of = f"{prepared.photographs:,} photographs of {len(people) or 'unknown'} people"
    return (
        f"{of}: {_sides(prepared)}\n"
        f"{train:,} train and {test:,} test samples of {sample[2]} x {sample[1]} pixels, "
        f"seed {prepared.seed}, pickle kind {prepared.kind}\n"
        f"{'replaced' if prepared.replaced else 'wrote'} {prepared.address or prepared.path}: "
        f"{_shards(prepared)}{prepared.size:,} bytes in {prepared.seconds:.1f} s"
    )


def _shards(prepared: Prepared) -> str:
    """Say how many shards there are, and how many were there before."""
    if prepared.shards is None:
        return ""
    found = prepared.shards_found
    there = f" ({found:,} of them were there already)" if found else ""
    return f"{prepared.shards:,} shard{'s' if prepared.shards > 1 else ''}{there}, "


def _listed(numbers: Sequence[int]) -> str:
    """List people or series; of many only the first and the last."""
    if len(numbers) > _MOST_LISTED:
        return f"{len(numbers):,} from {numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _sides(prepared: Prepared) -> str:
    """Say which people or series are trained and tested on, and that none is in both.

    Where the column `split` of a table says which photographs are, people may be.
    """
    what, prefix = "person", ""
    train, test = prepared.train_persons, prepared.test_persons
    if not set(train).isdisjoint(test):
        what, prefix = "series", "series "
        train, test = prepared.train_series, prepared.test_series
    if not set(train).isdisjoint(test):
        both = {*prepared.train_persons}.intersection(prepared.test_persons)
        who = "whose people are unknown" if 0 in both else f"{len(both):,} people are on both"
        return f"divided by the table's column split into sides, {who}"
    training, testing = (f"{prefix}{_listed(side)}" for side in (train, test))
    return f"training on {training}; testing on {testing}; no {what} is in both"
