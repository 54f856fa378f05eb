"""The command line: options in, the path written on stdout, all else on stderr."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headpose_fast._core import __version__
from headpose_fast.bundle import KINDS
from headpose_fast.database import PUBLISHED_DIGEST, printable
from headpose_fast.download import kept_at
from headpose_fast.pipeline import TEST_PERSONS, Prepared, prepare, test_with
from headpose_fast.progress import bar
from headpose_fast.rendering import MOST_SEED, MOST_SIDE, SIZES, sample_size

_MOST_PASSES = 9999

#: Of a whole number: Python refuses thousands of them with words of its own.
_MOST_DIGITS = 20

_EXAMPLES = """\
commands:
  headpose-fast inspect FILE   tell what is in such a file, or draw it
  headpose-fast verify FILE    check every byte of it
  headpose-fast upload FILE s3://BUCKET/FOLDER

examples:
  headpose-fast                               the file of the DeepLens sample
  headpose-fast --sample                      the same of a built-in database, to try it
  headpose-fast --pickle py3 --size 224x224   for a network of today, in Python 3
  headpose-fast --split unknown:7             test with person 7, train with all others
  headpose-fast --upload s3://my-bucket/headpose/datasets
"""

_INSPECT_EXAMPLES = """\
examples:
  headpose-fast inspect HeadPoseData_trn_test_x15_py2.pkl
  headpose-fast inspect HeadPoseData_trn_test_x15_py2.pkl --picture sheet.png --index samples.csv
"""

_VERIFY_EXAMPLES = """\
examples:
  headpose-fast verify HeadPoseData_trn_test_x15_py2.pkl
  headpose-fast verify HeadPoseData_trn_test_x15_py2.pkl --input HeadPoseImageDatabase.tar.gz
"""

_UPLOAD_EXAMPLES = """\
Credentials, profile, region and endpoint are those of the standard AWS variables and files.

examples:
  headpose-fast upload HeadPoseData_trn_test_x15_py2.pkl s3://my-bucket/headpose/datasets
  headpose-fast upload mine.pkl s3://my-bucket/mine.pkl --upload-args StorageClass=STANDARD_IA
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 failed."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser, run = _COMMANDS.get(arguments[0] if arguments else "", (_parser, _prepare))
    options = parser().parse_args(arguments[run is not _prepare :])
    try:
        return run(options)
    except MemoryError:
        _tell("headpose-fast: error: not enough memory")
    except (OSError, ValueError) as error:
        for line in str(error).splitlines():
            _tell(f"headpose-fast: error: {printable(line)}")
    return 1


def _prepare(options: argparse.Namespace) -> int:
    try:
        sample_size(options.aspect_ratio, options.size)
        test_with(options.test_persons, options.split)
    except ValueError as error:
        _parser().error(str(error))
    if options.upload_args and options.upload is None:
        _parser().error("--upload-args is for --upload")
    _require_once(options, _parser)
    if options.sample:
        from headpose_fast.sample import sample_database

        with bar("sample database", " photographs", not options.quiet) as progress:
            options.input = sample_database(progress)
    if not options.quiet and (kept := kept_at(options.input)):
        _tell(f"looking for the database on the net, to keep it as {kept}")
    prepared = prepare(
        options.input,
        options.output,
        num_data_aug=options.num_data_aug,
        num_data_aug_val=options.num_data_aug_val,
        aspect_ratio=options.aspect_ratio,
        seed=options.seed,
        test_persons=options.test_persons,
        split=options.split,
        size=options.size,
        pickle=options.pickle,
        workers=options.workers,
        allow_incomplete=options.allow_incomplete,
        sync=options.sync,
        progress=not options.quiet,
    )
    if not options.quiet:
        _tell(_summary(prepared))
        if not options.sample and prepared.digest != PUBLISHED_DIGEST:
            _tell(f"note: this is not the published database: its digest is {prepared.digest}")
    facts = asdict(prepared)
    status = 0 if options.json and options.upload else _print(prepared.path, facts, options)
    if options.upload is None:
        return status
    try:
        return _send(prepared.path, options.upload, options, facts) or status
    except BaseException:
        import shlex

        again = shlex.join(["upload", str(prepared.path), options.upload])
        # Not their values: they may be keys.
        same = " with the same --upload-args" if options.upload_args else ""
        _tell(
            f"headpose-fast: {prepared.path} is complete and stays; to upload it again: "
            f"python -m headpose_fast {again}{same}"
        )
        raise


def _verify(options: argparse.Namespace) -> int:
    from headpose_fast.verification import verify

    verified = verify(options.file, options.input, workers=options.workers)
    if not options.quiet:
        how = "and are what the database makes" if verified.rendered else "(no forgery is excluded)"
        _tell(f"{verified.samples:,} samples have the right checksums {how}")
    facts = {"path": verified.path, "samples": verified.samples, "rendered": verified.rendered}
    return _print(verified.path, facts, options)


def _inspect(options: argparse.Namespace) -> int:
    from headpose_fast.inspection import database_of, inspect, write_index

    if options.input is not None and options.picture is None and options.index is None:
        _inspect_parser().error("--input is for --picture and --index")
    if options.picture is not None and options.picture == options.index:
        _inspect_parser().error("--picture and --index are one file")
    inspection = inspect(options.file, progress=not options.quiet)
    if options.index is not None or options.picture is not None:
        database = database_of(inspection, options.input)
    if options.index is not None:
        write_index(inspection, options.index, database)
    if options.picture is not None:
        from headpose_fast.picture import write_picture

        write_picture(inspection, options.picture, database)
    return _print(inspection, inspection.facts(), options)


def _upload(options: argparse.Namespace) -> int:
    _require_once(options, _upload_parser)
    return _send(options.file, options.address, options, {"path": options.file})


def _require_once(
    options: argparse.Namespace, parser: Callable[[], argparse.ArgumentParser]
) -> None:
    keys = [key for key, _ in options.upload_args or ()]
    for key in keys:
        if keys.count(key) > 1:
            parser().error(f"--upload-args has {key} twice")


def _send(
    file: str | Path, address: str, options: argparse.Namespace, facts: Mapping[str, object]
) -> int:
    """Upload a file and print the object's address."""
    from headpose_fast.s3 import upload

    extra_args = dict(options.upload_args or ())
    uploaded = upload(file, address, extra_args=extra_args, progress=not options.quiet)
    return _print(uploaded, {**facts, "uploaded": uploaded}, options)


def _print(result: object, facts: Mapping[str, object], options: argparse.Namespace) -> int:
    """Print a result on stdout, or facts as JSON with --json; 1 if nobody reads it."""
    text = json.dumps(facts, default=str) if options.json else str(result)
    if sys.stdout is None:
        _tell("headpose-fast: error: stdout: it is closed")
        return 1
    try:
        try:
            print(text, flush=True)
        except UnicodeEncodeError:
            print(text.encode("ascii", "backslashreplace").decode(), flush=True)
    except OSError as error:
        _tell(f"headpose-fast: error: stdout: {error}")
        # Python would try again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return 0


def _tell(text: str) -> None:
    """Print on stderr, if anyone listens."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def _inspect_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headpose-fast inspect",
        description="Tell what is in a bundle: shapes, options, seed, poses, values.",
        epilog=_INSPECT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=_path, metavar="FILE", help="the bundle, or a file of the original script")
    add(
        "--picture",
        type=_png,
        metavar="FILE.png",
        help="draw samples of all poses, and a photograph with its crops if the database is found",
    )
    add(
        "--index",
        type=_path,
        metavar="FILE.csv",
        help="list the photograph, labels and crop of every sample",
    )
    add(
        "--input",
        type=_path,
        metavar="PATH",
        help="the database it was made of (default: as found in the current folder or the cache)",
    )
    _add_talk(parser)
    return parser


def _verify_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headpose-fast verify",
        description="Check every byte of a bundle: by its checksums, or by rendering it again.",
        epilog=_VERIFY_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=_path, metavar="FILE", help="the bundle")
    parser.add_argument(
        "--input",
        type=_path,
        metavar="PATH",
        help="the database it was made of; all samples are rendered again and compared",
    )
    _add_workers(parser)
    _add_talk(parser)
    return parser


def _upload_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headpose-fast upload",
        description="Upload a bundle to S3, and check what arrived.",
        epilog=_UPLOAD_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=_path, metavar="FILE", help="the bundle")
    parser.add_argument(
        "address",
        type=_address,
        metavar="ADDRESS",
        help="s3://bucket/folder, or s3://bucket/name.pkl for an object of another name",
    )
    _add_upload_args(parser)
    _add_talk(parser)
    return parser


def _add_upload_args(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--upload-args",
        type=_upload_arg,
        action="append",
        metavar="KEY=VALUE",
        help="an argument of boto3's uploads, such as StorageClass=STANDARD_IA; may be repeated",
    )


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=_integer(1, 1024),
        metavar="N",
        help="threads (default: one for each core that this process may use)",
    )


def _add_talk(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="no progress and no summary")
    parser.add_argument(
        "--json", action="store_true", help="a JSON object on stdout in place of the path"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headpose-fast",
        description="Turn the Head Pose Image Database into one pickle of augmented crops.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--num-data-aug",
        type=_integer(1, _MOST_PASSES),
        default=15,
        metavar="N",
        help="crops of each photograph to train with (default: %(default)s)",
    )
    add(
        "--num-data-aug-val",
        type=_integer(1, _MOST_PASSES),
        default=3,
        metavar="N",
        help="crops of each photograph to test with (default: %(default)s)",
    )
    sizes = ", ".join(f"{ratio}: {width}x{height}" for ratio, (width, height) in SIZES.items())
    add(
        "--aspect-ratio",
        type=int,
        choices=SIZES,
        default=1,
        help="proportions of the crops, 1:1 or 16:9, and size of the samples: "
        f"{sizes} (default: %(default)s)",
    )
    add(
        "--size",
        type=_size,
        metavar="WxH",
        help="another size of the samples in pixels, of the same proportions, such as 224x224",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--input",
        type=_path,
        metavar="PATH",
        help="the database: .tar.gz, .tgz, .tar, a folder, or an http(s) address (default: "
        "HeadPoseImageDatabase.tar.gz or Person01 in the current folder, else it is downloaded)",
    )
    source.add_argument(
        "--sample",
        action="store_true",
        help="use the built-in sample database of rendered heads",
    )
    add(
        "--output",
        type=_path,
        metavar="PATH",
        default=".",
        help="file to write, or folder for HeadPoseData_trn_test_xN_py2.pkl (default: this folder)",
    )
    add(
        "--seed",
        type=_integer(0, MOST_SEED),
        default=0,
        metavar="N",
        help="of the random crops (default: %(default)s)",
    )
    split = parser.add_mutually_exclusive_group()
    split.add_argument(
        "--test-persons",
        type=_persons,
        metavar="N,N,...",
        help=f"people to test with (default: {','.join(map(str, TEST_PERSONS))})",
    )
    split.add_argument(
        "--split",
        metavar="FOLD",
        help="test with a fold of the database's own protocols: known:1 or known:2 (known faces: "
        "that series of everyone), or unknown:1 to unknown:15 (unknown faces: that person)",
    )
    add(
        "--pickle",
        choices=KINDS,
        default="any",
        help="who can load the file: any Python, Python 2.7, or Python 3, the fastest "
        "(default: %(default)s)",
    )
    add(
        "--allow-incomplete",
        action="store_true",
        help="go on although photographs of the published database lack",
    )
    add(
        "--sync",
        action="store_true",
        help="wait until the file is on the disk, where it survives a power cut",
    )
    add(
        "--upload",
        type=_address,
        metavar="ADDRESS",
        help="then upload the file to this folder, s3://bucket/folder",
    )
    _add_upload_args(parser)
    _add_workers(parser)
    _add_talk(parser)
    add("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _integer(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        short = len(text) <= _MOST_DIGITS and text.isascii()
        if not short or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {least} to {most}")
        return int(text)

    return parse


def _size(text: str) -> tuple[int, int]:
    side = _integer(1, MOST_SIDE)
    width, by, height = text.partition("x")
    if not by:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT")
    return side(width), side(height)


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return text


def _address(text: str) -> str:
    from headpose_fast.s3 import destination

    try:
        destination(text, "")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _upload_arg(text: str) -> tuple[str, Any]:
    from headpose_fast.s3 import extra_arg

    try:
        return extra_arg(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _png(text: str) -> str:
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png")
    return text


def _persons(text: str) -> tuple[int, ...]:
    person = _integer(1, 99)
    persons = tuple(person(part) for part in text.split(","))
    if len(set(persons)) < len(persons):
        raise argparse.ArgumentTypeError(f"{text!r} names a person twice")
    return persons


def _summary(prepared: Prepared) -> str:
    (train, *sample), (test, *_) = prepared.shapes[:2]
    people = {*prepared.train_persons, *prepared.test_persons}
    return "\n".join(
        [
            f"{prepared.photographs:,} photographs of {len(people)} people: {_sides(prepared)}",
            f"{train:,} train and {test:,} test samples of {sample[2]} x {sample[1]} pixels, "
            f"seed {prepared.seed}, pickle kind {prepared.kind}",
            f"{'replaced' if prepared.replaced else 'wrote'} {prepared.path}: "
            f"{prepared.size:,} bytes in {prepared.seconds:.1f} s",
        ]
    )


def _sides(prepared: Prepared) -> str:
    """Say who trains and who tests, and that nobody does both."""
    if set(prepared.train_persons).isdisjoint(prepared.test_persons):
        what, train, test = "person", prepared.train_persons, prepared.test_persons
        prefix = ""
    else:
        what, train, test = "series", prepared.train_series, prepared.test_series
        prefix = "series "
    if not set(train).isdisjoint(test):
        raise AssertionError(f"{what} {train} and {test} are not apart")
    sides = f"{prefix}{_listed(train)} train, {prefix}{_listed(test)} test"
    return f"{sides}; no {what} is on both sides"


def _listed(persons: Sequence[int]) -> str:
    return ", ".join(map(str, persons))


#: Parsers and what runs for them, by the command line's first word. All else is the job itself.
_COMMANDS: dict[
    str, tuple[Callable[[], argparse.ArgumentParser], Callable[[argparse.Namespace], int]]
] = {
    "inspect": (_inspect_parser, _inspect),
    "verify": (_verify_parser, _verify),
    "upload": (_upload_parser, _upload),
}
