"""Uploading a file to S3, or to a store that speaks its protocol, and checking what arrived."""

# ruff: noqa: ANN401 (boto3 has no types)
from __future__ import annotations

import hashlib
import logging
import os
import re
import shlex
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, NamedTuple

from headpose_fast.progress import Progress, bar

_log = logging.getLogger(__name__)

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_MOST_KEY_BYTES = 1024
_MOST_DIGITS = 20

#: Multipart uploads have 10,000 parts at most; boto3 doubles the parts of files that are too large.
_PART_SIZE = 8 << 20

#: Tries of each request, with pauses that double from 1 s and are cut at random.
_ATTEMPTS = 6
#: Seconds until a connection that takes no byte, or a store that gives no answer, has failed.
_SEND_TIMEOUT, _ANSWER_TIMEOUT = 20, 60
#: Seconds that a stopped transfer may take to end by itself, and to be aborted if it does not.
_GRACE = 3

_HINTS = {
    "NoSuchBucket": "check the name, and AWS_ENDPOINT_URL",
    "AccessDenied": "s3:PutObject, s3:GetObject and s3:AbortMultipartUpload are needed",
    "403": "s3:PutObject, s3:GetObject and s3:AbortMultipartUpload are needed",
    "ExpiredToken": "the session has expired, log in again",
    "ExpiredTokenException": "the session has expired, log in again",
    "InvalidAccessKeyId": "the store does not know these credentials",
    "SignatureDoesNotMatch": "the store does not know these credentials",
    "PermanentRedirect": "the bucket is in another region, set AWS_DEFAULT_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region, set AWS_DEFAULT_REGION",
    # botocore asks a store that redirects for the bucket's region, and is redirected again.
    "RecursionError": "the store redirects without end, check AWS_ENDPOINT_URL",
    "NoCredentialsError": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}

#: What answers must have. Other servers than stores may answer too.
_NEEDED = {
    "CreateMultipartUpload": ("UploadId",),
    "UploadPart": ("ETag",),
    "HeadObject": ("ContentLength", "ETag"),
}


class UploadError(OSError):
    """A file was not uploaded, or what arrived is not the file. The local file is untouched."""


class Destination(NamedTuple):
    """Where in a store an object stands."""

    bucket: str
    key: str

    def __str__(self) -> str:
        """Give the address, s3://bucket/key."""
        return f"s3://{self.bucket}/{self.key}"


def destination(address: str, name: str) -> Destination:
    """Tell which object a file of this name becomes.

    The address is a folder, with or without a slash at its end, unless it ends in `.pkl`.

    Raises:
        ValueError: The address is malformed, or makes a name that S3 does not take.

    """
    scheme, _, place = address.partition("://")
    bucket, _, path = place.partition("/")
    if scheme != "s3" or not _BUCKET.fullmatch(bucket):
        raise ValueError(f"{address!r} is no address such as s3://bucket/folder")
    folders = path.removesuffix("/")
    if path and not {"", ".", ".."}.isdisjoint(folders.split("/")):
        raise ValueError(f"{address!r} has an empty or relative name in its path")
    key = path if path.endswith(".pkl") else f"{folders}/{name}" if folders else name
    if not key.isprintable() or len(key.encode()) > _MOST_KEY_BYTES:
        raise ValueError(
            f"{key!r} is unprintable or has more than {_MOST_KEY_BYTES:,} bytes; "
            "give an address s3://bucket/name.pkl"
        )
    return Destination(bucket, key)


def extra_arg(text: str) -> tuple[str, Any]:
    """Parse `KEY=VALUE`, of the arguments that boto3 takes for uploads; Metadata is `a=1,b=2`.

    Raises:
        ValueError: boto3 knows no such argument, or its value is malformed.

    """
    from boto3.s3.transfer import S3Transfer

    key, equals, value = text.partition("=")
    if not equals or key not in S3Transfer.ALLOWED_UPLOAD_ARGS:
        raise ValueError(
            f"{text!r} is not KEY=VALUE with one of {', '.join(S3Transfer.ALLOWED_UPLOAD_ARGS)}"
        )
    if key == "MpuObjectSize":
        if not value.isascii() or not value.isdigit() or len(value) > _MOST_DIGITS:
            raise ValueError(f"{text!r} is no number of bytes")
        return key, int(value)
    if key == "Metadata":
        pairs = [pair.partition("=") for pair in value.split(",")]
        if not all(name and equals for name, equals, _ in pairs):
            raise ValueError(f"{text!r} is not Metadata=NAME=VALUE,NAME=VALUE,...")
        return key, {name: content for name, _, content in pairs}
    return key, value


def upload(
    file: str | os.PathLike[str],
    address: str,
    *,
    extra_args: Mapping[str, Any] | None = None,
    progress: Progress | bool = False,
) -> str:
    """Upload a file, as `python -m headpose_fast upload` does.

    Credentials, region and endpoint are those of the standard AWS variables and files. The store
    checks the MD5 of each part as it arrives; then its size and, where that is made of those MD5s,
    its ETag are compared with the file's.

    Args:
        file: The file.
        address: `s3://bucket/folder`, with or without a slash at the end, for an object of the
            file's name in the folder; `s3://bucket/name.pkl` for that very object.
        extra_args: Arguments for the object by their names in boto3's `ALLOWED_UPLOAD_ARGS`, such
            as `{"StorageClass": "STANDARD_IA"}`. With one of a checksum, that replaces the MD5s.
        progress: Is told the bytes sent and the file's size, in the caller's thread; True for a
            bar, in a terminal or notebook.

    Returns:
        The object's address, `s3://bucket/key`.

    Raises:
        UploadError: The store or the network refused, or what arrived is not the file. An
            unfinished upload was aborted, or the message has the command that does it.
        OSError: The file cannot be read.
        ValueError: The address is malformed, or boto3 takes no such argument.

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
                f"{path}: was changed while it was uploaded to {target}; upload it again"
            )

    args = dict(extra_args or {})
    running = _Running(target, require_unchanged)
    try:
        session = Session()
        client = _client(session, _SEND_TIMEOUT, _ANSWER_TIMEOUT, _ATTEMPTS)
        with bar("upload", "B", progress) as shown:
            _transfer(session, client, path, before.st_size, args, running, shown)
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


class _Running:
    """What is known of a transfer, told by boto3's events in boto3's threads."""

    def __init__(self, target: Destination, require_unchanged: Callable[[], None]) -> None:
        self.target = target
        self._require_unchanged = require_unchanged
        #: Bytes sent, but for those of requests that failed.
        self.sent = 0
        #: Set when nothing happens any more.
        self.ended = threading.Event()
        #: Of a multipart upload that is neither completed nor aborted.
        self.upload_id: str | None = None
        self._future: Any = None
        #: MD5s by number of the part; 0 for a file that is sent at once.
        self._digests: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def on_queued(self, future: Any, **_: Any) -> None:
        self._future = future

    def on_progress(self, bytes_transferred: int, **_: Any) -> None:
        with self._lock:
            self.sent += bytes_transferred

    def on_done(self, **_: Any) -> None:
        self.ended.set()

    def listen(self, events: Any) -> None:
        """Have a client tell what happens, and send MD5s."""
        for request in ("PutObject", "UploadPart"):
            events.register(f"before-parameter-build.s3.{request}", self._add_digest)
            events.register_first(f"needs-retry.s3.{request}", self._before_retry)
        events.register("after-call.s3", self._after_call)
        events.register("after-call.s3.CompleteMultipartUpload", self.after_end)
        events.register("after-call.s3.AbortMultipartUpload", self.after_end)

    def _add_digest(self, params: dict[str, Any], **_: Any) -> None:
        if any(name.startswith("Checksum") for name in params):
            return  # One is enough, and directory buckets refuse MD5s.
        digest = _md5(params["Body"])
        self._digests[params.get("PartNumber", 0)] = digest
        params["ContentMD5"] = b64encode(digest).decode()

    def _before_retry(self, **_: Any) -> None:
        from s3transfer.exceptions import CancelledError

        # Reading the body fails once the transfer has, which botocore takes for a lost connection.
        if self._future is not None and self._future.done():
            raise CancelledError
        # A shorter file has fewer bytes than were announced, which the store awaits in vain.
        self._require_unchanged()

    def _after_call(self, http_response: Any, parsed: Any, model: Any, **_: Any) -> None:
        if http_response.status_code >= 300:
            return
        for name in _NEEDED.get(model.name, ()):
            if name not in parsed:
                raise UploadError(
                    f"{self.target}: the store's answer has no {name}, check AWS_ENDPOINT_URL"
                )
        if model.name == "CreateMultipartUpload":
            self.upload_id = parsed["UploadId"]

    def after_end(self, http_response: Any, **_: Any) -> None:
        # 404: it is no more.
        if http_response.status_code < 300 or http_response.status_code == 404:
            self.upload_id = None

    def etag(self) -> str | None:
        """Give the ETag that S3 makes of the MD5s, if they were sent."""
        if not self._digests:
            return None
        if 0 in self._digests:
            return self._digests[0].hex()
        parts = b"".join(digest for _, digest in sorted(self._digests.items()))
        return f"{hashlib.md5(parts, usedforsecurity=False).hexdigest()}-{len(self._digests)}"

    def remains(self) -> str:
        """Tell how to clear away what could not be aborted, if there is any."""
        if self.upload_id is None:
            return ""
        bucket, key = self.target
        command = ["aws", "s3api", "abort-multipart-upload", "--bucket", bucket, "--key", key]
        return (
            "; the parts that were sent stay in the bucket, and cost, until this is run: "
            + shlex.join([*command, "--upload-id", self.upload_id])
        )


class _Daemons(Executor):
    """Threads that do not keep Python from ending while a connection stalls."""

    def __init__(self, max_workers: int) -> None:
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, daemon=True) for _ in range(max_workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._tasks.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        for _ in self._threads:
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, run = task
            try:
                future.set_result(run())
            except BaseException as error:
                future.set_exception(error)


def _client(session: Any, send_timeout: int, answer_timeout: int, attempts: int) -> Any:
    from botocore.config import Config

    # Modes that are newer wait for fractions of a second, and share a quota of retries among all
    # parts: a network that fails for half a second would end the upload.
    retries: dict[str, Any] = {"mode": "legacy"}
    if "AWS_MAX_ATTEMPTS" not in os.environ:
        retries["total_max_attempts"] = attempts
    config = Config(
        # urllib3 sends with the timeout of connecting.
        connect_timeout=send_timeout,
        read_timeout=answer_timeout,
        retries=retries,
        # Older stores refuse boto3's trailing CRCs, or keep them as data. All know MD5s.
        request_checksum_calculation="when_required",
    )
    try:
        return session.client("s3", config=config)
    except ValueError as error:
        raise UploadError(f"a value of AWS's variables or files is wrong: {error}") from error


def _transfer(
    session: Any,
    client: Any,
    path: Path,
    size: int,
    args: dict[str, Any],
    running: _Running,
    progress: Progress | None,
) -> None:
    """Send the file; if that fails or is stopped, abort it."""
    from boto3.s3.transfer import TransferConfig, TransferManager

    running.listen(client.meta.events)
    config = TransferConfig(multipart_threshold=_PART_SIZE, multipart_chunksize=_PART_SIZE)
    # `upload_file` does the same, but its threads keep a stopped process until they are done.
    manager = TransferManager(client, config, executor_cls=_Daemons)
    future = manager.upload(str(path), *running.target, args, [running])
    try:
        while not running.ended.wait(0.1):
            if progress is not None:
                progress(running.sent, size)
        future.result()
    except BaseException:
        future.cancel()
        if not running.ended.wait(_GRACE):
            _abort(session, running)
        raise
    finally:
        # It waits for what stalls.
        threading.Thread(target=manager.shutdown, daemon=True).start()
    if progress is not None:
        progress(size, size)


def _abort(session: Any, running: _Running) -> None:
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
        _log.debug("abort failed", exc_info=True)  # `remains` tells it.


def _check(
    client: Any,
    target: Destination,
    args: Mapping[str, Any],
    size: int,
    etag: str | None,
) -> None:
    """Compare what the store has with what was sent.

    Args:
        client: A client of the store.
        target: The object.
        args: What it was uploaded with.
        size: Of the file, bytes.
        etag: Made of the file's MD5s.

    Raises:
        UploadError: They differ.

    """
    needed = ("SSECustomerAlgorithm", "SSECustomerKey", "ExpectedBucketOwner", "RequestPayer")
    head = client.head_object(
        Bucket=target.bucket,
        Key=target.key,
        **{name: args[name] for name in needed if name in args},
    )
    stored = head["ContentLength"]
    if stored != size:
        raise UploadError(
            f"{target}: has {stored:,} bytes, but {size:,} were sent; upload it again"
        )
    # Of objects encrypted with other keys than S3's own, ETags are something else.
    plain = head.get("ServerSideEncryption") in (None, "AES256")
    plain = plain and "SSECustomerAlgorithm" not in head
    found = head["ETag"].strip('"')
    if plain and etag is not None and _like(found, etag) and found != etag:
        raise UploadError(f"{target}: has ETag {found}, but the file {etag}; upload it again")


def _like(found: str, etag: str) -> bool:
    """Whether an ETag is of the form of S3's; some stores have their own."""
    return re.fullmatch(r"[0-9a-f]{32}", found.removesuffix(etag[32:])) is not None


def _md5(body: IO[bytes]) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    while block := body.read(1 << 20):
        digest.update(block)
    body.seek(0)
    return digest.digest()


def _reason(error: Exception) -> str:
    """Say in a line what went wrong, and what to do if that is known."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        code = response.get("Error", {}).get("Code", "")
        text = f"{response.get('Error', {}).get('Message', '')} ({code})"
    else:
        code, text = type(error).__name__, str(error)
    text = text.removesuffix(".")
    hint = _HINTS.get(code)
    # Messages of servers may hold anything.
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if hint is None else f"{line}: {hint}"
