"""Fetching a file over HTTP within limits, with retries that resume where it broke off."""

import os
import re
import time
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urljoin
from urllib.request import getproxies, proxy_bypass

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Retry, Timeout, make_headers
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.util import parse_url

from headpose_fast._core import __version__
from headpose_fast.progress import Progress
from headpose_fast.text import one_line

#: Seconds that connecting may take, and that a server may be silent.
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 20.0

#: Bytes per second that a transfer must average once it has taken `_READ_SECONDS`.
_SLOWEST = 1000

#: Seconds before the second retry; each later one waits twice as long, the first not at all.
_BACKOFF = 1.0

_WEB_PAGES = ("text/html", "application/xhtml+xml")


class FetchError(Exception):
    """The file could not be fetched; the reason, in one line without the address."""


class UnchangedError(Exception):
    """The server has nothing newer."""


def fetch(address: str, part: Path, limit: int, progress: Progress | None, since: int = 0) -> None:
    """Download an address to a new file, dated as the server says it was last changed, or 0.

    A transfer that breaks off is resumed if the server confirms that the file is the same.

    Raises FetchError if it cannot be fetched, UnchangedError if it has not changed after `since`,
    in seconds since 1970 and not 0, and OSError if the file cannot be written.
    """
    retries = Retry(
        total=None,
        connect=1,
        read=3,
        status=3,
        redirect=10,
        other=0,
        backoff_factor=_BACKOFF / 2,
        status_forcelist=(429, 500, 502, 503, 504),
    )
    url, validator, modified = address, "", 0
    with part.open("xb") as file:
        while True:
            if not validator:
                file.seek(0)
                file.truncate()
            headers = {"User-Agent": f"headpose-fast/{__version__}", "Accept-Encoding": "identity"}
            if file.tell():
                headers |= {"Range": f"bytes={file.tell()}-", "If-Range": validator}
            elif since:
                headers["If-Modified-Since"] = formatdate(since, usegmt=True)
            try:
                with _get(url, headers) as response:
                    if location := response.get_redirect_location():
                        retries = _again(retries, url, response)
                        url = _redirected(url, location)
                        continue
                    if not retries.is_retry("GET", response.status):
                        if response.status == 304 and since:
                            raise UnchangedError
                        _place(response, file, validator)
                        if response.status == 200:
                            validator, modified = _validator(response), _modified(response)
                        _receive(response, file, limit, progress)
                        break
                    failure: BaseHTTPResponse | HTTPError = response
            except HTTPError as error:
                failure = error
            retries = _again(retries, url, failure)
            url = address
        file.flush()
        os.fsync(file.fileno())
    os.utime(part, (modified, modified))


def _get(url: str, headers: dict[str, str]) -> BaseHTTPResponse:
    """Send one request, through the environment's proxy, and return before the body is read."""
    parsed = parse_url(url)
    proxies = getproxies()
    proxy = proxies.get(parsed.scheme or "") or proxies.get("all")
    pool = PoolManager()
    if proxy and not proxy_bypass(parsed.netloc or ""):
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        own = parse_url(proxy).auth
        secret = make_headers(proxy_basic_auth=unquote(own)) if own else None
        pool = ProxyManager(proxy, proxy_headers=secret)
    if parsed.auth:
        headers = headers | make_headers(basic_auth=unquote(parsed.auth))
    # Left to urllib3, redirects and retries would read the bodies in between, however long.
    return pool.request(
        "GET",
        url,
        headers=headers,
        timeout=Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
        preload_content=False,
        decode_content=False,
        redirect=False,
        retries=False,
    )


def _again(retries: Retry, url: str, failure: BaseHTTPResponse | Exception) -> Retry:
    """Count a retry or redirect and wait before it; raise FetchError after too many."""
    try:
        if isinstance(failure, Exception):
            retries = retries.increment("GET", url, error=failure)
        else:
            retries = retries.increment("GET", url, response=failure)
    except MaxRetryError as exhausted:
        raise FetchError(_reason(exhausted.reason or exhausted)) from exhausted
    retries.sleep()
    return retries


def _reason(error: Exception) -> str:
    """Say in a line what went wrong, including the cause of `Connection aborted.` and the like."""
    texts = [str(part) for part in error.args if isinstance(part, (str, Exception))]
    # Without `HTTPConnection(...): ` or, of older versions, `<... object at 0x...>: `.
    place = r"^(HTTPS?Connection(Pool)?\(.*?\)|<.*? object at 0x\w+>): "
    said = (re.sub(place, "", text).strip().removesuffix(".") for text in texts or [str(error)])
    return one_line(": ".join(said))


def _redirected(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
    except ValueError as error:
        raise FetchError(
            one_line(f"the server redirects to an invalid address: {error}")
        ) from error
    if url.lower().startswith("https:") and not target.lower().startswith("https:"):
        raise FetchError("the server redirects from https to something else")
    return target


def _validator(response: BaseHTTPResponse) -> str:
    """Return what identifies this version of a file, or an empty string."""
    tag = response.headers.get("ETag", "")
    validator = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    # A header that continues on a second line cannot be sent back.
    return validator if validator.isprintable() else ""


def _modified(response: BaseHTTPResponse) -> int:
    """The time of the last change in seconds since 1970, or 0."""
    try:
        return max(0, int(parsedate_to_datetime(response.headers["Last-Modified"]).timestamp()))
    except (KeyError, ValueError, OverflowError):
        return 0


def _place(response: BaseHTTPResponse, file: BinaryIO, validator: str) -> None:
    """Seek to where the body of a response belongs in the file."""
    if response.status == 200:
        file.seek(0)
        file.truncate()
    elif response.status != 206 or not file.tell():
        raise FetchError(f"the server answers with status {response.status}")
    elif not response.headers.get("Content-Range", "").startswith(
        f"bytes {file.tell()}-"
    ) or _validator(response) not in ("", validator):
        raise FetchError("the file changed on the server")


def _receive(
    response: BaseHTTPResponse, file: BinaryIO, limit: int, progress: Progress | None
) -> None:
    """Append the body of a response to the file."""
    if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() in _WEB_PAGES:
        raise FetchError("the server sends a web page, not an archive")
    began, first = time.monotonic(), file.tell()
    total = None if response.length_remaining is None else first + response.length_remaining
    if total is not None and total > limit:
        raise FetchError(f"an archive of {total:,} bytes, more than the {limit:,} allowed")
    # Take whatever has arrived: waiting for more would let a server delay it at will.
    while chunk := response.read1(1 << 16):
        file.write(chunk)
        done = file.tell()
        if done > limit:
            raise FetchError(f"an archive of more than the {limit:,} bytes allowed")
        seconds = time.monotonic() - began
        if seconds > _READ_SECONDS and done - first < _SLOWEST * seconds:
            raise FetchError(f"the server sends less than {_SLOWEST:,} bytes a second")
        if progress is not None:
            progress(done, total or done)
