"""An upload in progress: what boto3 reports about it, and the threads that it runs in."""

# ruff: noqa: ANN401 (boto3 has no types)
import hashlib
import shlex
import threading
from base64 import b64encode
from collections.abc import Callable
from typing import IO, Any

from headpose_fast.errors import UploadError
from headpose_fast.stores.addresses import Destination
from headpose_fast.stores.objects import joined_etag

#: What answers must contain. A server that is not a store may answer too.
_NEEDED = {
    "CreateMultipartUpload": ("UploadId",),
    "UploadPart": ("ETag",),
    "HeadObject": ("ContentLength", "ETag"),
}


class Running:
    """The state of a transfer, from boto3's events in boto3's threads."""

    def __init__(self, target: Destination, require_unchanged: Callable[[], None]) -> None:
        """Begin a transfer; `require_unchanged` raises if the file has changed."""
        self.target = target
        self._require_unchanged = require_unchanged
        #: Bytes sent, except those of failed requests.
        self.sent = 0
        #: Set when the transfer is over.
        self.ended = threading.Event()
        #: The id of a multipart upload that is neither completed nor aborted.
        self.upload_id: str | None = None
        self._future: Any = None
        #: MD5s by part number; 0 for a file that is sent in one piece.
        self._digests: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def on_queued(self, future: Any, **_: Any) -> None:
        """Keep the transfer's future."""
        self._future = future

    def on_progress(self, bytes_transferred: int, **_: Any) -> None:
        """Count bytes; a failed request subtracts its own again."""
        with self._lock:
            self.sent += bytes_transferred

    def on_done(self, **_: Any) -> None:
        """Record the end."""
        self.ended.set()

    def listen(self, events: Any) -> None:
        """Register for a client's events, and make it send MD5s."""
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

        # Once the transfer has failed, so does reading the body, and botocore would retry that.
        if self._future is not None and self._future.done():
            raise CancelledError
        # A file that has shrunk has fewer bytes than announced, and the store would wait for them.
        self._require_unchanged()

    def _after_call(self, http_response: Any, parsed: Any, model: Any, **_: Any) -> None:
        if http_response.status_code >= 300:
            return
        for name in _NEEDED.get(model.name, ()):
            if name not in parsed:
                raise UploadError(
                    f"{self.target}: the store's answer has no {name}; check AWS_ENDPOINT_URL"
                )
        if model.name == "CreateMultipartUpload":
            self.upload_id = parsed["UploadId"]

    def after_end(self, http_response: Any, **_: Any) -> None:
        """Record that a multipart upload is completed or aborted."""
        # 404: it no longer exists.
        if http_response.status_code < 300 or http_response.status_code == 404:
            self.upload_id = None

    def etag(self) -> str | None:
        """Return the ETag that S3 makes from the MD5s, if they were sent."""
        if not self._digests:
            return None
        digests = [digest for _, digest in sorted(self._digests.items())]
        return joined_etag(digests, in_parts=0 not in self._digests)

    def remains(self) -> str:
        """Say how to delete an upload that could not be aborted, if there is one."""
        if self.upload_id is None:
            return ""
        bucket, key = self.target
        command = ["aws", "s3api", "abort-multipart-upload", "--bucket", bucket, "--key", key]
        return (
            "; the parts already sent stay in the bucket, and cost money, until you run: "
            + shlex.join([*command, "--upload-id", self.upload_id])
        )


def _md5(body: IO[bytes]) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    while block := body.read(1 << 20):
        digest.update(block)
    body.seek(0)
    return digest.digest()
