"""Finding and downloading the database, over real HTTP from servers on this machine."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL_DATABASE, command, members, write_tar

import headpose_fast
from headpose_fast import Limits
from headpose_fast.database.databases import PUBLISHED_DIGEST
from headpose_fast.sources import fetching
from headpose_fast.sources import finding as download
from headpose_fast.sources.finding import find_database

ARCHIVE = SMALL_DATABASE.read_bytes()
DIGEST = headpose_fast.open_database(SMALL_DATABASE).digest
CHANGED = "Wed, 21 Oct 2015 07:28:00 GMT"
TAG = {"ETag": '"1"'}

SMALL = ("--allow-incomplete", "--test-persons", "5", "--num-data-aug", "1")

#: Where the database is published, which the tests replace.
PUBLISHED = download.ADDRESSES

#: Does what a request is answered with.
Answer = Callable[[BaseHTTPRequestHandler], None]


def send(
    content: bytes = ARCHIVE,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    cut: int | None = None,
) -> Answer:
    """Make an answer; `cut`: the connection drops after so many bytes of the content."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content[:cut])

    return answer


def rest(headers: dict[str, str]) -> Answer:
    """Make an answer that sends what the request's range asks for."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        where = f"bytes {start}-{len(ARCHIVE) - 1}/{len(ARCHIVE)}"
        send(ARCHIVE[start:], status=206, headers={"Content-Range": where, **headers})(request)

    return answer


class Server(ThreadingHTTPServer):
    """Gives its answers in turn, and the last one from then on."""

    daemon_threads = True
    answers: list[Answer]
    #: Paths and headers of the requests.
    seen: list[tuple[str, Message]]
    #: First lines of what was no request.
    nonsense: list[bytes]

    @property
    def place(self) -> str:
        """The address without the scheme."""
        return f"127.0.0.1:{self.server_port}/HeadPoseImageDatabase.tar.gz"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""


class Handler(BaseHTTPRequestHandler):
    """Answers as its server says."""

    server: Server
    raw_requestline: bytes

    def do_GET(self) -> None:
        """Give the next answer."""
        self.server.seen.append((self.path, self.headers))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def send_error(self, *_: object, **__: object) -> None:
        """Keep what was no request."""
        self.server.nonsense.append(self.raw_requestline)
        self.close_connection = True


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Give a function that starts a server with its answers."""
    servers = []

    def start(*answers: Answer) -> Server:
        server = Server(("127.0.0.1", 0), Handler)
        server.answers, server.seen, server.nonsense = list(answers), [], []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def closed_port() -> int:
    """Give a port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty current folder, a new cache folder, and take the small database as published.

    No proxy is used, and no time is spent between retries.
    """
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PUBLISHED_DIGEST", DIGEST)
    monkeypatch.setattr(download, "ADDRESSES", ())
    monkeypatch.setattr(fetching, "_BACKOFF", 0)
    return tmp_path / "cache"


def files(folder: Path) -> list[str]:
    """List what is in a folder, if it is there."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def failure(monkeypatch: pytest.MonkeyPatch, *servers: Server, limits: Limits | None = None) -> str:
    """Return the message when the servers' addresses give no database."""
    monkeypatch.setattr(download, "ADDRESSES", tuple(server.place for server in servers))
    with pytest.raises(FileNotFoundError) as caught:
        find_database(limits=limits)
    return str(caught.value)


def test_it_is_downloaded_once_by_http_after_https(
    cache: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(send())
    monkeypatch.setattr(download, "ADDRESSES", (server.place,))
    calls: list[tuple[int, int]] = []
    path = find_database(progress=lambda done, total: calls.append((done, total)))
    assert path.parent == cache
    assert files(cache) == [path.name]
    assert path.read_bytes() == ARCHIVE
    assert calls[-1] == (len(ARCHIVE), len(ARCHIVE))
    assert {total for _, total in calls} == {len(ARCHIVE)}
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    # A TLS hello came first.
    assert server.nonsense[0][:2] == b"\x16\x03"
    ((_, headers),) = server.seen
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"] == f"headpose-fast/{headpose_fast.__version__}"

    server.shutdown()
    server.server_close()
    assert find_database() == path


def test_prepare_downloads_as_the_command_does(
    cache: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ADDRESSES", (serve(send()).place,))
    prepared = headpose_fast.prepare(
        num_data_aug=1, num_data_aug_val=1, test_persons=[5], allow_incomplete=True
    )
    assert prepared.digest == DIGEST
    assert len(files(cache)) == 1


def test_the_real_archive_is_the_published_database(
    real_archive: Path,
    serve: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "PUBLISHED_DIGEST", PUBLISHED_DIGEST)
    monkeypatch.setattr(download, "ADDRESSES", (serve(send(real_archive.read_bytes())).place,))
    assert find_database().name == download._PUBLISHED


def test_the_current_folder_goes_first(
    cache: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(send())
    monkeypatch.setattr(download, "ADDRESSES", (server.place,))
    Path("HeadPoseImageDatabase.tar").touch()
    assert find_database() == Path("HeadPoseImageDatabase.tar")
    assert (server.seen, files(cache)) == ([], [])


def test_the_published_addresses_are_named_without_scheme() -> None:
    assert PUBLISHED == (
        "crowley-coutaz.fr/HeadPoseDataSet/HeadPoseImageDatabase.tar.gz",
        "www-prima.inrialpes.fr/perso/Gourier/Faces/HeadPoseImageDatabase.tar.gz",
    )


@pytest.mark.parametrize("validator", [TAG, {"Last-Modified": CHANGED}])
def test_a_dropped_connection_is_resumed(
    serve: Callable[..., Server], validator: dict[str, str]
) -> None:
    half = len(ARCHIVE) // 2
    server = serve(send(headers=validator, cut=half), rest(validator))
    calls: list[tuple[int, int]] = []
    path = find_database(f"http://{server.place}", lambda done, total: calls.append((done, total)))
    assert path.read_bytes() == ARCHIVE
    (_, first), (_, second) = server.seen
    assert "Range" not in first
    assert second["Range"] == f"bytes={half}-"
    assert second["If-Range"] in validator.values()
    assert (half, len(ARCHIVE)) in calls
    assert calls[-1] == (len(ARCHIVE), len(ARCHIVE))


@pytest.mark.parametrize("validator", [{}, {"ETag": 'W/"weak"'}, TAG])
def test_it_begins_again_where_nothing_can_be_resumed(
    serve: Callable[..., Server], validator: dict[str, str]
) -> None:
    server = serve(send(headers=validator, cut=1000), send(headers=validator))
    path = find_database(f"http://{server.place}")
    assert path.read_bytes() == ARCHIVE
    assert len(server.seen) == 2
    assert ("Range" in server.seen[1][1]) == (validator == TAG)


def test_parts_of_different_files_are_not_joined(cache: Path, serve: Callable[..., Server]) -> None:
    server = serve(send(headers=TAG, cut=1000), rest({"ETag": '"2"'}))
    with pytest.raises(OSError, match="the file changed on the server"):
        find_database(f"http://{server.place}")
    assert files(cache) == []


def test_a_busy_server_is_asked_again(serve: Callable[..., Server]) -> None:
    busy = send(b"busy", status=503, headers={"Retry-After": "86400"})
    server = serve(busy, busy, busy, send())
    assert find_database(f"http://{server.place}").read_bytes() == ARCHIVE
    assert len(server.seen) == 4


def test_retries_wait_longer_each_time(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(fetching, "_BACKOFF", 1)
    monkeypatch.setattr("time.sleep", waits.append)
    server = serve(send(b"", status=503))
    with pytest.raises(OSError, match="too many 503 error responses"):
        find_database(f"http://{server.place}")
    assert waits == [1, 2]
    assert len(server.seen) == 4


def test_the_second_address_stands_in_for_the_first(
    serve: Callable[..., Server],
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = serve(send())
    dead = f"127.0.0.1:{closed_port}/database.tar.gz"
    monkeypatch.setattr(download, "ADDRESSES", (dead, server.place))
    assert find_database().read_bytes() == ARCHIVE


def test_offline_each_address_has_its_reason(
    cache: Path, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = (f"127.0.0.1:{closed_port}/a.tar.gz", f"127.0.0.1:{closed_port}/b.tar.gz")
    monkeypatch.setattr(download, "ADDRESSES", places)
    with pytest.raises(FileNotFoundError) as caught:
        find_database()
    first, *tried, last = str(caught.value).splitlines()
    assert first.startswith("no database: neither HeadPoseImageDatabase.tar.gz nor ")
    assert str(Path.cwd()) in first
    expected = [f"{scheme}://{place}: " for place in places for scheme in ("https", "http")]
    for line, address in zip(tried, expected, strict=True):
        assert line.startswith(address)
        assert "refused" in line
        assert "object at" not in line
    assert "--input" in last
    assert "--sample" in last
    assert files(cache) == []


def test_a_stalled_server_is_given_up(
    cache: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_READ_SECONDS", 0.2)
    over = threading.Event()

    def stall(request: BaseHTTPRequestHandler) -> None:
        send(cut=1000)(request)
        request.wfile.flush()
        over.wait(30)

    server = serve(stall)
    try:
        with pytest.raises(OSError, match="timed out"):
            find_database(f"http://{server.place}")
    finally:
        over.set()
    assert len(server.seen) == 4
    assert files(cache) == []


def test_a_trickle_is_given_up(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_READ_SECONDS", 0.3)
    over = threading.Event()

    def trickle(request: BaseHTTPRequestHandler) -> None:
        send(cut=1)(request)
        while not over.wait(0.02):
            request.wfile.write(b"x")

    server = serve(trickle)
    try:
        with pytest.raises(OSError, match="less than 1,000 bytes a second"):
            find_database(f"http://{server.place}")
    finally:
        over.set()


def test_another_database_is_not_kept_as_the_published_one(
    cache: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    few = dict(list(members(SMALL_DATABASE).items())[:4])
    server = serve(send(write_tar(tmp_path / "few.tar", few).read_bytes()))
    message = failure(monkeypatch, server)
    digest = headpose_fast.open_database(tmp_path / "few.tar").digest
    assert f"http://{server.place}: not the published database: its digest is {digest}" in (
        message.splitlines()
    )
    assert files(cache) == []


def test_web_pages_and_other_files_are_refused(
    cache: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = b"<!DOCTYPE html><title>Log in</title>"
    as_page = serve(send(page, headers={"Content-Type": "text/html; charset=utf-8"}))
    as_file = serve(send(page))
    missing = serve(send(b"", status=404))
    lines = failure(monkeypatch, as_page, as_file, missing).splitlines()
    assert f"http://{as_page.place}: the server sends a web page, not an archive" in lines
    (line,) = (line for line in lines if line.startswith(f"http://{as_file.place}: "))
    assert "not a complete tar archive" in line
    assert ".part" not in line
    assert f"http://{missing.place}: the server answers with status 404" in lines
    assert files(cache) == []


def test_too_much_is_refused_announced_or_not(
    cache: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while True:
            sent.append(request.wfile.write(bytes(1000)))

    announced, unannounced = serve(send(cut=0)), serve(endless)
    limits = Limits(archive_bytes=len(ARCHIVE) - 1)
    lines = failure(monkeypatch, announced, unannounced, limits=limits).splitlines()
    size, most = f"{len(ARCHIVE):,}", f"{len(ARCHIVE) - 1:,}"
    assert (
        f"http://{announced.place}: an archive of {size} bytes, more than the {most} allowed"
        in (lines)
    )
    reason = f"an archive of more than the {most} bytes allowed"
    assert f"http://{unannounced.place}: {reason}" in lines
    assert files(cache) == []


def test_redirects_are_followed_but_not_forever(serve: Callable[..., Server]) -> None:
    moved = send(b"", status=302, headers={"Location": "/there"})
    server = serve(moved, send())
    assert find_database(f"http://{server.place}").read_bytes() == ARCHIVE
    assert [path for path, _ in server.seen] == ["/HeadPoseImageDatabase.tar.gz", "/there"]
    circle = serve(moved)
    with pytest.raises(OSError, match="too many redirects"):
        find_database(f"http://{circle.place}")
    assert len(circle.seen) == 11


def test_a_redirect_does_not_leave_https() -> None:
    with pytest.raises(fetching.FetchError, match="from https to something else"):
        fetching._redirected("https://127.0.0.1/a", "http://127.0.0.1/b")
    assert fetching._redirected("https://127.0.0.1/a", "b") == "https://127.0.0.1/b"


def test_a_proxy_of_the_environment_is_used(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(send())
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", f"http://user:w%40rd@127.0.0.1:{proxy.server_port}")
    find_database("http://database.invalid/a.tar")
    ((path, headers),) = proxy.seen
    assert path == "http://database.invalid/a.tar"
    assert headers["Proxy-Authorization"] == f"Basic {b64encode(b'user:w@rd').decode()}"


def test_an_addresss_password_is_sent_and_not_shown(serve: Callable[..., Server]) -> None:
    server = serve(send(), send(b"", status=401))
    address = f"http://user:w%40rd@{server.place}"
    find_database(address)
    ((path, headers),) = server.seen
    assert f"127.0.0.1:{server.server_port}{path}" == server.place
    assert headers["Authorization"] == f"Basic {b64encode(b'user:w@rd').decode()}"
    with pytest.raises(OSError, match="status 401") as caught:
        find_database(address)
    assert str(caught.value).startswith(f"http://{server.place}: ")


def test_other_addresses_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^s3://bucket/a\.tar: only http"):
        find_database("s3://bucket/a.tar")


def test_an_interrupt_leaves_nothing(cache: Path, serve: Callable[..., Server]) -> None:
    def interrupt(_done: int, _total: int) -> None:
        assert len(files(cache)) == 1
        raise KeyboardInterrupt

    server = serve(send())
    with pytest.raises(KeyboardInterrupt):
        find_database(f"http://{server.place}", interrupt)
    assert files(cache) == []


@pytest.mark.parametrize(
    "head",
    [
        b"\x00\xff nonsense",
        b"HTTP/1.1 302 \x1b[31m\r\nLocation: http://[\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: \x1b[31m\xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 8\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nLast-Modified: 9\r\n 9\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\x1bz\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + 200 * b"A: b\r\n" + b"\r\n",
    ],
)
def test_a_malformed_answer_is_an_error_of_one_printable_line(
    head: bytes, cache: Path, serve: Callable[..., Server]
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(head)

    server = serve(answer)
    with pytest.raises(OSError, match=f"^http://{server.place}: ") as caught:
        find_database(f"http://{server.place}")
    assert str(caught.value).isprintable()
    assert files(cache) == []


def test_a_time_of_change_that_is_none_is_passed_over(serve: Callable[..., Server]) -> None:
    odd = "Wed, 21 Oct 2015 07:28:00 +99999999999999999999"
    server = serve(send(headers={"Last-Modified": odd}))
    assert find_database(f"http://{server.place}").stat().st_mtime == 0


def test_two_at_once_both_end_well(
    cache: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=30)

    def together(request: BaseHTTPRequestHandler) -> None:
        both.wait()
        send()(request)

    monkeypatch.setattr(download, "ADDRESSES", (serve(together).place,))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: find_database(), range(2))
    assert first == second
    assert first.read_bytes() == ARCHIVE
    assert files(cache) == [first.name]


def test_old_content_is_not_taken_for_what_was_left(
    cache: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one download is looked at, another begins."""
    place = serve(send(headers={"Last-Modified": CHANGED})).place
    monkeypatch.setattr(download, "ADDRESSES", (place,))
    look = download._open

    def begin_another(*arguments: Any) -> headpose_fast.Database:  # noqa: ANN401
        monkeypatch.setattr(download, "_open", look)
        find_database(f"http://{place}")
        return look(*arguments)

    monkeypatch.setattr(download, "_open", begin_another)
    path = find_database()
    assert path.read_bytes() == ARCHIVE
    assert len(files(cache)) == 2


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_copy_is_noticed(
    damage: str, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ADDRESSES", (serve(send()).place,))
    path = find_database()
    if damage == "cut":
        path.write_bytes(ARCHIVE[:100_000])
    else:
        changed = members(SMALL_DATABASE)
        name = next(name for name in changed if name.endswith(".txt"))
        changed[name] += b"\n"
        write_tar(path, changed)
    with pytest.raises(headpose_fast.DatabaseError) as caught:
        headpose_fast.prepare(test_persons=[5], allow_incomplete=True)
    first, *problems = caught.value.problems
    assert first.startswith(f"{path}: a copy in the cache; ")
    assert "delete it" in first
    assert len(problems) == 1
    path.unlink()
    assert find_database().read_bytes() == ARCHIVE


def test_an_address_is_fetched_again_when_it_changed(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    few = write_tar(tmp_path / "few.tar", dict(list(members(SMALL_DATABASE).items())[:4]))
    server = serve(
        send(headers={"Last-Modified": CHANGED}),
        send(b"", status=304),
        send(few.read_bytes()),
        send(few.read_bytes()),
    )
    address = f"http://{server.place}"
    path = find_database(address)
    assert find_database(address) == path
    assert path.read_bytes() == ARCHIVE
    assert find_database(address) == path
    assert path.read_bytes() == few.read_bytes()
    # No time of change was told, so it is fetched in any case.
    assert find_database(address) == path
    asked = [headers.get("If-Modified-Since") for _, headers in server.seen]
    assert asked == [None, CHANGED, CHANGED, None]


def test_an_address_that_fails_names_the_earlier_copy_and_no_secret(
    serve: Callable[..., Server],
) -> None:
    server = serve(send(headers={"Last-Modified": CHANGED}), send(b"", status=403))
    address = f"http://{server.place}?Signature=secret"
    path = find_database(address)
    with pytest.raises(OSError, match="status 403") as caught:
        find_database(address)
    assert str(caught.value) == (
        f"http://{server.place}: the server answers with status 403; {path} is an earlier copy"
    )
    assert path.read_bytes() == ARCHIVE


def test_what_is_no_database_is_refused_with_its_address(
    cache: Path, serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve(send(write_tar(tmp_path / "none.tar", {"a": b""}).read_bytes()))
    with pytest.raises(headpose_fast.DatabaseError, match="no photographs found") as caught:
        find_database(f"http://{server.place}")
    assert str(caught.value).startswith(f"http://{server.place}: ")
    assert files(cache) == []


@pytest.mark.parametrize("address", ["http://", "http://127.0.0.1:99999/", "https://[/"])
def test_addresses_that_are_none_are_told(address: str) -> None:
    with pytest.raises(OSError, match=r"^https?://"):
        find_database(address)


def test_a_cache_that_cannot_be_written_is_named(
    cache: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.touch()
    monkeypatch.setattr(download, "ADDRESSES", (serve(send()).place,))
    with pytest.raises(OSError, match="set HEADPOSE_FAST_CACHE") as caught:
        find_database()
    assert str(cache) in str(caught.value)


def test_the_command_takes_an_address_and_notes_another_database(
    cache: Path, serve: Callable[..., Server]
) -> None:
    server = serve(send(headers={"Last-Modified": CHANGED}))
    done = command(*SMALL, "--input", f"http://{server.place}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "HeadPoseData_trn_test_x1_py2.pkl\n"
    note = f"note: this is not the published database: its digest is {DIGEST}"
    assert done.stderr.splitlines()[-1] == note
    assert len(files(cache)) == 1


def test_the_command_says_what_it_tried(closed_port: int) -> None:
    dead = f"http://127.0.0.1:{closed_port}"
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    nowhere = {**dict.fromkeys(names, dead), "no_proxy": "", "NO_PROXY": ""}
    done = command(*SMALL, env=nowhere)
    assert done.returncode == 1
    note, *lines = done.stderr.splitlines()
    assert note.startswith("downloading the database; it will be kept as ")
    assert len(lines) == 2 + 4
    assert sum("proxy: Failed to establish" in line for line in lines) == 4
    assert all(line.startswith("headpose-fast: error: ") for line in lines)
    assert sum("crowley-coutaz.fr" in line for line in lines) == 2
    assert files(Path.cwd()) == []


def test_nothing_of_the_net_is_imported_before_it_is_needed() -> None:
    script = "import sys, headpose_fast.cli.main; print('urllib3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
