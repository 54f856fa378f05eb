"""Looking at objects in S3, or in a store that speaks its protocol, and deleting them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from headpose_fast.errors import UploadError
from headpose_fast.stores.addresses import Destination
from headpose_fast.stores.clients import new_client, reason_of

#: From so many bytes on a file is sent in parts of so many. Multipart uploads have 10,000 parts at
#: most; for larger files boto3 doubles the part size.
PART_SIZE = 8 << 20
_MOST_PARTS = 10_000

#: Bytes that are read at once.
_BLOCK = 1 << 20


class Found(NamedTuple):
    """What a store says of an object."""

    size: int
    #: None if it is not made from MD5s: of some stores, and of objects encrypted with other keys
    #: than S3's own.
    etag: str | None
    #: Names are in lower case.
    metadata: Mapping[str, str]

    @classmethod
    def of(cls, head: Mapping[str, Any]) -> Found:
        """Read the answer to HeadObject."""
        etag = head["ETag"].strip('"')
        plain = head.get("ServerSideEncryption") in (None, "AES256")
        plain = plain and "SSECustomerAlgorithm" not in head
        plain = plain and re.fullmatch(r"[0-9a-f]{32}(-[0-9]+)?", etag) is not None
        return cls(head["ContentLength"], etag if plain else None, head.get("Metadata", {}))


class Objects:
    """Asks a store about objects, with a client that is made once.

    Raises UploadError, which names the object and says what to do, if the store or the network
    refuses.
    """

    def __init__(self) -> None:
        """Make the client."""
        from boto3 import Session
        from botocore.exceptions import BotoCoreError

        try:
            self._client = new_client(Session())
        except BotoCoreError as error:
            raise UploadError(f"S3: {reason_of(error)}") from error

    def found(self, target: Destination) -> Found | None:
        """Ask for an object; None if there is none."""
        with _refusals(target):
            try:
                head = self._client.head_object(Bucket=target.bucket, Key=target.key)
            except self._client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in ("404", "NoSuchKey", "NotFound"):
                    raise
                return None
        if "ContentLength" not in head or "ETag" not in head:
            raise UploadError(f"{target}: the answer is not a store's; check AWS_ENDPOINT_URL")
        return Found.of(head)

    def require_bucket(self, target: Destination) -> None:
        """Raise UploadError unless the bucket is there: an object that is not says nothing."""
        with _refusals(target):
            self._client.head_bucket(Bucket=target.bucket)

    def delete(self, target: Destination) -> None:
        """Delete an object, if it is there."""
        with _refusals(target):
            self._client.delete_object(Bucket=target.bucket, Key=target.key)


@contextmanager
def _refusals(target: Destination) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, RecursionError) as error:
        raise UploadError(f"{target}: {reason_of(error)}") from error


def etag_of(path: Path) -> str:
    """Return the ETag that S3 makes of a file that `send_file` sends."""
    size, part = path.stat().st_size, PART_SIZE
    while part * _MOST_PARTS < size:
        part *= 2
    with path.open("rb") as file:
        digests = []
        for _ in range(max(1, -(-size // part))):
            digest, left = hashlib.md5(usedforsecurity=False), part
            while left and (block := file.read(min(left, _BLOCK))):
                digest.update(block)
                left -= len(block)
            digests.append(digest)
    return joined_etag([digest.digest() for digest in digests], in_parts=size >= PART_SIZE)


def joined_etag(digests: list[bytes], *, in_parts: bool) -> str:
    """Return the ETag that S3 makes of the MD5s of an object's parts, or of its only MD5."""
    if not in_parts:
        return digests[0].hex()
    joined = hashlib.md5(b"".join(digests), usedforsecurity=False)
    return f"{joined.hexdigest()}-{len(digests)}"
