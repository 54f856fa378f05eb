"""Photographs that are objects of S3, or of a store that speaks its protocol.

Only here, and only for tables that name such objects, does the room need boto3. Credentials, region
and endpoint come from the standard AWS variables and files.
"""

# ruff: noqa: ANN401 (boto3 has no types)
from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from headpose_fast.daemons import Daemons
from headpose_fast.text import one_line

#: How addresses of objects begin.
SCHEME = "s3://"

_ADDRESS = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9])/(.+)", re.DOTALL)

#: Objects that are fetched at once, and attempts at each.
_THREADS, _ATTEMPTS = 16, 6

#: Seconds that connecting may take, and that a store may be silent.
_CONNECT_SECONDS, _READ_SECONDS = 20, 60


class Start(NamedTuple):
    """The beginning of an object."""

    content: bytes
    #: Bytes of all of it.
    length: int


class Failure(NamedTuple):
    """An object that was not fetched."""

    reason: str


def is_object(path: str) -> bool:
    """Whether this is the address of an object, and not a path."""
    return path.startswith(SCHEME)


def starts(addresses: Sequence[str], most: int) -> list[Start | Failure]:
    """Fetch the first `most` bytes of objects."""
    return _each(lambda address: _start(address, most), addresses)


def contents(addresses: Sequence[str], lengths: Sequence[int]) -> list[bytes | Failure]:
    """Fetch objects that had these lengths in bytes."""
    return _each(lambda wanted: _content(*wanted), list(zip(addresses, lengths, strict=True)))


_Wanted = TypeVar("_Wanted")
_Found = TypeVar("_Found")


def _each(fetch: Callable[[_Wanted], _Found], wanted: Sequence[_Wanted]) -> list[_Found | Failure]:
    """Fetch all in threads.

    Once the caller is stopped, none is begun, and those that stall are not waited for.
    """
    if not wanted:
        return []
    from botocore.exceptions import BotoCoreError, ClientError

    def fetched(one: _Wanted) -> _Found | Failure:
        try:
            return fetch(one)
        except (BotoCoreError, ClientError, OSError, ValueError) as error:
            return Failure(_reason(error))

    with Daemons(min(_THREADS, len(wanted))) as threads:
        return list(threads.map(fetched, wanted))


def _start(address: str, most: int) -> Start:
    bucket, key = _parsed(address)
    from botocore.exceptions import ClientError

    try:
        got, content = _got(most, Bucket=bucket, Key=key, Range=f"bytes=0-{most - 1}")
    except ClientError as error:
        # An empty object has no first byte.
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 416:
            return Start(b"", 0)
        raise
    _, _, length = got.get("ContentRange", "").partition("/")
    return Start(content, int(length) if length.isdigit() else got["ContentLength"])


def _content(address: str, length: int) -> bytes:
    bucket, key = _parsed(address)
    if length == 0:
        return b""
    _, content = _got(length + 1, Bucket=bucket, Key=key)
    if len(content) != length:
        raise OSError(f"it no longer has the {length:,} bytes that it had: it has changed")
    return content


def _got(most: int, **request: str) -> tuple[dict[str, Any], bytes]:
    """Ask for an object; return the answer, and at most so many bytes of what it brings.

    botocore tries again until an answer begins, but not when the connection is lost within it.
    """
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    client = _client(os.getpid())
    left: int = client.meta.config.retries["total_max_attempts"]
    while True:
        got = client.get_object(**request)
        left -= 1
        try:
            content = got["Body"].read(most)
            expected = min(most, got.get("ContentLength", 0))
            # Asked for so many bytes, it does not notice an orderly end before them.
            if len(content) < expected:
                raise IncompleteReadError(actual_bytes=len(content), expected_bytes=expected)
            return got, content
        except (HTTPClientError, IncompleteReadError):
            if left <= 0:
                raise


def _parsed(address: str) -> tuple[str, str]:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError("not an address such as s3://bucket/photograph.jpg")
    return match[1], match[2]


@functools.cache
def _client(process: int) -> Any:  # noqa: ARG001 (a forked process needs connections of its own)
    from boto3 import Session
    from botocore.config import Config

    retries: dict[str, Any] = {"mode": "standard"}
    if "AWS_MAX_ATTEMPTS" not in os.environ:
        retries["total_max_attempts"] = _ATTEMPTS
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries=retries,
        max_pool_connections=_THREADS,
    )
    return Session().client("s3", config=config)


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        answer = response.get("Error", {})
        return one_line(f"{answer.get('Message', '').removesuffix('.')} ({answer.get('Code', '')})")
    return one_line(str(error).removesuffix("."))
