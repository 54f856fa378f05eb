"""Addresses of objects in a store, and arguments for an upload."""

import re
from typing import Any, NamedTuple

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_MOST_KEY_BYTES = 1024
_MOST_DIGITS = 20


class Destination(NamedTuple):
    """Where an object is in a store."""

    bucket: str
    key: str

    def __str__(self) -> str:
        """Return the address, s3://bucket/key."""
        return f"s3://{self.bucket}/{self.key}"


def destination(address: str, name: str) -> Destination:
    """Return the object that a file of this name becomes.

    The address is a folder, with or without a slash at its end, unless it ends in `.pkl`. Raises
    ValueError if it is malformed, or gives a name that S3 does not accept.
    """
    scheme, _, place = address.partition("://")
    bucket, _, path = place.partition("/")
    if scheme != "s3" or not _BUCKET.fullmatch(bucket):
        raise ValueError(f"{address!r} is not an address such as s3://bucket/folder")
    folders = path.removesuffix("/")
    if path and not {"", ".", ".."}.isdisjoint(folders.split("/")):
        raise ValueError(f"{address!r} has an empty or relative name in its path")
    key = path if path.endswith(".pkl") else f"{folders}/{name}" if folders else name
    if not key.isprintable() or len(key.encode()) > _MOST_KEY_BYTES:
        raise ValueError(
            f"{key!r} is unprintable or has more than {_MOST_KEY_BYTES:,} bytes; "
            "use an address like s3://bucket/name.pkl"
        )
    return Destination(bucket, key)


def folder_of(address: str, name: str) -> tuple[str, str]:
    """Return the folder for files in a bucket, and the name of the one that lists them.

    The address is the folder, or ends in the name, with `.json`, that is used instead of `name`.
    What is returned ends in a slash, so that `destination` takes it for a folder in any case.
    Raises ValueError if it is malformed.
    """
    folder, _, last = address.rpartition("/")
    if last.endswith(".pkl"):
        raise ValueError(f"{address!r} is not a folder, such as s3://bucket/folder")
    if not last.endswith(".json") or folder == "s3:/":
        folder, last = address.removesuffix("/"), name
    folder += "/"
    destination(folder, last)
    return folder, last


def extra_arg(text: str) -> tuple[str, Any]:
    """Parse `KEY=VALUE`, an argument of boto3's uploads; the value of Metadata is `a=1,b=2`.

    Raises ValueError if boto3 has no such argument, or its value is malformed.
    """
    from boto3.s3.transfer import S3Transfer

    key, equals, value = text.partition("=")
    if not equals or key not in S3Transfer.ALLOWED_UPLOAD_ARGS:
        raise ValueError(
            f"{text!r} is not KEY=VALUE with one of {', '.join(S3Transfer.ALLOWED_UPLOAD_ARGS)}"
        )
    if key == "MpuObjectSize":
        if not value.isascii() or not value.isdigit() or len(value) > _MOST_DIGITS:
            raise ValueError(f"{text!r} is not a number of bytes")
        return key, int(value)
    if key == "Metadata":
        pairs = [pair.partition("=") for pair in value.split(",")]
        if not all(name and equals for name, equals, _ in pairs):
            raise ValueError(f"{text!r} is not Metadata=NAME=VALUE,NAME=VALUE,...")
        return key, {name: content for name, _, content in pairs}
    return key, value
