"""Clients of boto3, and what their errors mean."""

# ruff: noqa: ANN401 (boto3 has no types)
import os
from typing import Any

from headpose_fast.errors import UploadError

#: Attempts at each request, with pauses that double from 1 s and are shortened at random.
ATTEMPTS = 6
#: Seconds after which a connection that takes no data, or a silent store, has failed.
SEND_TIMEOUT, ANSWER_TIMEOUT = 20, 60

_NOT_ALLOWED = (
    "s3:PutObject, s3:GetObject and s3:AbortMultipartUpload are needed, and for shards "
    "s3:ListBucket and s3:DeleteObject"
)

_HINTS = {
    "NoSuchBucket": "check the name, and AWS_ENDPOINT_URL",
    "AccessDenied": _NOT_ALLOWED,
    "403": _NOT_ALLOWED,
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


def new_client(session: Any, hurry: int | None = None) -> Any:
    """Make a client of a session; with `hurry`, it tries once and waits for so many seconds.

    Raises UploadError if AWS's variables or files are wrong.
    """
    from botocore.config import Config

    # Newer modes wait for fractions of a second and share a quota of retries among all parts, so a
    # network failure of half a second would end the upload.
    retries: dict[str, Any] = {"mode": "legacy"}
    if "AWS_MAX_ATTEMPTS" not in os.environ:
        retries["total_max_attempts"] = 1 if hurry else ATTEMPTS
    config = Config(
        # urllib3 also applies the connect timeout to sending.
        connect_timeout=hurry or SEND_TIMEOUT,
        read_timeout=hurry or ANSWER_TIMEOUT,
        retries=retries,
        # Older stores refuse boto3's trailing CRCs, or store them as data. All support MD5s.
        request_checksum_calculation="when_required",
    )
    try:
        return session.client("s3", config=config)
    except ValueError as error:
        raise UploadError(f"a value in AWS's variables or files is wrong: {error}") from error


def reason_of(error: Exception) -> str:
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
