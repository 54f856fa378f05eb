"""Uploads over HTTP to a store in another process, through a network that fails when told to."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from conftest import SMALL_DATABASE, command
from stores import Network, Store
from stores import environment as environment
from stores import network as network
from stores import server as server
from stores import store as store

import headpose_fast
from headpose_fast.stores import addresses, clients, running, s3

SMALL = ("--allow-incomplete", "--test-persons", "5", "--input", str(SMALL_DATABASE))
NAME = "HeadPoseData_trn_test_x15_py2.pkl"
PART = 8 << 20


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Give a file of two parts."""
    path = tmp_path / NAME
    with path.open("wb") as file:
        file.write(b"begin")
        file.seek(PART + (4 << 20))
        file.write(b"end")
    return path


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """Give a file that is sent at once."""
    path = tmp_path / "note.pkl"
    path.write_bytes(b"0123456789" * 100)
    return path


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """Give the one line of a command that failed."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("headpose-fast: error: ")
    return line


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("", NAME),
        ("/", NAME),
        ("/headpose/datasets", f"headpose/datasets/{NAME}"),
        ("/headpose/datasets/", f"headpose/datasets/{NAME}"),
        ("/headpose/my.pkl", "headpose/my.pkl"),
        ("/my.pkl", "my.pkl"),
        ("/my.pkl/", f"my.pkl/{NAME}"),
        ("/.pkl.gz", f".pkl.gz/{NAME}"),
        ("/Köpfe und mehr", f"Köpfe und mehr/{NAME}"),
    ],
)
def test_the_address_is_a_folder_or_a_pickle(
    store: Store, bundle: Path, path: str, key: str
) -> None:
    os.truncate(bundle, 1000)
    address = headpose_fast.upload(bundle, f"s3://{store.bucket}{path}")
    assert address == f"s3://{store.bucket}/{key}"
    assert store.keys() == [key]
    assert store.content(key) == bundle.read_bytes()


@pytest.mark.parametrize(
    "address",
    [
        "bucket/folder",
        "s3:/bucket",
        "s3://",
        "s3:///folder",
        "s3://b",
        "s3://-bucket",
        "s3://buc ket",
        "S3://bucket",
        "https://bucket/folder",
        "s3://bucket//",
        "s3://bucket/a//b",
        "s3://bucket//a.pkl",
        "s3://bucket/a/../b",
        "s3://bucket/./b",
        "s3://bucket/a\nb",
        f"s3://bucket/{'a' * 1025}",
    ],
)
def test_malformed_addresses(address: str, note: Path) -> None:
    with pytest.raises(ValueError, match=r"address|name"):
        headpose_fast.upload(note, address)


def test_a_file_whose_name_is_no_text_needs_another(
    store: Store, note: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "\udcff.pkl"
    try:
        note.rename(odd)
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    assert r"'\udcff.pkl' is unprintable" in error_of(
        command("upload", odd, f"s3://{store.bucket}")
    )
    headpose_fast.upload(odd, f"s3://{store.bucket}/even.pkl")
    assert store.keys() == ["even.pkl"]


@pytest.mark.parametrize(
    "usage",
    [
        ["--upload", "bucket/folder"],
        ["--upload", "s3://bucket//x"],
        ["--upload="],
        ["--upload", "s3://bucket", "--upload-args", "Nonsense=1"],
        ["--upload", "s3://bucket", "--upload-args", "StorageClass"],
        ["--upload", "s3://bucket", "--upload-args", "Metadata=x"],
        ["--upload", "s3://bucket", "--upload-args", "MpuObjectSize=x"],
        ["--upload-args", "StorageClass=STANDARD"],
        ["--upload", "s3://bucket", *2 * ("--upload-args", "Metadata=a=1")],
        ["upload", "file.pkl", "s3://bucket", *2 * ("--upload-args", "ContentType=a/b")],
        ["upload"],
        ["upload", "file.pkl"],
        ["upload", "", "s3://bucket"],
        ["upload", "file.pkl", "bucket"],
        ["upload", "file.pkl", "s3://bucket", "--upload-args", "Nonsense=1"],
    ],
)
def test_wrong_usage_exits_with_2_before_any_work(usage: list[str], tmp_path: Path) -> None:
    job = () if usage[0] == "upload" else SMALL
    done = command(*usage, *job, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "usage: headpose-fast" in done.stderr
    assert "Traceback" not in done.stderr
    assert "invalid" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_the_address(store: Store, bundle: Path) -> None:
    done = command("upload", bundle, f"s3://{store.bucket}/data", "--upload-args=ContentType=a/b")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"s3://{store.bucket}/data/{NAME}\n"
    assert store.content(f"data/{NAME}") == bundle.read_bytes()
    head = store.client.head_object(Bucket=store.bucket, Key=f"data/{NAME}")
    assert head["ETag"].endswith('-2"')
    assert head["ContentType"] == "a/b"


def test_the_job_uploads_its_file(store: Store, tmp_path: Path) -> None:
    job = (*SMALL, "--num-data-aug", "2", "--output", tmp_path)
    done = command(*job, "--upload", f"s3://{store.bucket}/data/")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "HeadPoseData_trn_test_x2_py2.pkl"
    assert done.stdout == f"{path}\ns3://{store.bucket}/data/{path.name}\n"
    assert store.content(f"data/{path.name}") == path.read_bytes()


def test_a_job_whose_upload_fails_keeps_the_file(store: Store, tmp_path: Path) -> None:
    job = (*SMALL, "--quiet", "--num-data-aug", "2", "--output", tmp_path / "a b.pkl")
    done = command(*job, "--upload", "s3://no-such-bucket/data", "--upload-args=SSECustomerKey=x")
    assert done.returncode == 1
    assert done.stdout == f"{tmp_path / 'a b.pkl'}\n"
    hint, error = done.stderr.splitlines()
    assert "the same --upload-args" in hint
    assert "=x" not in hint
    assert error.startswith("headpose-fast: error: ")
    again = shlex.split(hint.split("python -m headpose_fast ")[1].split(" with the same")[0])
    assert again == ["upload", str(tmp_path / "a b.pkl"), "s3://no-such-bucket/data"]
    store.client.create_bucket(Bucket="no-such-bucket")
    done = command(*again)
    assert done.stdout == "s3://no-such-bucket/data/a b.pkl\n", done.stderr


@pytest.mark.parametrize("size", [1000, PART + 1])
def test_arguments_are_kept_with_the_object(store: Store, tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(bytes(size))
    arguments = ["ServerSideEncryption=aws:kms", "SSEKMSKeyId=k", "StorageClass=STANDARD_IA"]
    arguments += ["Metadata=who=me,why=a=b"]
    extra_args = dict(map(addresses.extra_arg, arguments))
    headpose_fast.upload(path, f"s3://{store.bucket}", extra_args=extra_args)
    head = store.client.head_object(Bucket=store.bucket, Key="a.pkl")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "k")
    assert head["StorageClass"] == "STANDARD_IA"
    assert head["Metadata"] == {"who": "me", "why": "a=b"}


def test_a_checksum_that_is_asked_for_replaces_the_md5s(store: Store, bundle: Path) -> None:
    extra_args = {"ChecksumAlgorithm": "SHA256"}
    headpose_fast.upload(bundle, f"s3://{store.bucket}", extra_args=extra_args)
    head = store.client.head_object(Bucket=store.bucket, Key=NAME, ChecksumMode="ENABLED")
    assert "ChecksumSHA256" in head


def test_progress_is_told_in_the_callers_thread(
    network: Network, store: Store, bundle: Path
) -> None:
    network.pause = 0.002
    told = []

    def progress(done: int, total: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        told.append((done, total))

    headpose_fast.upload(bundle, f"s3://{store.bucket}", progress=progress)
    size = bundle.stat().st_size
    assert told[-1] == (size, size)
    assert any(0 < done < size for done, _ in told)
    assert {total for _, total in told} == {size}


def test_an_exception_of_the_callback_aborts_the_upload(
    network: Network, store: Store, bundle: Path
) -> None:
    network.pause = 0.002

    def progress(done: int, _total: int) -> None:
        if done > 0:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        headpose_fast.upload(bundle, f"s3://{store.bucket}", progress=progress)
    assert (store.keys(), store.unfinished()) == ([], [])
    # To begin, for two parts, and to abort: nothing was tried again.
    assert network.connections <= 4


def test_a_connection_lost_half_way_is_tried_again(
    network: Network, store: Store, bundle: Path
) -> None:
    network.cut_at = 6 << 20
    address = headpose_fast.upload(bundle, f"s3://{store.bucket}")
    assert network.cuts == 1
    assert address == f"s3://{store.bucket}/{NAME}"
    assert store.content(NAME) == bundle.read_bytes()


def test_an_outage_of_seconds_is_waited_for(network: Network, store: Store, tmp_path: Path) -> None:
    """With more parts under way than a quota of retries would allow."""
    path = tmp_path / NAME
    with path.open("wb") as file:
        file.truncate(12 * PART)
    network.cut_at, network.outage = 10 << 20, 2
    headpose_fast.upload(path, f"s3://{store.bucket}")
    assert network.cuts > 1
    assert store.client.head_object(Bucket=store.bucket, Key=NAME)["ContentLength"] == 12 * PART


def test_a_file_that_shrinks_is_not_awaited(
    network: Network, bundle: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "ANSWER_TIMEOUT", 1)
    network.pause = 0.02

    def shrink(_sent: int, _size: int) -> None:
        os.truncate(bundle, 100)

    with pytest.raises(headpose_fast.UploadError, match="changed while"):
        headpose_fast.upload(bundle, f"s3://{store.bucket}", progress=shrink)
    assert (store.keys(), store.unfinished()) == ([], [])


def test_a_network_lost_for_good_is_an_error_with_the_command_that_clears_away(
    network: Network, store: Store, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.cut_at, network.for_good = 6 << 20, True
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    line = error_of(command("upload", bundle, f"s3://{store.bucket}/data"))
    assert str(bundle) in line
    assert bundle.exists()
    (upload_id,) = store.unfinished()
    place = f"--bucket {store.bucket} --key data/{NAME}"
    assert line.endswith(f"aws s3api abort-multipart-upload {place} --upload-id {upload_id}")


def test_a_network_that_comes_back_late_has_the_upload_aborted(
    network: Network, store: Store, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.cut_at, network.for_good = 6 << 20, True
    monkeypatch.setattr(clients, "ATTEMPTS", 1)
    original = running.Running._before_retry

    def come_back(self: Any, **event: Any) -> None:  # noqa: ANN401
        # boto3 asks this after each failure of a part, and then aborts.
        network.for_good = False
        original(self, **event)

    monkeypatch.setattr(running.Running, "_before_retry", come_back)
    with pytest.raises(headpose_fast.UploadError) as raised:
        headpose_fast.upload(bundle, f"s3://{store.bucket}")
    assert "abort-multipart-upload" not in str(raised.value)
    assert (store.keys(), store.unfinished()) == ([], [])


def test_a_store_that_knows_only_md5(network: Network, store: Store, bundle: Path) -> None:
    network.old = True
    default = boto3.client("s3")
    with pytest.raises(default.exceptions.ClientError, match="NotImplemented"):
        default.put_object(Bucket=store.bucket, Key="x", Body=b"x")
    headpose_fast.upload(bundle, f"s3://{store.bucket}")
    assert store.content(NAME) == bundle.read_bytes()


def test_damage_on_the_way_is_found(network: Network, store: Store, bundle: Path) -> None:
    network.damage = (bytes(1000), b"\1" + bytes(999))
    with pytest.raises(headpose_fast.UploadError, match=r"has ETag .*-2, but the file .*-2"):
        headpose_fast.upload(bundle, f"s3://{store.bucket}")


class Canned(ThreadingHTTPServer):
    """A store that has one answer for each method, and keeps what it is asked."""

    def __init__(self, answers: dict[str, tuple[int, dict[str, str], bytes]]) -> None:
        """Answer methods with a status, headers and a body."""
        self.answers = answers
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), CannedHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class CannedHandler(BaseHTTPRequestHandler):
    """Gives the answers of `Canned`."""

    protocol_version = "HTTP/1.1"
    server: Canned

    def do_PUT(self) -> None:
        """Answer any method."""
        length = int(self.headers.get("Content-Length", 0))
        content = self.rfile.read(length)
        self.server.requests.append((self.command, dict(self.headers.items()), content))
        status, headers, body = self.server.answers[self.command]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_DELETE = do_GET = do_PUT  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "AccessDenied", "s3:PutObject"),
        (400, "ExpiredToken", "log in again"),
        (403, "InvalidAccessKeyId", "credentials"),
        (403, "SignatureDoesNotMatch", "credentials"),
        (301, "PermanentRedirect", "redirects endlessly; check AWS_ENDPOINT_URL"),
        (400, "AuthorizationHeaderMalformed", "AWS_DEFAULT_REGION"),
        (409, "Odd", "two lines (Odd)"),
    ],
)
def test_refusals_are_a_line_that_says_what_to_do(
    status: int, code: str, says: str, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f"<Error><Code>{code}</Code><Message>two\n\x7flines</Message></Error>".encode()
    server = Canned(dict.fromkeys(("PUT", "HEAD", "GET"), (status, {}, body)))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(headpose_fast.UploadError) as raised:
        headpose_fast.upload(note, "s3://bucket/data")
    text = str(raised.value)
    assert text.isprintable()
    assert text.startswith(f"{note}: upload to s3://bucket/data/note.pkl failed: ")
    assert says in text


def test_a_bucket_in_another_region(note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>"
    server = Canned(
        dict.fromkeys(("PUT", "HEAD"), (301, {"x-amz-bucket-region": "eu-west-1"}, body))
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(headpose_fast.UploadError, match="another region; set AWS_DEFAULT_REGION"):
        headpose_fast.upload(note, "s3://bucket")
    # It was tried there first.
    assert "eu-west-1" in server.requests[-1][1]["Authorization"]


@pytest.mark.parametrize("size", [1000, PART])
def test_a_server_that_is_no_store(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(bytes(size))
    server = Canned(dict.fromkeys(("PUT", "HEAD", "POST", "DELETE"), (200, {}, b"")))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(headpose_fast.UploadError, match=r"answer has no .*AWS_ENDPOINT_URL"):
        headpose_fast.upload(path, "s3://bucket")


def head(size: int, etag: str) -> dict[str, tuple[int, dict[str, str], bytes]]:
    """Make the answers of a store that keeps an object of this size and ETag."""
    return {
        "PUT": (200, {"ETag": '"x"'}, b""),
        "HEAD": (200, {"Content-Length": str(size), "ETag": f'"{etag}"'}, b""),
    }


def test_the_md5_is_sent_and_what_arrived_is_compared(
    note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    md5 = hashlib.md5(note.read_bytes())
    server = Canned(head(1000, md5.hexdigest()))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    headpose_fast.upload(note, "s3://bucket")
    method, headers, content = server.requests[0]
    assert (method, content) == ("PUT", note.read_bytes())
    assert headers["Content-MD5"] == b64encode(md5.digest()).decode()

    server.answers = head(999, md5.hexdigest())
    with pytest.raises(headpose_fast.UploadError, match="999 bytes, but 1,000"):
        headpose_fast.upload(note, "s3://bucket")
    server.answers = head(1000, "0" * 32)
    with pytest.raises(headpose_fast.UploadError, match=f"ETag {'0' * 32}, but the file"):
        headpose_fast.upload(note, "s3://bucket")
    # What is no MD5 says nothing.
    server.answers = head(1000, "own-kind-of-tag")
    headpose_fast.upload(note, "s3://bucket")
    server.answers = head(1000, "0" * 32)
    server.answers["HEAD"][1]["x-amz-server-side-encryption"] = "aws:kms"
    headpose_fast.upload(note, "s3://bucket")


def test_the_customers_key_is_needed_to_look_at_the_object(
    note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Canned(head(1000, "0" * 32))
    server.answers["HEAD"][1]["x-amz-server-side-encryption-customer-algorithm"] = "AES256"
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    extra_args = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    headpose_fast.upload(note, "s3://bucket", extra_args=extra_args)
    for method, headers, _ in server.requests:
        assert method in ("PUT", "HEAD")
        assert "x-amz-server-side-encryption-customer-key" in headers


def test_a_file_that_changes_meanwhile(
    store: Store, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = s3._check

    def change(*arguments: Any) -> None:  # noqa: ANN401
        check(*arguments)
        os.utime(bundle, (1, 1))

    monkeypatch.setattr(s3, "_check", change)
    with pytest.raises(headpose_fast.UploadError, match="changed while"):
        headpose_fast.upload(bundle, f"s3://{store.bucket}")


def test_failures_before_anything_is_sent(
    store: Store, note: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"s3://{store.bucket}"
    assert "missing.pkl: no such file" in error_of(command("upload", "missing.pkl", address))
    assert "no such file" in error_of(command("upload", tmp_path, address))
    assert "NoSuchBucket" in error_of(command("upload", note, "s3://no-bucket-here"))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "nobody" in error_of(command("upload", note, address))
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    assert "nonsense" in error_of(command("upload", note, address))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.port}")
    assert "set AWS_PROFILE" in error_of(command("upload", note, address))
    assert store.keys() == []


def interrupted(network: Network, number: int, *arguments: str | Path) -> tuple[int, str, float]:
    """Stop a command once it has sent 2 MB; give its status, stderr and seconds."""

    def listen() -> None:
        signal.signal(number, signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-m", "headpose_fast", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen,
    )
    deadline = time.monotonic() + 30
    while network.sent < 2 << 20 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    began = time.monotonic()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr, time.monotonic() - began


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_aborts_the_upload(
    network: Network, store: Store, bundle: Path, number: signal.Signals
) -> None:
    network.pause = 0.02
    status, stderr, seconds = interrupted(network, number, "upload", bundle, f"s3://{store.bucket}")
    assert status == 128 + number
    assert stderr == f"headpose-fast: stopped by {number.name}\n"
    assert seconds < s3._GRACE  # It ended by itself.
    assert (store.keys(), store.unfinished()) == ([], [])
    assert bundle.exists()


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_a_signal_while_the_network_stalls_does_not_wait_for_it(
    network: Network, store: Store, bundle: Path
) -> None:
    network.stall_at = 2 << 20
    status, stderr, seconds = interrupted(
        network, signal.SIGINT, "upload", bundle, f"s3://{store.bucket}"
    )
    assert status == 130
    assert seconds < 15
    warning, stopped = stderr.splitlines()
    (upload_id,) = store.unfinished()
    assert warning.endswith(f"--upload-id {upload_id}")
    assert stopped == "headpose-fast: stopped by SIGINT"


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_a_signal_after_the_job_leaves_its_file(
    network: Network, store: Store, tmp_path: Path
) -> None:
    network.pause = 0.02
    target = tmp_path / "a.pkl"
    job = (*SMALL, "--quiet", "--output", target, "--upload", f"s3://{store.bucket}")
    status, stderr, _ = interrupted(network, signal.SIGTERM, *job)
    assert status == 143
    hint, stopped = stderr.splitlines()
    assert f"upload {target} s3://{store.bucket}" in hint
    assert stopped == "headpose-fast: stopped by SIGTERM"
    assert headpose_fast.verify(target).samples == 72
    assert store.unfinished() == []


def test_boto3_is_not_imported_unless_it_is_needed(tmp_path: Path) -> None:
    code = (
        "import sys, headpose_fast.stores.s3; from headpose_fast.cli.main import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "assert not {'boto3', 'botocore', 's3transfer', 'urllib3', 'tqdm'} & set(sys.modules)"
    )
    arguments = [*SMALL, "--num-data-aug", "1", "--output", str(tmp_path)]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
