"""The command line: options in, the path written on stdout, all else on stderr."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from headpose_fast._core import __version__
from headpose_fast.bundle import KINDS
from headpose_fast.pipeline import TEST_PERSONS, Prepared, prepare
from headpose_fast.progress import bar
from headpose_fast.rendering import MOST_SEED, SIZES

_MOST_PASSES = 9999


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
            _tell(f"headpose-fast: error: {line}")
    return 1


def _prepare(options: argparse.Namespace) -> int:
    if options.sample:
        options.input = _sample(quiet=options.quiet)
    prepared = prepare(
        options.input,
        options.output,
        num_data_aug=options.num_data_aug,
        num_data_aug_val=options.num_data_aug_val,
        aspect_ratio=options.aspect_ratio,
        seed=options.seed,
        test_persons=options.test_persons,
        pickle=options.pickle,
        workers=options.workers,
        allow_incomplete=options.allow_incomplete,
        sync=options.sync,
    )
    if not options.quiet:
        _tell(_summary(prepared))
    return _print(prepared.path)


def _sample(*, quiet: bool) -> Path:
    from headpose_fast.sample import sample_database

    with bar("sample database", "photographs", quiet=quiet) as progress:
        return sample_database(progress)


def _verify(options: argparse.Namespace) -> int:
    from headpose_fast.verification import verify

    verified = verify(options.file, options.input, workers=options.workers)
    if not options.quiet:
        how = "and are what the database makes" if verified.rendered else "(no forgery is excluded)"
        _tell(f"{verified.samples:,} samples have the right checksums {how}")
    return _print(verified.path)


def _inspect(options: argparse.Namespace) -> int:
    from headpose_fast.database import open_database
    from headpose_fast.inspection import inspect, write_index

    with bar("inspect", "B", quiet=options.quiet) as progress:
        inspection = inspect(options.file, progress=progress)
    if options.sample:
        options.input = _sample(quiet=options.quiet)
    database = None if options.input is None else open_database(options.input)
    if options.index is not None:
        if database is None:
            raise ValueError(
                f"{options.file}: its samples' photographs and crops follow from its options and "
                "the database: name the database with --input"
            )
        write_index(inspection, options.index, database)
    if options.picture is not None:
        from headpose_fast.picture import write_picture

        write_picture(inspection, options.picture, database)
    return _print(inspection.to_json() if options.json else str(inspection))


def _print(text: object) -> int:
    """Print on stdout; 1 if nobody reads it."""
    try:
        print(text, flush=True)
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


def _verify_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headpose-fast verify",
        description="Check every byte of a bundle: by its checksums, or by rendering it again.",
    )
    parser.add_argument("file", type=_path, metavar="FILE", help="the bundle")
    parser.add_argument(
        "--input",
        type=_path,
        metavar="PATH",
        help="the database it was made of; all samples are rendered again and compared",
    )
    _add_common(parser)
    return parser


def _inspect_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headpose-fast inspect",
        description="Tell what is in a bundle: options, shapes, poses, values.",
    )
    add = parser.add_argument
    add("file", type=_path, metavar="FILE", help="the bundle, or a file of the original script")
    add("--json", action="store_true", help="print one JSON object")
    add("--picture", type=_path, metavar="FILE.png", help="draw samples with their labels")
    add(
        "--index",
        type=_path,
        metavar="FILE.csv",
        help="list every sample's photograph and crop; needs --input",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--input",
        type=_path,
        metavar="PATH",
        help="the database it was made of; the picture shows a photograph of it, too",
    )
    source.add_argument("--sample", action="store_true", help="it was made of the sample database")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=_integer(1, 1024),
        metavar="N",
        help="threads; by default one for each core that this process may use",
    )
    parser.add_argument("--quiet", action="store_true", help="no summary")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headpose-fast",
        description="Turn the Head Pose Image Database into one pickle of augmented crops.",
        epilog="`headpose-fast verify FILE [--input PATH]` checks such a file; "
        "`headpose-fast inspect FILE` tells what is in it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--num-data-aug",
        type=_integer(1, _MOST_PASSES),
        default=15,
        metavar="N",
        help="crops of each photograph to train with",
    )
    add(
        "--num-data-aug-val",
        type=_integer(1, _MOST_PASSES),
        default=3,
        metavar="N",
        help="crops of each photograph to test with",
    )
    sizes = ", ".join(f"{ratio}: {width}x{height}" for ratio, (width, height) in SIZES.items())
    add("--aspect-ratio", type=int, choices=SIZES, default=1, help=f"size of the crops ({sizes})")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--input",
        type=_path,
        metavar="PATH",
        help="the database: .tar.gz, .tgz, .tar or a folder; "
        "by default HeadPoseImageDatabase.tar.gz or Person01 in the current folder",
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
        help="file to write, or folder for HeadPoseData_trn_test_xN_py2.pkl",
    )
    add("--seed", type=_integer(0, MOST_SEED), default=0, metavar="N", help="of the random crops")
    add(
        "--test-persons",
        type=_persons,
        default=",".join(map(str, TEST_PERSONS)),
        metavar="N,N,...",
        help="people to test with",
    )
    add(
        "--pickle",
        choices=KINDS,
        default="any",
        help="who can load the file: any Python, Python 2.7, or Python 3 (the fastest)",
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
    _add_common(parser)
    add("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _integer(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {least} to {most}")
        return int(text)

    return parse


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return text


def _persons(text: str) -> tuple[int, ...]:
    person = _integer(1, 99)
    persons = tuple(person(part) for part in text.split(","))
    if len(set(persons)) < len(persons):
        raise argparse.ArgumentTypeError(f"{text!r} names a person twice")
    return persons


def _summary(prepared: Prepared) -> str:
    (train, *sample), (test, *_) = prepared.shapes[:2]
    return "\n".join(
        [
            f"{prepared.photographs:,} photographs of "
            f"{len(prepared.train_persons) + len(prepared.test_persons)} people: "
            f"{_listed(prepared.train_persons)} train, {_listed(prepared.test_persons)} test",
            f"{train:,} train and {test:,} test samples of {sample[2]} x {sample[1]} pixels, "
            f"seed {prepared.seed}, pickle kind {prepared.kind}",
            f"{'replaced' if prepared.replaced else 'wrote'} {prepared.path}: "
            f"{prepared.size:,} bytes in {prepared.seconds:.1f} s",
        ]
    )


def _listed(persons: Sequence[int]) -> str:
    return ", ".join(map(str, persons))


#: Parsers and what runs for them, by the command line's first word. All else is the job itself.
_COMMANDS: dict[
    str, tuple[Callable[[], argparse.ArgumentParser], Callable[[argparse.Namespace], int]]
] = {
    "inspect": (_inspect_parser, _inspect),
    "verify": (_verify_parser, _verify),
}
