"""Uploading a file to S3, or to a store that speaks its protocol, and checking what arrived."""

# ruff: noqa: ANN401 (boto3 has no types)
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headpose_fast.daemons import Daemons
from headpose_fast.errors import UploadError
from headpose_fast.progress import Progress, bar
from headpose_fast.stores.addresses import Destination
from headpose_fast.stores.clients import new_client, reason_of
from headpose_fast.stores.objects import PART_SIZE, Found
from headpose_fast.stores.running import Running

_log = logging.getLogger(__name__)

#: Seconds for a stopped transfer to end by itself, and for aborting it if it does not.
_GRACE = 3


def send_file(
    path: Path,
    target: Destination,
    *,
    extra_args: Mapping[str, Any] | None = None,
    progress: Progress | bool = False,
) -> None:
    """Upload a file, and check what arrived; see `uploading.upload`.

    `progress` is called every tenth of a second; if it raises, the upload is aborted.
    """
    from boto3 import Session
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

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
        client = new_client(session)
        with bar("upload", "B", progress) as report:
            _transfer(session, client, path, before.st_size, args, running, report)
        require_unchanged()
        _check(client, target, args, before.st_size, running.etag())
    except (Boto3Error, BotoCoreError, ClientError, RecursionError) as error:
        raise UploadError(
            f"{path}: upload to {target} failed: {reason_of(error)}{running.remains()}"
        ) from error
    except BaseException:
        if running.upload_id is not None:
            _log.warning("%s: upload stopped%s", target, running.remains())
        raise
    require_unchanged()


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
    config = TransferConfig(multipart_threshold=PART_SIZE, multipart_chunksize=PART_SIZE)
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
    client = new_client(session, hurry=_GRACE)
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
    found = Found.of(head)
    if found.size != size:
        raise UploadError(
            f"{target}: has {found.size:,} bytes, but {size:,} were sent; upload it again"
        )
    if None in (etag, found.etag) or etag == found.etag:
        return
    # Some stores count parts in a way of their own.
    if str(etag)[32:] == str(found.etag)[32:]:
        raise UploadError(
            f"{target}: has ETag {found.etag}, but the file has {etag}; upload it again"
        )
