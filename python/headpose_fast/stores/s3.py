"""Uploading a file to S3, or to a store that speaks its protocol, and checking what arrived."""

# ruff: noqa: ANN401 (boto3 has no types)
import logging
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headpose_fast.errors import UploadError
from headpose_fast.progress import Progress, bar
from headpose_fast.stores.addresses import Destination, destination
from headpose_fast.stores.running import Daemons, Running

_log = logging.getLogger(__name__)

#: Multipart uploads have 10,000 parts at most; for larger files boto3 doubles the part size.
_PART_SIZE = 8 << 20

#: Attempts at each request, with pauses that double from 1 s and are shortened at random.
_ATTEMPTS = 6
#: Seconds after which a connection that takes no data, or a silent store, has failed.
_SEND_TIMEOUT, _ANSWER_TIMEOUT = 20, 60
#: Seconds for a stopped transfer to end by itself, and for aborting it if it does not.
_GRACE = 3

_HINTS = {
    "NoSuchBucket": "check the name, and AWS_ENDPOINT_URL",
    "AccessDenied": "s3:PutObject, s3:GetObject and s3:AbortMultipartUpload are needed",
    "403": "s3:PutObject, s3:GetObject and s3:AbortMultipartUpload are needed",
    "ExpiredToken": "the session has expired; log in again",
    "ExpiredTokenException": "the session has expired; log in again",
    "InvalidAccessKeyId": "the store does not know these credentials",
    "SignatureDoesNotMatch": "the store does not know these credentials",
    "PermanentRedirect": "the bucket is in another region; set AWS_DEFAULT_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set AWS_DEFAULT_REGION",
    # botocore asks a redirecting store for the bucket's region, and is redirected again.
    "RecursionError": "the store redirects endlessly; check AWS_ENDPOINT_URL",
    "NoCredentialsError": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}


def upload(
    file: str | os.PathLike[str],
    address: str,
    *,
    extra_args: Mapping[str, Any] | None = None,
    progress: Progress | bool = False,
) -> str:
    """Upload a file, as `python -m headpose_fast upload` does.

    Credentials, region and endpoint come from the standard AWS variables and files. The store
    checks the MD5 of each part as it arrives. Then the object's size is compared with the file's,
    and so is its ETag, if it is made from those MD5s.

    Args:
        file: The file.
        address: `s3://bucket/folder`, with or without a slash at the end, for an object in that
            folder with the file's name; `s3://bucket/name.pkl` for exactly that object.
        extra_args: Arguments for the object by their names in boto3's `ALLOWED_UPLOAD_ARGS`, such
            as `{"StorageClass": "STANDARD_IA"}`. A checksum argument replaces the MD5s.
        progress: Called with the bytes sent and the file's size, in the caller's thread; True for a
            progress bar in a terminal or notebook.

    Returns:
        The object's address, `s3://bucket/key`.

    Raises:
        UploadError: The store or the network refused, or a different file arrived. An
            unfinished upload was aborted, or the message has the command that aborts it.
        OSError: The file cannot be read.
        ValueError: The address is malformed, or boto3 has no such argument.

    """
    from boto3 import Session
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    path = Path(file)
    target = destination(address, path.name)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file to upload")
    with path.open("rb") as opened:
        before = os.fstat(opened.fileno())

    def require_unchanged() -> None:
        now = path.stat()
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise UploadError(
                f"{path}: changed while it was being uploaded to {target}; upload it again"
            )

    args = dict(extra_args or {})
    running = Running(target, require_unchanged)
    try:
        session = Session()
        client = _client(session, _SEND_TIMEOUT, _ANSWER_TIMEOUT, _ATTEMPTS)
        with bar("upload", "B", progress) as report:
            _transfer(session, client, path, before.st_size, args, running, report)
        require_unchanged()
        _check(client, target, args, before.st_size, running.etag())
    except (Boto3Error, BotoCoreError, ClientError, RecursionError) as error:
        raise UploadError(
            f"{path}: upload to {target} failed: {_reason(error)}{running.remains()}"
        ) from error
    except BaseException:
        if running.upload_id is not None:
            _log.warning("%s: upload stopped%s", target, running.remains())
        raise
    require_unchanged()
    return str(target)


def _client(session: Any, send_timeout: int, answer_timeout: int, attempts: int) -> Any:
    from botocore.config import Config

    # Newer modes wait for fractions of a second and share a quota of retries among all parts, so a
    # network failure of half a second would end the upload.
    retries: dict[str, Any] = {"mode": "legacy"}
    if "AWS_MAX_ATTEMPTS" not in os.environ:
        retries["total_max_attempts"] = attempts
    config = Config(
        # urllib3 also applies the connect timeout to sending.
        connect_timeout=send_timeout,
        read_timeout=answer_timeout,
        retries=retries,
        # Older stores refuse boto3's trailing CRCs, or store them as data. All support MD5s.
        request_checksum_calculation="when_required",
    )
    try:
        return session.client("s3", config=config)
    except ValueError as error:
        raise UploadError(f"a value in AWS's variables or files is wrong: {error}") from error


def _transfer(
    session: Any,
    client: Any,
    path: Path,
    size: int,
    args: dict[str, Any],
    running: Running,
    progress: Progress,
) -> None:
    """Send the file; if that fails or is stopped, abort it."""
    from boto3.s3.transfer import TransferConfig, TransferManager

    running.listen(client.meta.events)
    config = TransferConfig(multipart_threshold=_PART_SIZE, multipart_chunksize=_PART_SIZE)
    # `upload_file` does the same, but its threads keep a stopped process alive until they are done.
    manager = TransferManager(client, config, executor_cls=Daemons)
    future = manager.upload(str(path), *running.target, args, [running])
    try:
        while not running.ended.wait(0.1):
            progress(running.sent, size)
        future.result()
    except BaseException:
        future.cancel()
        if not running.ended.wait(_GRACE):
            _abort(session, running)
        raise
    finally:
        # In a thread, because it waits for stalled connections.
        threading.Thread(target=manager.shutdown, daemon=True).start()
    progress(size, size)


def _abort(session: Any, running: Running) -> None:
    """Abort a transfer that does not end by itself, or give up soon."""
    from botocore.exceptions import BotoCoreError, ClientError

    if running.upload_id is None:
        return
    client = _client(session, _GRACE, _GRACE, attempts=1)
    client.meta.events.register("after-call.s3.AbortMultipartUpload", running.after_end)
    bucket, key = running.target
    try:
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=running.upload_id)
    except (BotoCoreError, ClientError):
        _log.debug("abort failed", exc_info=True)  # `remains` reports it.


def _check(
    client: Any, target: Destination, args: Mapping[str, Any], size: int, etag: str | None
) -> None:
    """Raise UploadError unless the store has an object of this size and ETag."""
    needed = ("SSECustomerAlgorithm", "SSECustomerKey", "ExpectedBucketOwner", "RequestPayer")
    given = {name: args[name] for name in needed if name in args}
    head = client.head_object(Bucket=target.bucket, Key=target.key, **given)
    stored = head["ContentLength"]
    if stored != size:
        raise UploadError(
            f"{target}: has {stored:,} bytes, but {size:,} were sent; upload it again"
        )
    # The ETags of objects encrypted with keys other than S3's own are not made from MD5s.
    plain = head.get("ServerSideEncryption") in (None, "AES256")
    plain = plain and "SSECustomerAlgorithm" not in head
    found = head["ETag"].strip('"')
    if plain and etag is not None and _like(found, etag) and found != etag:
        raise UploadError(f"{target}: has ETag {found}, but the file has {etag}; upload it again")


def _like(found: str, etag: str) -> bool:
    """Whether an ETag has the form of S3's; some stores use their own."""
    return re.fullmatch(r"[0-9a-f]{32}", found.removesuffix(etag[32:])) is not None


def _reason(error: Exception) -> str:
    """Say in a line what went wrong and, if known, what to do."""
    code, text = type(error).__name__, str(error)
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        answer = response.get("Error", {})
        code = answer.get("Code", "")
        text = f"{answer.get('Message', '')} ({code})"
    # Servers' messages may contain anything.
    printable = "".join(c if c.isprintable() else " " for c in text.removesuffix("."))
    line = " ".join(printable.split())
    return f"{line}: {_HINTS[code]}" if code in _HINTS else line
