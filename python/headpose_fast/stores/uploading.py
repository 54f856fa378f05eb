"""Uploading a bundle, or the shards of an index and then the index."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headpose_fast.errors import naming
from headpose_fast.progress import Progress, bar
from headpose_fast.stores.addresses import destination
from headpose_fast.stores.s3 import send_file


def upload(
    file: str | os.PathLike[str],
    address: str,
    *,
    extra_args: Mapping[str, Any] | None = None,
    progress: Progress | bool = False,
) -> str:
    """Upload a file, as `python -m headpose_fast upload` does.

    The shards of an index are uploaded before it, so it never lists what is not there; an older one
    of its name stays until then, though its shards may be replaced before. Credentials, region and
    endpoint come from the standard AWS variables and files. The store checks the MD5 of each part
    as it arrives. Then the object's size is compared with the file's, and so is its ETag, if it is
    made from those MD5s.

    Args:
        file: The file, or the index of shards.
        address: `s3://bucket/folder`, with or without a slash at the end, for an object in that
            folder with the file's name; `s3://bucket/name.pkl` for exactly that object.
        extra_args: Arguments for the object by their names in boto3's `ALLOWED_UPLOAD_ARGS`, such
            as `{"StorageClass": "STANDARD_IA"}`. A checksum argument replaces the MD5s.
        progress: Called with the bytes sent and the size of the file, or of all files, in the
            caller's thread; True for a progress bar in a terminal or notebook.

    Returns:
        The object's address, `s3://bucket/key`.

    Raises:
        UploadError: The store or the network refused, or a different file arrived. An
            unfinished upload was aborted, or the message has the command that aborts it.
        OSError: The file cannot be read.
        ValueError: The address is malformed, or that of one object for an index, boto3 has no such
            argument, or a shard is not the one that the index lists.

    """
    path = Path(file)
    target = destination(address, path.name)
    files = _files(path)
    if len(files) > 1 and target.key.endswith(".pkl"):
        raise ValueError(f"{address}: shards and their index go to a folder, s3://bucket/folder")
    total = sum(each.stat().st_size for each in files)
    before = 0
    with bar("upload", "B", progress) as report:
        for each in files:
            to = target if each == path else destination(address, each.name)
            send_file(each, to, extra_args=extra_args, progress=_after(before, total, report))
            before += each.stat().st_size
    return str(target)


def _after(before: int, total: int, report: Progress) -> Progress:
    """Return a function for the progress of a file, of which so many bytes were sent before."""
    return lambda done, _: report(before + done, total)


def _files(path: Path) -> list[Path]:
    """Return what to send for a file: for an index, its shards before it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file to upload")
    with path.open("rb") as file, naming(path):
        if file.read(1) != b"{":
            return [path]
        # What reads bundles, and NumPy with it, is needed only here.
        from headpose_fast.bundle.shards import Index

        index = Index.read(file)
        index.require_there(path.parent)
        return [*(path.parent / shard.file for shard in index.shards), path]
